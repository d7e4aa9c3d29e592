"""Holds a bold run in T1w and template space against the tools that will read it.

    check_bold.py BIDS DERIVATIVES PARTICIPANT TASK

SimpleITK samples volumes as they were scanned once, by cubic B-splines, through the transforms that were written (template to
T1w image to reference volume to volume), and divides by the field that was written: inside the brain that must be the series
that was written. nitransforms maps the same points. PyBIDS finds what XCP-D and others ask for. nilearn loads confounds by every
strategy it has, and fits a model to the run and its events. Prints one JSON object.
"""

import json
import sys
import tempfile
import warnings
from pathlib import Path

import nibabel as nib
import nitransforms
import numpy as np
import SimpleITK as sitk
from bids import BIDSLayout
from nilearn.glm.first_level import first_level_from_bids
from nilearn.interfaces.fmriprep import load_confounds, load_confounds_strategy

bids, derivatives, participant, task = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], sys.argv[4]
anat, func = (derivatives / f"sub-{participant}" / name for name in ("anat", "func"))
stem = f"sub-{participant}_task-{task}"
raw = bids / f"sub-{participant}" / "func" / f"{stem}_bold.nii.gz"
found = {}

coreg_file = func / f"{stem}_from-boldref_to-T1w_mode-image_desc-coreg_xfm.txt"
hmc_file = func / f"{stem}_from-orig_to-boldref_mode-image_desc-hmc_xfm.txt"
coreg = sitk.ReadTransform(str(coreg_file))


def each(file):
    """The transforms of a file that has several, of which SimpleITK reads the first only."""
    head, *parts = file.read_text().split("#Transform ")
    transforms = []
    with tempfile.TemporaryDirectory() as folder:
        for part in parts:
            one = Path(folder) / "one.txt"
            one.write_text(f"{head}#Transform 0\n{part.split(chr(10), 1)[1]}")
            transforms.append(sitk.ReadTransform(str(one)))
    return transforms


hmc = each(hmc_file)
template = "MNI152NLin2009cAsym"
warp = sitk.ReadTransform(str(anat / f"sub-{participant}_from-T1w_to-{template}_mode-image_xfm.h5"))
series = sitk.ReadImage(str(raw), sitk.sitkFloat64)
field = sitk.ReadImage(str(func / f"{stem}_desc-biasfield_boldref.nii.gz"), sitk.sitkFloat64)
told = json.loads((func / f"{stem}_desc-preproc_bold.json").read_text())
scale = told["IntensityTarget"] / told["IntensityReference"]


def array(image):
    return sitk.GetArrayFromImage(image)


def volume(t):
    size = list(series.GetSize())
    size[3] = 0
    return sitk.Extract(series, size, [0, 0, 0, t])


for space, to_t1w in (("T1w", []), (f"{template}_res-2", [warp])):
    there = nib.load(func / f"{stem}_space-{space}_desc-preproc_bold.nii.gz")
    grid = sitk.ReadImage(str(func / f"{stem}_space-{space}_boldref.nii.gz"), sitk.sitkFloat64)
    mask = array(sitk.ReadImage(str(func / f"{stem}_space-{space}_desc-brain_mask.nii.gz"))) > 0
    ours = np.asarray(there.dataobj).T
    even = array(sitk.Resample(field, grid, sitk.CompositeTransform([coreg, *to_t1w]), sitk.sitkLinear, 1.0))
    for t in (0, 7, 19):
        way = sitk.CompositeTransform([hmc[t], coreg, *to_t1w])
        theirs = array(sitk.Resample(volume(t), grid, way, sitk.sitkBSpline, 0.0)) * scale / even
        seen = mask & (theirs != 0)
        apart = np.abs(theirs - ours[t])[seen] / np.ptp(theirs[seen])
        found[f"{space}, volume {t}, share of range, 99.9 %"] = float(np.quantile(apart, 0.999))
    mean = ours.mean(axis=0)
    found[f"{space}, boldref is the mean, share of range"] = float(np.abs(mean - array(grid))[mask].max() / np.ptp(mean))

points = np.random.default_rng(1).uniform(-60, 60, (50, 3))
lps = np.array([-1.0, -1.0, 1.0])
apart = []
for file, ours in ((coreg_file, [coreg]), (hmc_file, hmc)):
    theirs = nitransforms.linear.load(str(file), fmt="itk")
    matrices = np.atleast_3d(theirs.matrix).reshape(-1, 4, 4)
    assert len(matrices) == len(ours), (len(matrices), len(ours))
    for matrix, transform in zip(matrices, ours):
        mapped = points @ matrix[:3, :3].T + matrix[:3, 3]
        expected = np.array([transform.TransformPoint((p * lps).tolist()) for p in points]) * lps
        apart.append(np.abs(mapped - expected).max())
found["nitransforms, largest mm"] = float(max(apart))

layout = BIDSLayout(derivatives, validate=False, is_derivative=True)
query = {"subject": participant, "task": task, "space": template, "res": "2", "extension": ".nii.gz", "return_type": "file"}
for what, entities in {
    "preproc": dict(suffix="bold", desc="preproc"),
    "boldref": dict(suffix="boldref"),
    "mask": dict(suffix="mask", desc="brain"),
}.items():
    found[f"{what} in template space"] = len(layout.get(**entities, **query))

warnings.simplefilter("ignore")
strategies = [
    dict(strategy=("motion",), motion="basic"),
    dict(strategy=("motion",), motion="full"),
    dict(strategy=("high_pass",)),
    dict(strategy=("wm_csf",), wm_csf="full"),
    dict(strategy=("global_signal",), global_signal="full"),
    dict(strategy=("motion", "scrub"), motion="basic"),
    dict(strategy=("high_pass", "compcor"), compcor="anat_combined"),
    dict(strategy=("high_pass", "compcor"), compcor="anat_separated"),
    dict(strategy=("high_pass", "compcor"), compcor="temporal_anat_combined"),
    dict(strategy=("non_steady_state",)),
]
for space in ("", "_space-T1w", f"_space-{template}_res-2"):
    image = str(func / f"{stem}{space}_desc-preproc_bold.nii.gz")
    for asked in strategies:
        load_confounds(image, **asked)
    for asked in ("simple", "scrubbing", "compcor"):
        load_confounds_strategy(image, denoise_strategy=asked)
    found[f"strategies of load_confounds{space}"] = len(strategies) + 3

models, images, events, confounds = first_level_from_bids(
    str(bids.resolve()),
    task,
    space_label=template,
    img_filters=[("res", "2"), ("desc", "preproc")],
    derivatives_folder=str(derivatives.resolve()),
    smoothing_fwhm=None,
    slice_time_ref=None,
)
found["models of first_level_from_bids"] = len(models)
steady = confounds[0][0][["trans_x", "trans_y", "trans_z", "rot_x", "rot_y", "rot_z"]]
model = models[0].fit(images[0], events=events[0], confounds=[steady])
found["voxels with an effect"] = int((model.compute_contrast("on").get_fdata() != 0).sum())
print(json.dumps(found))
