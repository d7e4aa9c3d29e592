#!/usr/bin/env python3
"""Makes the tissue prior of the template: what to expect at each place of MNI152NLin2009cAsym, and how bright it is there.

    make_tissue_prior.py TEMPLATE_desc-brain_T1w.nii.gz OUT.nii.gz [--voxel-size 2]

The template's brain is segmented itself: three Gaussian classes with variances drawn together, class means that vary in
space, voxels between two classes shared by their intensity. The mean of many heads shows deep grey matter nearly as bright
as white matter and the brainstem darker, so these two are settled by boxes in the template's millimetres. A blur stands for
how far a warp is off.

OUT has four volumes of uint8: probability of grey and of white matter (255ths; the rest is CSF), and the level of grey and
of white matter (64 + 128 level; the level is 0 at the usual grey of cortex, 1 at the usual white).

Source: ICBM 2009c nonlinear asymmetric template, brain only (LICENSE.ICBM beside the template: copies may be shipped with
the notice). Needs numpy, scipy, nibabel. Deterministic.
"""
import argparse

import nibabel as nib
import numpy as np
from scipy.ndimage import binary_opening, gaussian_filter, label, map_coordinates

TIE, STEPS, REACH_MM, PULL = 0.5, 60, 8.0, 0.1  # as in the segmentation of a head
DEEP_LEVEL, CAPSULE_LEVEL = 0.65, 0.95  # below which a voxel of the boxes is grey, 0 cortex, 1 white
BLUR_MM = 1.0  # of the probabilities: what a warp leaves
LEVEL_MM, LEVEL_PULL = 3.0, 0.02  # of the levels


def fit(values, counts):
    """Means, sds and shares of three Gaussians on a histogram, variances drawn together."""
    white = values[-1] * 0.9
    mean, sd, share = np.array([0.45, 0.75, 1.0]) * white, np.full(3, 0.1 * white), np.full(3, 1 / 3)
    for _ in range(STEPS):
        p = share / sd * np.exp(-0.5 * ((values[:, None] - mean) / sd) ** 2)
        p *= counts[:, None] / (p.sum(1, keepdims=True) + 1e-30)
        n = p.sum(0)
        mean = (p * values[:, None]).sum(0) / n
        sd = np.sqrt((p * (values[:, None] - mean) ** 2).sum(0) / n)
        share = n / n.sum()
        sd = np.sqrt((1 - TIE) * sd**2 + TIE * (share * sd**2).sum() / share.sum())
    return mean, sd, share


def segment(image, mask):
    """Share of CSF, grey and white matter in each voxel: what lies between two local means is shared by its distance."""
    counts = np.bincount(image[mask].astype(int))
    mean, sd, share = fit(np.arange(len(counts)) + 0.0, counts.astype(float))
    local = [np.full(image.shape, m, np.float32) for m in mean]
    for _ in range(4):
        odds = [s**0.5 / d * np.exp(-0.5 * ((image - m) / d) ** 2) * mask for m, d, s in zip(local, sd, share)]
        total = sum(odds) + 1e-30
        p = [o / total for o in odds]
        for k in range(3):
            w = p[k] ** 2
            local[k] = (gaussian_filter(w * image, REACH_MM) + PULL * mean[k]) / (gaussian_filter(w, REACH_MM) + PULL)
    csf_grey = np.clip((image - local[0]) / np.maximum(local[1] - local[0], 1), 0, 1)
    grey_white = np.clip((image - local[1]) / np.maximum(local[2] - local[1], 1), 0, 1)
    return mean, (1 - csf_grey) * mask, csf_grey * (1 - grey_white) * mask, grey_white * mask


def places(shape, affine):
    """Coordinates of all voxels in millimetres; the affine has no rotation."""
    return np.meshgrid(*[affine[a, a] * np.arange(n) + affine[a, 3] for a, n in enumerate(shape)], indexing="ij")


def deep_grey(x, y, z, level, csf):
    """Caudate, putamen, accumbens and thalamus, in boxes that leave out insula, pallidum, capsules and midbrain."""
    side = np.abs(x)
    box = (y > -36) & (y < 24) & (z > -13) & (z < 24) & (csf < 0.3)
    striatum = box & (y > -26) & (side < 35 - 0.4 * np.maximum(np.abs(z + 1) - 4, 0)) & ~((z < -4) & (y < -6) & (side < 22))
    putamen = striatum & (side > 21.5 - 0.42 * y)  # lateral of the pallidum
    thalamus = box & (y < -2) & (z > -4) & (z < 20) & (side < 13 - 0.4 * y)
    found = binary_opening((striatum & (level < DEEP_LEVEL)) | ((putamen | thalamus) & (level < CAPSULE_LEVEL)))
    parts, _ = label(found)
    size = np.bincount(parts.ravel())
    size[0] = 0
    return np.isin(parts, np.where(size > 500)[0])


def brainstem(x, y, z, csf):
    """Midbrain, pons and medulla."""
    side = np.abs(x)
    box = (y < -12) & (y > -52) & (z < -8) & (side < np.where(z < -42, 14, np.where(z < -14, 17, 15))) & (csf < 0.5)
    return box & ((y >= -38) | (side < 10) & (y > -44))




def settle(grey, white, where, part):
    """Where `where` is (0 to 1), `part` of the tissue is grey."""
    tissue = grey + white
    return grey * (1 - where) + where * part * tissue, white * (1 - where) + where * (1 - part) * tissue


def levels(share, level, usual):
    """Mean level of a tissue nearby."""
    weight = share**4
    return (gaussian_filter(weight * level, LEVEL_MM) + LEVEL_PULL * usual) / (gaussian_filter(weight, LEVEL_MM) + LEVEL_PULL)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("template"), parser.add_argument("out"), parser.add_argument("--voxel-size", type=int, default=2)
    args = parser.parse_args()
    source = nib.as_closest_canonical(nib.load(args.template))
    image = np.asarray(source.dataobj).astype(np.float32)
    mask = image > 0
    x, y, z = places(image.shape, source.affine)
    mean, csf, grey, white = segment(image, mask)
    level = (image - mean[1]) / (mean[2] - mean[1])
    deep = gaussian_filter(deep_grey(x, y, z, level, csf).astype(np.float32), 1.0)
    stem = gaussian_filter(brainstem(x, y, z, csf).astype(np.float32), 1.0)
    grey, white = settle(grey, white, deep, 0.95)
    grey, white = settle(grey, white, stem, 0.1)
    cortex = (grey > 0.6) & (deep < 0.1)
    usual = [image[cortex].mean(), np.median(image[white > 0.95])]
    level = (image - usual[0]) / (usual[1] - usual[0])
    print(f"classes {mean.round(1)}, cortex {usual[0]:.1f}, white {usual[1]:.1f}, deep grey {deep.sum() / 1000:.1f} ml, brainstem {stem.sum() / 1000:.1f} ml")
    maps = [levels(grey * mask, level, 0.0), levels(white * mask, level, 1.0)]
    tissue = [gaussian_filter(m, BLUR_MM) for m in (grey, white)]
    encoded = [255 * m for m in tissue] + [64 + 128 * m for m in maps]
    step = args.voxel_size
    affine = source.affine.copy()
    affine[:3, :3] *= step
    shrunk = [m[::step, ::step, ::step] for m in encoded] if step > 1 else encoded
    stored = np.stack([np.clip(np.rint(m), 0, 255).astype(np.uint8) for m in shrunk], -1)
    nib.save(nib.Nifti1Image(stored, affine), args.out)


if __name__ == "__main__":
    main()
