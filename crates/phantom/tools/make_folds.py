#!/usr/bin/env python3
"""Makes assets/folds.bin.gz, the map of the average brain from which the synthetic heads are bent.

    make_folds.py tpl-MNI152NLin2009cAsym_res-01_desc-brain_T1w.nii.gz OUT

The source is the ICBM 2009c asymmetric template, brain only (see NOTICE). OUT holds, after decompression, three blocks of
bytes, x fastest:

1. brightness on the FINE grid: 0 outside the brain, else the template's value in steps of LEVEL;
2. two signed distances on the COARSE grid, one after the other, in half millimetres with 128 for zero, larger outside:
   to the brain with its sulci closed, and to the smooth bag around it that bridges the clefts.

src/atlas.rs knows the grids. Needs numpy, scipy, nibabel.
"""
import gzip
import sys

import nibabel as nib
import numpy as np
from scipy import ndimage as ndi

# First point (mm, x y z), spacing, number of points.
FINE = ((-76.5, -112.5, -78.0), 1.8, (86, 106, 91))
COARSE = ((-112.0, -148.0, -112.0), 5.0, (46, 54, 48))
LEVEL = 3.0
SULCI_MM, CLEFTS_MM = 4.0, 14.0
# What an average of many brains blurs comes back in part: the difference to a wider blur (mm) is added this many times.
WIDE_MM, SHARPEN = 2.5, 1.0
# Distances (mm) beyond these are not needed.
NEAREST, FARTHEST = -24.0, 45.0


def sample(volume, origin, step, grid):
    """The volume, whose first voxel is at `origin` and whose voxels are `step` mm, on another grid."""
    first, spacing, shape = grid
    at = [(f + spacing * np.arange(n) - o) / step for f, n, o in zip(first, shape, origin)]
    return ndi.map_coordinates(volume, np.meshgrid(*at, indexing="ij"), np.float32, order=1)


def outside(mask, step):
    """Signed distance in mm, negative inside."""
    return step * (ndi.distance_transform_edt(~mask) - ndi.distance_transform_edt(mask))


def main():
    image = nib.load(sys.argv[1])
    voxels, origin = np.asanyarray(image.dataobj).astype(np.float32), image.affine[:3, 3]
    brain = (voxels > 0).astype(np.float32)
    share = np.maximum(ndi.gaussian_filter(brain, WIDE_MM), 1e-3)
    sharp = ndi.gaussian_filter(voxels, 0.4) + SHARPEN * (voxels - ndi.gaussian_filter(voxels, WIDE_MM) / share) * brain
    fine = sample(np.clip(sharp, 0.0, 120.0), origin, 1.0, FINE)
    fine[sample(brain, origin, 1.0, FINE) < 0.4] = 0.0
    blocks = [np.round(fine / LEVEL).astype(np.uint8)]
    step = COARSE[1] / 2
    half = (COARSE[0], step, tuple(2 * n for n in COARSE[2]))
    mask = sample(ndi.gaussian_filter(brain, 0.7), origin, 1.0, half) > 0.5
    for radius in (SULCI_MM, CLEFTS_MM):
        bag = outside(mask, step) <= radius
        closed = step * ndi.distance_transform_edt(bag) > radius
        distance = ndi.gaussian_filter(outside(closed, step), 2.0 / step)[::2, ::2, ::2]
        blocks.append((np.round(2 * np.clip(distance, NEAREST, FARTHEST)) + 128).astype(np.uint8))
    with open(sys.argv[2], "wb") as file, gzip.GzipFile("", "wb", 9, file, mtime=0) as packed:
        packed.write(b"".join(b.tobytes(order="F") for b in blocks))


if __name__ == "__main__":
    main()
