#!/usr/bin/env python3
"""Brings a labelled brain to a template with this program and with its peers, and scores each by the labels.

    registration.py PROGRAM T1W LABELS TEMPLATE ATLAS

T1W is a T1w image without its head, LABELS the labels of its voxels, TEMPLATE the template's brain and ATLAS the same labels
there, on a grid of its own. PROGRAM is target/release/neuro-preprocess. antspyx, picsl_greedy and SimpleITK (PyPI) are run
where they are installed. Needs nibabel, numpy, scipy and SimpleITK.

Printed for each: the mean Dice over the labels of at least 300 voxels of the atlas, the processor time of everything from
files to transform, and the peak memory. This program makes much else in that time: bias field, tissues, the way back,
resampled images. antspyx and greedy get the image as it is, as it was corrected for bias before.
"""
import json
import sys
import tempfile
from pathlib import Path

import nibabel as nib
import numpy as np
import SimpleITK as sitk
from measure import run

# Each is a process of its own, so that time and memory are its own. ARGV: T1W TEMPLATE LABELS OUT
ANTS = """
import sys, ants
t1w, template, labels, out = sys.argv[1:]
fixed, moving = ants.image_read(template), ants.image_read(t1w)
done = ants.registration(fixed, moving, type_of_transform="SyN")
warped = ants.apply_transforms(fixed, ants.image_read(labels), done["fwdtransforms"], interpolator="nearestNeighbor")
ants.image_write(warped, out)
"""
GREEDY = """
import sys
from picsl_greedy import Greedy3D
t1w, template, labels, out = sys.argv[1:]
g = Greedy3D()
g.execute(f"-i {template} {t1w} -a -dof 12 -ia-image-centers -n 100x50x10 -m NCC 4x4x4 -o affine -threads 2", affine=None)
g.execute(f"-i {template} {t1w} -it affine -n 100x50x10 -m NCC 2x2x2 -s 1.732vox 0.707vox -o warp -threads 2", warp=None)
g.execute(f"-rf {template} -ri LABEL 0.2vox -rm {labels} {out} -r warp affine -threads 2")
"""
DEMONS = """
import sys, SimpleITK as sitk
t1w, template, labels, out = sys.argv[1:]
fixed, moving = (sitk.ReadImage(name, sitk.sitkFloat32) for name in (template, t1w))
affine = sitk.ImageRegistrationMethod()
affine.SetMetricAsCorrelation()
affine.SetMetricSamplingStrategy(affine.RANDOM)
affine.SetMetricSamplingPercentage(0.1, 1)
affine.SetOptimizerAsGradientDescent(1.0, 200, 1e-7, 10)
affine.SetOptimizerScalesFromPhysicalShift()
affine.SetShrinkFactorsPerLevel([8, 4, 2])
affine.SetSmoothingSigmasPerLevel([4, 2, 1])
affine.SetInitialTransform(sitk.CenteredTransformInitializer(fixed, moving, sitk.AffineTransform(3)))
affine.SetInterpolator(sitk.sitkLinear)
first = affine.Execute(fixed, moving)
near = sitk.HistogramMatching(sitk.Resample(moving, fixed, first), fixed, 256, 15)
demons = sitk.DiffeomorphicDemonsRegistrationFilter()
demons.SetStandardDeviations(1.5)
field = None
for factor, steps in ((4, 50), (2, 30), (1, 15)):
    size = [max(1, n // factor) for n in fixed.GetSize()]
    grid = sitk.Resample(fixed, size, sitk.Transform(), sitk.sitkLinear, fixed.GetOrigin(),
                         [s * n / m for s, n, m in zip(fixed.GetSpacing(), fixed.GetSize(), size)], fixed.GetDirection())
    demons.SetNumberOfIterations(steps)
    moved = sitk.Resample(near, grid)
    field = demons.Execute(grid, moved, sitk.Resample(field, grid)) if field else demons.Execute(grid, moved)
warp = sitk.DisplacementFieldTransform(sitk.Cast(sitk.Resample(field, fixed), sitk.sitkVectorFloat64))
both = sitk.CompositeTransform([sitk.Transform(first), sitk.Transform(warp)])
sitk.WriteImage(sitk.Resample(sitk.ReadImage(labels, sitk.sitkInt32), fixed, both, sitk.sitkNearestNeighbor), out)
"""


def ours(program, t1w, template, labels, out, place):
    """This program with the template in a folder of templates, and the labels through its transform."""
    anat = place / "bids/sub-01/anat"
    anat.mkdir(parents=True)
    (place / "bids/dataset_description.json").write_text(json.dumps({"Name": "labels", "BIDSVersion": "1.10.0"}))
    (anat / "sub-01_T1w.nii.gz").symlink_to(Path(t1w).resolve())
    folder = place / "templates/tpl-MNI152NLin6Asym"
    folder.mkdir(parents=True)
    image = nib.as_closest_canonical(nib.load(template))
    brain = np.asarray(image.dataobj) > 0
    nib.save(image, folder / "tpl-MNI152NLin6Asym_res-01_desc-brain_T1w.nii.gz")
    mask = nib.Nifti1Image(brain.astype(np.uint8), image.affine)
    nib.save(mask, folder / "tpl-MNI152NLin6Asym_res-01_desc-brain_mask.nii.gz")
    cost = run(["env", f"TEMPLATEFLOW_HOME={place / 'templates'}", program, str(place / "bids"), str(place / "out"), "participant",
                     "--output-spaces", "MNI152NLin6Asym", "--nprocs", "2", "--no-report"])
    transform = place / "out/sub-01/anat/sub-01_from-T1w_to-MNI152NLin6Asym_mode-image_xfm.h5"
    if transform.exists():
        through = sitk.ReadTransform(str(transform))
        moved = sitk.Resample(sitk.ReadImage(labels, sitk.sitkInt32), sitk.ReadImage(template), through,
                              sitk.sitkNearestNeighbor)
        sitk.WriteImage(moved, str(out))
    return cost


def on_grid(atlas, template, inside):
    """The atlas's labels in the template's brain."""
    fixed = sitk.ReadImage(template)
    there = sitk.Resample(sitk.ReadImage(atlas, sitk.sitkInt32), fixed, sitk.Transform(), sitk.sitkNearestNeighbor)
    return np.where(inside, sitk.GetArrayFromImage(there), 0)


def score(found, true):
    names, counts = np.unique(true, return_counts=True)
    names = names[(counts >= 300) & (names > 0)]
    return np.mean([2 * ((found == n) & (true == n)).sum() / ((found == n).sum() + (true == n).sum()) for n in names])


def main():
    program, t1w, labels, template, atlas = sys.argv[1:]
    inside = sitk.GetArrayFromImage(sitk.ReadImage(template)) > 0
    true = on_grid(atlas, template, inside)
    peers = {"ANTs SyN (antspyx)": ANTS, "greedy (picsl_greedy)": GREEDY, "diffeomorphic demons (SimpleITK)": DEMONS}
    for name, script in [("neuro-preprocess", None), *peers.items()]:
        with tempfile.TemporaryDirectory() as place:
            out = Path(place) / "labels.nii.gz"
            if script is None:
                cost = ours(program, t1w, template, labels, out, Path(place))
            else:
                cost = run([sys.executable, "-c", script, t1w, template, labels, str(out)])
            if not out.exists():
                print(f"{name:34} nothing: {cost.error}", flush=True)
                continue
            found = np.where(inside, sitk.GetArrayFromImage(sitk.ReadImage(str(out))).round().astype(int), 0)
            print(f"{name:34} Dice {score(found, true):.4f}  {cost.cpu:6.1f} CPU s  {cost.wall:6.1f} s  {cost.peak:6.0f} MB",
                  flush=True)


if __name__ == "__main__":
    main()
