"""Fits a BIDS Stats model to a run in template space with FitLins, which finds everything it needs by itself.

    check_fitlins.py BIDS DERIVATIVES PARTICIPANT TASK

To be run with the Python of an environment that has FitLins. The raw dataset has the events (of trial type `on`) and the
derivatives have the image, its mask and the confounds. The model has one level, of the run, and one contrast. Prints one JSON
object: what FitLins wrote, and how its statistic lies in our mask.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd

bids, derivatives, participant, task = Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve(), sys.argv[3], sys.argv[4]
template = "MNI152NLin2009cAsym"
motion = ["trans_x", "trans_y", "trans_z", "rot_x", "rot_y", "rot_z"]
# Of a short run there are no cosines.
confounds = [*motion, "framewise_displacement", "csf", "white_matter", "cosine*"]
model = {
    "Name": "on",
    "BIDSModelVersion": "1.0.0",
    "Input": {"subject": [participant], "task": [task], "space": [template]},
    "Nodes": [
        {
            "Level": "Run",
            "Name": "run",
            "GroupBy": ["run", "subject"],
            "Transformations": {
                "Transformer": "pybids-transforms-v1",
                "Instructions": [
                    {"Name": "Factor", "Input": ["trial_type"]},
                    {"Name": "Convolve", "Model": "spm", "Input": ["trial_type.on"]},
                ],
            },
            "Model": {"Type": "glm", "X": [1, "trial_type.on", *confounds]},
            "Contrasts": [{"Name": "on", "ConditionList": ["trial_type.on"], "Weights": [1], "Test": "t"}],
        }
    ],
}

with tempfile.TemporaryDirectory() as folder:
    folder = Path(folder)
    out = folder / "out"
    file = folder / "model-on_smdl.json"
    file.write_text(json.dumps(model))
    command = [str(Path(sys.executable).with_name("fitlins")), str(bids), str(out), "run"]
    command += ["--derivatives", str(derivatives), "--model", str(file), "--participant-label", participant]
    command += ["--space", template, "--desc-label", "preproc", "--estimator", "nilearn"]
    command += ["--n-cpus", "1", "--work-dir", str(folder / "work")]
    # nipype looks for a newer version of itself over the network; matplotlib looks for a screen.
    ran = subprocess.run(command, env={**os.environ, "NO_ET": "1", "MPLBACKEND": "agg"}, capture_output=True, text=True)
    if ran.returncode:
        sys.exit(f"FitLins ended with {ran.returncode}\n{ran.stdout}\n{ran.stderr}")

    maps = {file.name: nib.load(file) for file in sorted(out.rglob("*_statmap.nii.gz"))}
    of = [name for name in maps if "_contrast-on_stat-t_" in name]
    found = {"maps": len(maps), "t maps": len(of), "reports": len(list(out.rglob("*.html")))}
    designs = sorted(out.rglob("*_design.tsv"))
    found["designs"] = len(designs)
    found["columns"] = pd.read_csv(designs[0], sep="\t").columns.tolist() if designs else []

    [mask] = (derivatives / f"sub-{participant}" / "func").glob(f"sub-{participant}_task-{task}_space-{template}_*mask.nii.gz")
    mask = nib.load(mask)
    inside = np.asarray(mask.dataobj) > 0
    statistic = maps[of[0]]
    values = statistic.get_fdata()
    found["the mask's grid"] = statistic.shape == mask.shape and bool(np.allclose(statistic.affine, mask.affine))
    found["voxels of the mask"] = int(inside.sum())
    found["finite"] = int(np.isfinite(values[inside]).sum())
    found["with a statistic"] = int((values[inside] != 0).sum())
    found["outside the mask"] = int((values[~inside] != 0).sum())
    found["t, median"] = float(np.median(values[inside]))
    found["t, 1 %"], found["t, 99 %"] = (float(np.quantile(values[inside], share)) for share in (0.01, 0.99))
print(json.dumps(found))
