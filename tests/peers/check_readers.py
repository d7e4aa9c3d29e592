"""Asks the derivatives of a bold run for what two programs that use it next ask for, by the queries they make of PyBIDS.

    check_readers.py BIDS DERIVATIVES PARTICIPANT TASK

XCP-D (input of the fmriprep kind, NIfTI) looks for images, masks, transforms and confounds, and needs certain columns by how it
is to denoise. giga_connectome looks for images and masks, and lets nilearn load the confounds and clean the series. Neither is
on the package index, so what they ask for is written down here. Prints one JSON object: what was asked for, and how much of it
was found.
"""

import json
import re
import sys
import warnings
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import SimpleITK as sitk
from bids import BIDSLayout
from bids.layout import Query
from nilearn.interfaces.fmriprep import load_confounds_strategy
from nilearn.maskers import NiftiMasker
from nilearn.masking import compute_multi_epi_mask

bids, derivatives, participant, task = Path(sys.argv[1]), Path(sys.argv[2]).resolve(), sys.argv[3], sys.argv[4]
found = {}
warnings.simplefilter("ignore")

# XCP-D.
layout = BIDSLayout(derivatives, validate=False, config=["bids", "derivatives"])
of_bold = {"subject": participant, "task": task, "datatype": "func"}
of_bold |= {"suffix": "bold", "desc": ["preproc", None], "extension": ".nii.gz"}
# It takes the first of these spaces that there is.
spaces = ["MNI152NLin6Asym", "MNI152NLin2009cAsym", "MNIInfant"]
template = next((space for space in spaces if layout.get(space=space, **of_bold)), None)
found["XCP-D: space"] = template
bolds = layout.get(space=template, return_type="file", **of_bold) if template else []
found["XCP-D: runs"] = len(bolds)
if not bolds:
    sys.exit(f"no run in {spaces}: {json.dumps(found)}")
found["XCP-D: resolutions"] = len(layout.get_res(space=template, **of_bold))
anat = {"subject": participant, "datatype": "anat", "return_type": "file"}
transforms = {}
for what, query in {
    "T1w image": dict(space=None, desc="preproc", suffix="T1w", extension=".nii.gz"),
    "mask in template space": dict(space=template, desc="brain", suffix="mask", extension=".nii.gz"),
    "transform to the template": {"from": ["T1w", "T2w"], "to": template, "suffix": "xfm"},
    "transform from the template": {"from": template, "to": ["T1w", "T2w"], "suffix": "xfm"},
}.items():
    files = sorted(layout.get(**anat, **query))
    found[f"XCP-D: {what}"] = len(files)
    if "transform" in what and files:
        # Of several it takes the first by name, and hands it to ANTs.
        composite = files[0].endswith(".h5")
        found[f"XCP-D: {what}, as a composite of ITK"] = composite
        if composite:
            transforms[what] = sitk.ReadTransform(files[0])

bold = bolds[0]
near = {}
of_run = ["space", "res", "den", "desc", "suffix", "extension"]
for what, ignored, query in (
    ("boldref", ["desc", "suffix"], dict(suffix="boldref", extension=[".nii", ".nii.gz"])),
    ("mask", ["desc", "suffix"], dict(suffix="mask", desc="brain", extension=[".nii", ".nii.gz"])),
    ("confounds", of_run, dict(suffix="timeseries", desc="confounds", extension=".tsv")),
    ("sidecar of the confounds", of_run, dict(suffix="timeseries", desc="confounds", extension=".json")),
):
    near[what] = layout.get_nearest(bold, strict=True, ignore_strict_entities=ignored, **query)
    found[f"XCP-D: {what}"] = near[what] is not None
of_columns = dict(suffix="timeseries", desc="confounds", extension=".tsv", space=None, cohort=None, res=None, den=None)
again = layout.get_nearest(bold, strict=True, ignore_strict_entities=[*of_run, "cohort"], invalid_filters="allow", **of_columns)
found["XCP-D: the same confounds for the columns"] = again is not None and again == near["confounds"]
image = nib.load(bold)
for what in ("boldref", "mask"):
    if near[what] is None:
        continue
    there = nib.load(near[what])
    found[f"XCP-D: grid of the {what}"] = there.shape == image.shape[:3] and bool(np.allclose(there.affine, image.affine))
told = layout.get_metadata(bold)
found["XCP-D: RepetitionTime is the header's"] = abs(told.get("RepetitionTime", 0) - float(image.header.get_zooms()[3])) < 1e-4
scans = BIDSLayout(bids, validate=False).get(subject=participant, task=task, suffix="bold", extension=".nii.gz")
# A run with several echoes has a scan of each.
times = {scan.get_metadata()["RepetitionTime"] for scan in scans}
found["XCP-D: RepetitionTime is the scan's"] = times == {told.get("RepetitionTime")}
about = json.loads((derivatives / "dataset_description.json").read_text())
maker = about["GeneratedBy"][0]
named = bool(maker["Name"] and maker["Version"])
found["XCP-D: derivative by a program and its version"] = about["DatasetType"] == "derivative" and named

motion = [f"{way}_{axis}" for way in ("trans", "rot") for axis in "xyz"]
tissues = ["global_signal", "csf", "white_matter"]


def with_derivatives(names):
    return [name + more for name in names for more in ("", "_derivative1")]


def with_squares(names):
    return [name + more for name in with_derivatives(names) for more in ("", "_power2")]


# A name, or a pattern of which there has to be one at least.
compcor = [*with_derivatives(motion), r"w_comp_cor_0[0-4]", r"c_comp_cor_0[0-4]", r"cosine\d+"]
table = pd.read_csv(near["confounds"], sep="\t")
found["XCP-D: a row per volume"] = len(table) == image.shape[3]
for what, columns in {
    "24P": with_squares(motion),
    "27P": [*with_squares(motion), *tissues],
    "36P": with_squares([*motion, *tissues]),
    "gsr_only": ["global_signal"],
    "acompcor": compcor,
    "acompcor_gsr": [*compcor, *tissues],
    "motion and its quality": [*motion, "rmsd"],
}.items():
    matched = [name for column in columns for name in table if re.fullmatch(column, name)]
    lacking = [column for column in columns if not any(re.fullmatch(column, name) for name in table)]
    found[f"XCP-D: columns of {what}"] = len(matched)
    found[f"XCP-D: columns of {what}, lacking"] = lacking
    # It puts zero for what is missing, which only a difference from the volume before may be.
    found[f"XCP-D: columns of {what}, finite"] = bool(np.isfinite(table[matched].iloc[1:].to_numpy(float)).all())
sidecar = json.loads(Path(near["sidecar of the confounds"]).read_text())
found["XCP-D: components without a word in the sidecar"] = [n for n in table if "_comp_cor_" in n and n not in sidecar]
found["XCP-D: columns that the sidecar says no object of"] = [
    name for name, value in sidecar.items() if name[0].islower() and not isinstance(value, dict)
]
found["XCP-D: columns of volumes that are not steady"] = sum(name.startswith("non_steady_state_outlier") for name in table)

# There and back: either is used alone, so they have to be of the same warp.
if len(transforms) == 2:
    there, back = transforms["transform to the template"], transforms["transform from the template"]
    mask = nib.load(near["mask"])
    inside = np.argwhere(np.asarray(mask.dataobj) > 0)
    chosen = inside[np.random.default_rng(1).choice(len(inside), min(2000, len(inside)), replace=False)]
    points = nib.affines.apply_affine(mask.affine, chosen) * [-1, -1, 1]
    apart = [np.linalg.norm(np.subtract(back.TransformPoint(there.TransformPoint(p)), p)) for p in points.tolist()]
    found["XCP-D: there and back, mm, 99 %"] = float(np.quantile(apart, 0.99))

# giga_connectome. Its layout has no word that these are derivatives.
plain = BIDSLayout(derivatives, validate=False, derivatives=False)
shared = {
    "return_type": "object",
    "subject": [participant],
    "session": Query.OPTIONAL,
    "space": "MNI152NLin2009cAsym",
    "task": Query.ANY,
    "run": Query.OPTIONAL,
    "extension": ".nii.gz",
    "datatype": "func",
}
bolds = plain.get(suffix="bold", desc="preproc", **shared)
masks = plain.get(suffix="mask", **shared)
found["giga_connectome: runs"], found["giga_connectome: masks"] = len(bolds), len(masks)
found["giga_connectome: RepetitionTime"] = bolds[0].get_metadata().get("RepetitionTime")
found["giga_connectome: one grid of masks"] = len({str(nib.load(file.path).affine) for file in masks}) == 1
group = compute_multi_epi_mask([file.path for file in masks], opening=False, connected=True, threshold=0.5, exclude_zeros=False)
found["giga_connectome: voxels"] = int(np.asarray(group.dataobj).sum())
image = nib.load(bolds[0].path)
loaded, cleaned, left_out = 0, 0, []
for name, asked in {
    "simple": dict(denoise_strategy="simple"),
    "simple+gsr": dict(denoise_strategy="simple", global_signal="basic"),
    "scrubbing.2": dict(denoise_strategy="scrubbing", fd_threshold=0.2, std_dvars_threshold=None),
    "scrubbing.2+gsr": dict(denoise_strategy="scrubbing", fd_threshold=0.2, std_dvars_threshold=None, global_signal="basic"),
    "scrubbing.5": dict(denoise_strategy="scrubbing", fd_threshold=0.5, std_dvars_threshold=None),
    "scrubbing.5+gsr": dict(denoise_strategy="scrubbing", fd_threshold=0.5, std_dvars_threshold=None, global_signal="basic"),
    "acompcor50": dict(denoise_strategy="compcor"),
    # One that a user may write, with so few confounds that a short run has volumes left.
    "six of motion": dict(denoise_strategy="simple", motion="basic", wm_csf="basic"),
}.items():
    confounds, kept = load_confounds_strategy(bolds[0].path, **asked)
    loaded += 1
    # It leaves out a run that has fewer volumes than there are confounds.
    if (len(kept) if kept is not None else len(confounds)) < confounds.shape[1]:
        left_out.append(name)
        continue
    masker = NiftiMasker(mask_img=group, detrend="cosine00" not in confounds, standardize="zscore_sample")
    series = masker.fit_transform(image, confounds=confounds, sample_mask=kept)
    cleaned += bool(np.isfinite(series).all() and series.std() > 0)
found["giga_connectome: strategies"], found["giga_connectome: series cleaned"] = loaded, cleaned
found["giga_connectome: too short a run for"] = left_out
print(json.dumps(found))
