"""Holds a T1w image in template space against the tools that will read it.

    check_templates.py DERIVATIVES PARTICIPANT TEMPLATE

SimpleITK warps the preprocessed image by the transform that was written, as antsApplyTransforms does, with the same cubic
B-splines; inside the brain it must be the image that was written. nitransforms maps the same points. Points of the brain go to
the scan and back. PyBIDS finds what XCP-D and fMRIPrep's readers ask for. Prints one JSON object.
"""

import json
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import SimpleITK as sitk
from bids import BIDSLayout
from nitransforms.manip import TransformChain

derivatives, participant, template = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
folder = derivatives / f"sub-{participant}" / "anat"
stem = f"sub-{participant}"
found = {}

to_scan = sitk.ReadTransform(str(folder / f"{stem}_from-T1w_to-{template}_mode-image_xfm.h5"))
to_template = sitk.ReadTransform(str(folder / f"{stem}_from-{template}_to-T1w_mode-image_xfm.h5"))
moving = sitk.ReadImage(str(folder / f"{stem}_desc-preproc_T1w.nii.gz"), sitk.sitkFloat64)
there = folder / f"{stem}_space-{template}_res-2_desc-preproc_T1w.nii.gz"
ours = sitk.ReadImage(str(there), sitk.sitkFloat64)
mask = sitk.GetArrayFromImage(sitk.ReadImage(str(folder / f"{stem}_space-{template}_res-2_desc-brain_mask.nii.gz"))) > 0
theirs = sitk.Resample(moving, ours, to_scan, sitk.sitkBSpline, 0.0)
apart = np.abs(sitk.GetArrayFromImage(theirs) - sitk.GetArrayFromImage(ours))[mask]
span = np.ptp(sitk.GetArrayFromImage(moving))
# The splines of the whole image and of the part around the brain differ where the brain touches the image's border.
found["image, share of range, 99.9 %"] = float(np.quantile(apart, 0.999) / span)
found["image, largest share of range"] = float(apart.max() / span)
found["outside the brain"] = float(np.abs(sitk.GetArrayFromImage(ours)[~mask]).max())

voxels = np.argwhere(mask)[::211, ::-1]
points = [ours.TransformIndexToPhysicalPoint([int(v) for v in voxel]) for voxel in voxels]
back = [np.linalg.norm(np.subtract(to_template.TransformPoint(to_scan.TransformPoint(p)), p)) for p in points]
found["there and back, mean mm"], found["there and back, largest mm"] = float(np.mean(back)), float(np.max(back))

LPS = np.array([-1.0, -1.0, 1.0])
chain = TransformChain.from_filename(str(folder / f"{stem}_from-T1w_to-{template}_mode-image_xfm.h5"), fmt="itk")
few = np.array(points[::20])
mapped = np.array(chain.map(few * LPS))
expected = np.array([to_scan.TransformPoint(p.tolist()) for p in few]) * LPS
# nitransforms interpolates displacements by cubic splines, ITK linearly.
found["nitransforms, mean mm"] = float(np.linalg.norm(mapped - expected, axis=1).mean())

layout = BIDSLayout(derivatives, validate=False, is_derivative=True)
query = {"subject": participant, "datatype": "anat", "extension": ".nii.gz", "return_type": "file"}
asked = {
    "t1w": dict(suffix="T1w", desc="preproc", space=None, **query),
    "mask in template space": dict(suffix="mask", desc="brain", space=template, **query),
    "labels": dict(suffix="dseg", space=None, **query),
    "labels in template space": dict(suffix="dseg", space=template, **query),
}
for what, entities in asked.items():
    found[what] = len(layout.get(**entities))
for label in ("GM", "WM", "CSF"):
    found[f"probability of {label}"] = len(layout.get(suffix="probseg", label=label, space=None, **query))
transforms = [str(path.name) for path in folder.glob("*_xfm.h5")]
found["transforms"] = sorted(transforms)

shares = [nib.load(folder / f"{stem}_space-{template}_res-2_label-{label}_probseg.nii.gz").get_fdata() for label in ("GM", "WM", "CSF")]
inside = np.asarray(nib.load(folder / f"{stem}_space-{template}_res-2_desc-brain_mask.nii.gz").dataobj) > 0
found["least sum of probabilities, 5 %"] = float(np.quantile(sum(shares)[inside], 0.05))
labels = np.asarray(nib.load(folder / f"{stem}_space-{template}_res-2_dseg.nii.gz").dataobj)
found["labels"] = found["labels"] if set(np.unique(labels)) == {0, 1, 2, 3} else 0
print(json.dumps(found))
