"""Holds the T2* and S0 maps and the combined series of a run with several echoes against tedana's.

    check_echoes.py ECHO1 ECHO2 ECHO3 ... --echo-times 0.012 0.028 0.044 ... --mask MASK --t2star MAP --s0 MAP
        --combined SERIES [--denoise]

tedana's t2smap fits a line to the logarithm of the same echoes, and combines them by T2*. It leaves out echoes without signal
(masktype dropout, its default), and those that are zero or negative at any time; voxels where it did are counted and compared
apart. Times and T2* are in seconds. T2* is compared where tedana's is what it fitted: not where it put one
millisecond for a signal that does not decay, nor above half a second, where the slope is lost in its own rounding. With
--denoise the whole of tedana runs on the echoes too, to see that it comes to an end with them. Prints one JSON object;
differences are relative to tedana's value.
"""

import argparse
import json
import tempfile
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
from tedana.workflows import t2smap_workflow, tedana_workflow

FLAT, STEEP = 0.5, 0.001  # seconds

asked = argparse.ArgumentParser()
asked.add_argument("echoes", nargs="+", type=Path)
asked.add_argument("--echo-times", nargs="+", type=float, required=True)
for name in ("mask", "t2star", "s0", "combined"):
    asked.add_argument(f"--{name}", type=Path, required=True)
asked.add_argument("--denoise", action="store_true")
asked = asked.parse_args()


def values(file):
    return np.asarray(nib.load(file).dataobj, np.float64)


mask = values(asked.mask) > 0
echoes = [str(file) for file in asked.echoes]
with tempfile.TemporaryDirectory() as folder:
    t2smap_workflow(
        echoes, asked.echo_times, out_dir=folder, mask=str(asked.mask), masktype=["dropout"], fittype="loglin", combmode="t2s", quiet=True
    )
    theirs = {
        "T2*": values(Path(folder) / "T2starmap.nii.gz")[mask],
        "S0": values(Path(folder) / "S0map.nii.gz")[mask],
        "combined": values(Path(folder) / "desc-optcom_bold.nii.gz")[mask],
    }
    used = values(Path(folder) / "desc-adaptiveGoodSignal_mask.nii.gz")[mask]
ours = {"T2*": values(asked.t2star)[mask], "S0": values(asked.s0)[mask], "combined": values(asked.combined)[mask]}

fitted = (theirs["T2*"] > STEEP * 1.0001) & (theirs["T2*"] < FLAT)
all_of_them = used == len(echoes)
found = {
    "voxels": int(mask.sum()),
    "voxels with fewer echoes": int((~all_of_them).sum()),
    "voxels with no echo": int((used == 0).sum()),
    "voxels that do not decay": int((all_of_them & (theirs["T2*"] <= STEEP * 1.0001)).sum()),
    "voxels that hardly decay": int((all_of_them & (theirs["T2*"] >= FLAT)).sum()),
    "T2*, median, seconds": float(np.median(theirs["T2*"][all_of_them & fitted])),
    "finite": all(bool(np.isfinite(map).all()) for map in ours.values()),
}
for where, voxels in (("", all_of_them), (", fewer echoes", ~all_of_them & (used > 0))):
    for what in theirs:
        # A combined series and S0 can be compared everywhere: the slope is put right before the one, and does not matter to the other.
        here = voxels & fitted if what == "T2*" else voxels
        if not here.any():
            continue
        apart = np.abs(ours[what][here] - theirs[what][here]) / np.maximum(np.abs(theirs[what][here]), np.finfo(np.float32).tiny)
        found[f"{what}, 99.9 %{where}"] = float(np.quantile(apart, 0.999))
        found[f"{what}, median{where}"] = float(np.median(apart))
        found[f"{what}, largest{where}"] = float(apart.max())
if asked.denoise:
    with tempfile.TemporaryDirectory() as folder:
        tedana_workflow(
            echoes, asked.echo_times, out_dir=folder, mask=str(asked.mask), tedpca="aic", no_reports=True, quiet=True
        )
        components = pd.read_csv(Path(folder) / "desc-tedana_metrics.tsv", sep="\t")
        cleaned = values(Path(folder) / "desc-denoised_bold.nii.gz")[mask]
        found["components"] = len(components)
        found["components kept"] = int((components["classification"] == "accepted").sum())
        found["voxels cleaned"] = int((np.isfinite(cleaned).all(axis=1) & (cleaned.std(axis=1) > 0)).sum())
print(json.dumps(found))
