"""Holds transforms written by the program against the tools that will read them: SimpleITK and nitransforms.

    check_itk.py FOLDER

FOLDER has, for each NAME in forward and inverse: NAME.h5; NAME.points, lines of x y z and where they go, RAS+ mm;
moving.nii.gz, NAME_reference.nii.gz and NAME_expected.nii.gz, the one resampled linearly onto the other by the program. And
series.txt, affines in one file, with series.points, lines of number x y z and where they go; single.txt, the first of them.
Prints one JSON object of the largest differences: points in mm, images as a share of the moving image's range.
"""

import json
import sys
import time
from pathlib import Path

import nibabel as nib
import nitransforms as nt
import numpy as np
import SimpleITK as sitk
from nitransforms.manip import TransformChain

LPS = np.array([-1.0, -1.0, 1.0])
folder = Path(sys.argv[1])
found = {}


def mapped(transform, points):
    return np.array([transform.TransformPoint((p * LPS).tolist()) for p in points]) * LPS


def inside(image):
    """All but the outermost two voxels, where tools differ in what lies beyond."""
    return image[2:-2, 2:-2, 2:-2]


def deep(chain, image):
    """The voxels that nitransforms looks up at least eight voxels within the displacement field. Nearer to its border the
    cubic splines by which nitransforms, unlike ITK, interpolates between displacements ring."""
    points = image.affine @ np.vstack([np.indices(image.shape).reshape(3, -1), np.ones(image.dataobj.size)])
    points = points[:3].T
    for transform in chain.transforms:
        if isinstance(transform, nt.nonlinear.DenseFieldTransform):
            voxels = np.asarray(transform.reference.index(points))
            size = np.array(transform.reference.shape)
            return ((voxels >= 8) & (voxels <= size - 9)).all(axis=1).reshape(image.shape)
        points = transform.map(points)
    raise ValueError("the chain has no field")


for name in ("forward", "inverse"):
    h5 = str(folder / f"{name}.h5")
    table = np.loadtxt(folder / f"{name}.points")
    began = time.monotonic()
    transform = sitk.ReadTransform(h5)
    found[f"{name} SimpleITK read s"] = time.monotonic() - began
    found[f"{name} SimpleITK points mm"] = np.abs(mapped(transform, table[:, :3]) - table[:, 3:]).max()

    moving, reference, expected = (
        folder / f for f in ("moving.nii.gz", f"{name}_reference.nii.gz", f"{name}_expected.nii.gz")
    )
    ours = nib.load(expected).get_fdata()
    span = np.ptp(nib.load(moving).get_fdata())
    began = time.monotonic()
    chain = TransformChain.from_filename(h5, fmt="itk")
    result = nt.resampling.apply(chain, nib.load(moving), reference=nib.load(reference), order=1)
    found[f"{name} nitransforms s"] = time.monotonic() - began
    difference = np.abs(result.get_fdata() - ours) / span
    found[f"{name} nitransforms share of range"] = difference[deep(chain, result)].max()
    found[f"{name} varies by"] = float(np.std(ours) / span)

# The other way round: ITK writes, with a centre and in double precision.
affine = sitk.AffineTransform(3)
affine.SetMatrix((1.1, 0.1, 0, 0, 0.9, 0.05, 0, -0.02, 1.0))
affine.SetTranslation((3, -2, 5))
affine.SetCenter((1, 2, 3))
vectors = np.random.default_rng(0).normal(size=(7, 6, 5, 3))
image = sitk.GetImageFromArray(vectors, isVector=True)
image.SetOrigin((10, 20, -5))
image.SetSpacing((2, 3, 4))
image.SetDirection((-1, 0, 0, 0, -1, 0, 0, 0, 1))
theirs = sitk.CompositeTransform([affine, sitk.DisplacementFieldTransform(image)])
sitk.WriteTransform(theirs, str(folder / "theirs.h5"))
points = np.random.default_rng(1).uniform((-12, -36, -8), (0, -18, 20), (200, 3))
np.savetxt(folder / "theirs.points", np.hstack([points, mapped(theirs, points)]), "%.17g")
sitk.WriteTransform(affine, str(folder / "theirs.txt"))
np.savetxt(folder / "theirs_affine.points", np.hstack([points, mapped(affine, points)]), "%.17g")

table = np.loadtxt(folder / "series.points")
series = nt.linear.load(str(folder / "series.txt"), fmt="itk")
found["series count"] = len(series)
worst = 0.0
for n in range(len(series)):
    rows = table[table[:, 0] == n]
    worst = max(worst, np.abs(nt.linear.Affine(series.matrix[n]).map(rows[:, 1:4]) - rows[:, 4:]).max())
found["series nitransforms points mm"] = worst
first = table[table[:, 0] == 0]
single = sitk.ReadTransform(str(folder / "single.txt"))
found["single SimpleITK points mm"] = np.abs(mapped(single, first[:, 1:4]) - first[:, 4:]).max()
print(json.dumps({key: float(value) for key, value in found.items()}, indent=1))
