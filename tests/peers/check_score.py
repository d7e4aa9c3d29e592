"""Recomputes with nibabel, numpy and scipy what `score --format json` says of a derivative dataset, from the same files.
Prints what differs; exit 1 if anything does.

    check_score.py RAW DERIVATIVES TRUTH SCORES.json"""
import json
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
from scipy import ndimage
from scipy.spatial.transform import Rotation

raw, derived, truth = map(Path, sys.argv[1:4])
scores = json.loads(Path(sys.argv[4]).read_text())
SPHERE_MM = 80.0


def load(path):
    image = nib.as_closest_canonical(nib.load(path))
    return np.asarray(image.dataobj, dtype=np.float64), image


def dice(found, true):
    return 2 * (found & true).sum() / (found.sum() + true.sum())


def surface(mask):
    return mask & ~ndimage.binary_erosion(mask)


def mask_measures(found, true, zooms):
    ml = np.prod(zooms) / 1000
    edges = surface(found), surface(true)
    far = [ndimage.distance_transform_edt(~e, sampling=zooms) for e in edges]
    pooled = np.concatenate([far[1][edges[0]], far[0][edges[1]]])
    return {
        "dice": dice(found, true),
        "hd95_mm": np.quantile(pooled, 0.95),
        "false_positive_ml": (found & ~true).sum() * ml,
        "false_negative_ml": (true & ~found).sum() * ml,
    }


def cjv(image, labels, brain):
    grey, white = image[(labels == 2) & brain], image[(labels == 3) & brain]
    return (grey.std() + white.std()) / abs(grey.mean() - white.mean())


def t1w_measures(name, folder, brain):
    field = load(derived / folder / f"{name}_desc-biasfield_T1w.nii.gz")[0]
    true = load(truth / folder / f"{name}_desc-bias_T1w.nii.gz")[0]
    labels = load(truth / folder / f"{name}_dseg.nii.gz")[0]
    image = load(derived / folder / f"{name}_desc-preproc_T1w.nii.gz")[0]
    scan = load(raw / folder / f"{name}_T1w.nii.gz")[0]
    target = json.loads((derived / folder / f"{name}_desc-preproc_T1w.json").read_text())["IntensityTarget"]
    a, b = np.log(field[brain]), np.log(true[brain])
    tissues = load(derived / folder / f"{name}_dseg.nii.gz")[0]
    numbers = {"grey_dice": (1, (2, 4)), "white_dice": (2, (3,)), "csf_dice": (3, (1,))}
    overlap = {m: dice(tissues == n, np.isin(labels, true_ones) & brain) for m, (n, true_ones) in numbers.items()}
    found, ideal = cjv(image, labels, brain), cjv(scan / true, labels, brain)
    return {
        "field_r": np.corrcoef(a, b)[0, 1],
        "field_residual_percent": 100 * (a - b).std(),
        "cjv": found,
        "cjv_ideal": ideal,
        "cjv_excess_percent": 100 * (found / ideal - 1),
        "white_matter_level": np.median(image[(labels == 3) & brain]) / target,
        **overlap,
    }


def bold_measures(name, folder, image):
    centre = (image.affine @ [*(np.array(image.shape[:3]) - 1) / 2, 1])[:3]
    table = np.genfromtxt(derived / folder / f"{name}_desc-confounds_timeseries.tsv", names=True, missing_values="n/a")
    sidecar = json.loads((truth / folder / f"{name}_desc-motion_timeseries.json").read_text())
    true = np.array(sidecar["Matrices"])
    found = np.tile(np.eye(4), (len(table), 1, 1))
    found[:, :3, :3] = Rotation.from_euler("xyz", np.stack([table[f"rot_{a}"] for a in "xyz"], 1)).as_matrix()
    shift = np.stack([table[f"trans_{a}"] for a in "xyz"], 1)
    found[:, :3, 3] = shift + centre - found[:, :3, :3] @ centre
    apart = []
    for f, t in zip(found @ np.linalg.inv(found[0]), true @ np.linalg.inv(true[0])):
        d = f @ np.linalg.inv(t) - np.eye(4)
        moved = d[:3, 3] + d[:3, :3] @ centre
        apart.append(np.sqrt(SPHERE_MM**2 / 5 * np.trace(d[:3, :3].T @ d[:3, :3]) + moved @ moved))
    p95 = np.quantile(apart, 0.95)
    return {"motion_rms_mean_mm": np.mean(apart), "motion_rms_p95_mm": p95, "motion_rms_max_mm": np.max(apart)}


problems, compared = [], 0
for scan in scores["scans"]:
    name, _, suffix = scan["scan"].rpartition("_")
    folder = Path(name.split("_")[0]) / {"T1w": "anat", "bold": "func"}[suffix]
    true, image = load(truth / folder / f"{name}_desc-brain_mask.nii.gz")
    brain = true > 0
    mask = load(derived / folder / f"{name}_desc-brain_mask.nii.gz")[0] > 0
    expected = mask_measures(mask, brain, image.header.get_zooms()[:3])
    expected |= t1w_measures(name, folder, brain) if suffix == "T1w" else bold_measures(name, folder, image)
    if expected.keys() != scan["measures"].keys():
        problems.append(f"{scan['scan']}: measures {sorted(expected.keys() ^ scan['measures'].keys())} on one side only")
    for measure, value in scan["measures"].items():
        compared += 1
        if not np.isclose(value, expected.get(measure, np.nan), rtol=1e-3, atol=1e-4):
            problems.append(f"{scan['scan']}: {measure} {value}, recomputed {expected.get(measure)}")
print("\n".join(problems + [f"{compared} measures, {len(problems)} problems"]))
sys.exit(1 if problems or not compared else 0)
