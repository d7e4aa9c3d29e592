"""Computes the confounds of a run a second time, by the programs that fMRIPrep itself uses (nipype's TCompCor and ACompCor), by
nilearn, pandas and SciPy, and reads the table as nilearn's users do, by thirteen strategies. Prints what differs; exit 1 if
anything does.

    check_confounds.py FOLDER

The folder has the table and its sidecar beside an image of which only the name is read; run.json (shape: t z y x, tr, skip), the
series (float32), and the masks brain, t1w (the brain of the T1w image), csf, wm and csf_wm (uint8), all z y x."""
import json
import os
import sys
import tempfile
import warnings
from pathlib import Path

os.environ["NO_ET"] = "1"  # nipype looks for a newer version of itself over the network.
warnings.simplefilter("ignore")

import nibabel as nib
import numpy as np
import pandas as pd
from nilearn.interfaces.fmriprep import load_confounds, load_confounds_strategy
from nilearn.signal import create_cosine_drift
from nipype.algorithms.confounds import ACompCor, TCompCor
from scipy import ndimage

folder = Path(sys.argv[1]).resolve()
told = json.loads((folder / "run.json").read_text())
shape, tr, skip = told["shape"], told["tr"], told["skip"]
series = np.fromfile(folder / "series.bin", np.float32).reshape(shape)
masks = {n: np.fromfile(folder / f"{n}.bin", np.uint8).reshape(shape[1:]) > 0 for n in ("brain", "t1w", "csf", "wm", "csf_wm")}
image = next(folder.glob("*_desc-preproc_bold.nii.gz"))
table = pd.read_csv(next(folder.glob("*_timeseries.tsv")), sep="\t")
sidecar = json.loads(next(folder.glob("*_timeseries.json")).read_text())
problems, compared, worst = [], 0, (0.0, "")


def same(name, theirs, tolerance, ours=None):
    global compared, worst
    compared += 1
    ours = np.asarray(table[name] if ours is None else ours, float)
    theirs = np.asarray(theirs, float)
    if ours.shape != theirs.shape or not np.array_equal(np.isnan(ours), np.isnan(theirs)):
        problems.append(f"{name}: values in other places")
        return
    off = np.nanmax(np.abs(ours - theirs)) / np.nanmax(np.abs(theirs))
    worst = max(worst, (off / max(tolerance, 1e-300), f"{name}, {off:.1e}"))
    if not off <= tolerance:
        problems.append(f"{name}: {off:.2e} of the largest off")


def nifti(name, data, volumes=False):
    path = f"{name}.nii.gz"
    made = nib.Nifti1Image(data.T if not volumes else data.transpose(3, 2, 1, 0), np.eye(4))
    made.header.set_zooms((1, 1, 1) + ((tr,) if volumes else ()))
    made.to_filename(path)
    return os.path.abspath(path)


def components(prefix, found, which=None):
    """The components of a program against ours of that prefix: courses up to their sign, and what they explain."""
    courses = pd.read_csv(found.components_file, sep="\t")
    facts = pd.read_csv(found.metadata_file, sep="\t")
    facts = facts[facts.retained & ((facts["mask"] == which) if which else True)]
    names = [n for n in table if n.startswith(prefix)]
    if not names or len(names) != len(facts) or names != [n for n in sidecar if n.startswith(prefix)]:
        problems.append(f"{prefix}: {len(names)} components, nipype keeps {len(facts)}")
    for name, (_, fact) in zip(names, facts.iterrows()):
        theirs, ours = courses[fact["component"]].to_numpy(), table[name].to_numpy()
        same(name, theirs * np.sign(theirs @ ours), 1e-4)
        if ours[np.argmax(np.abs(ours))] <= 0:
            problems.append(f"{name}: its value furthest from zero is negative")
        for key in ("SingularValue", "VarianceExplained", "CumulativeVarianceExplained"):
            snake = "".join("_" + c.lower() if c.isupper() else c for c in key)[1:]
            same(f"{name} {key}", [fact[snake]], 1e-4, [sidecar[name][key]])


with tempfile.TemporaryDirectory() as work:
    os.chdir(work)
    bold = nifti("bold", series, volumes=True)
    common = {"realigned_file": bold, "pre_filter": "cosine", "save_pre_filter": True, "save_metadata": True,
              "ignore_initial_volumes": skip, "repetition_time": tr, "failure_mode": "NaN"}
    brain = nifti("brain", masks["brain"].astype(np.uint8))
    run = TCompCor(mask_files=brain, header_prefix="t_", percentile_threshold=0.02, variance_threshold=0.5, **common).run()
    components("t_comp_cor_", run.outputs)
    variable = nib.load(run.outputs.high_variance_masks).get_fdata().T > 0
    cosines = pd.read_csv(run.outputs.pre_filter_file, sep="\t").filter(like="Cosine")
    if cosines.shape[1] != sum(n.startswith("cosine") for n in table) or not cosines.shape[1]:
        problems.append(f"cosines: nipype has {cosines.shape[1]}")
    drift = create_cosine_drift(1 / 128, np.arange(shape[0] - skip) * tr)
    for at, name in enumerate(cosines):
        same(f"cosine{at:02}", cosines[name], 1e-8)
        same(f"cosine{at:02}", np.r_[np.zeros(skip), drift[:, at]], 1e-8)
    files = [nifti(n, masks[n].astype(np.uint8)) for n in ("csf", "wm", "csf_wm")]
    run = ACompCor(mask_files=files, mask_names=["CSF", "WM", "combined"], merge_method="none", header_prefix="x_",
                   variance_threshold=0.5, **common).run()
    for prefix, mask in (("c", "CSF"), ("w", "WM"), ("a", "combined")):
        components(f"{prefix}_comp_cor_", run.outputs, mask)
        wrong = [n for n in sidecar if n.startswith(f"{prefix}_comp_cor_") and sidecar[n]["Mask"] != mask]
        problems += [f"{n}: Mask is not {mask}" for n in wrong]
    ball = np.add.outer(np.add.outer(np.arange(-2, 3) ** 2, np.arange(-2, 3) ** 2), np.arange(-2, 3) ** 2) <= 4
    union = masks["brain"] | masks["t1w"]
    edge = nifti("edge", (ndimage.binary_dilation(union, ball) & ~union).astype(np.uint8))
    run = ACompCor(mask_files=edge, mask_names=["Edge"], merge_method="none", header_prefix="e_", num_components=24, **common).run()
    components("edge_comp_", run.outputs)
    os.chdir(folder)

means = {"global_signal": masks["brain"], "csf": masks["csf"], "white_matter": masks["wm"], "csf_wm": masks["csf_wm"], "tcompcor": variable}
for name, mask in means.items():
    same(name, series[:, mask].mean(axis=1, dtype=np.float64), 1e-7)
parameters = ["trans_x", "trans_y", "trans_z", "rot_x", "rot_y", "rot_z"]
for name in ["global_signal", "csf", "white_matter", *parameters]:
    # The table has nine digits, of which a small change of a large number keeps few.
    same(f"{name}_derivative1", table[name].diff(), 1e-5)
    same(f"{name}_power2", table[name] ** 2, 1e-7)
    same(f"{name}_derivative1_power2", table[name].diff() ** 2, 1e-5)
spikes = np.flatnonzero((table["framewise_displacement"] > 0.5) | (table["std_dvars"] > 1.5))
same("motion outliers", np.eye(shape[0])[spikes].T, 0, table.filter(like="motion_outlier"))
same("non-steady volumes", np.eye(shape[0])[:skip].T, 0, table.filter(like="non_steady_state_outlier"))
problems += [f"{n}: in one of table and sidecar only" for n in set(table) ^ set(sidecar)]

strategies = [
    {"strategy": ("motion",), "motion": "basic"},
    {"strategy": ("motion",), "motion": "full"},
    {"strategy": ("high_pass",)},
    {"strategy": ("wm_csf",), "wm_csf": "full"},
    {"strategy": ("global_signal",), "global_signal": "full"},
    {"strategy": ("motion", "scrub"), "motion": "basic"},
    {"strategy": ("high_pass", "compcor"), "compcor": "anat_combined"},
    {"strategy": ("high_pass", "compcor"), "compcor": "anat_separated"},
    {"strategy": ("high_pass", "compcor"), "compcor": "temporal_anat_combined"},
    {"strategy": ("non_steady_state",)},
    "simple", "scrubbing", "compcor",
]  # fmt: skip
for asked in strategies:
    try:
        named = isinstance(asked, str)
        load_confounds_strategy(str(image), denoise_strategy=asked) if named else load_confounds(str(image), **asked)
    except Exception as error:  # whatever nilearn raises is its refusal
        problems.append(f"nilearn, {asked}: {error}")
print("\n".join([*problems, f"{len(table.columns)} columns, {compared} compared, {len(strategies)} strategies, worst {worst[1]}, {len(problems)} problems"]))
sys.exit(1 if problems or compared < 100 else 0)
