"""How good a result is, as JSON on standard output.

    score.py brain RESULT TRUTH
    score.py bias ORIGINAL RESULT KIND TRUE_MASK TRUE_FIELD TRUE_LABELS     KIND: field, or image (the corrected one)
    score.py motion SERIES TABLE KIND TRUTH.json                            KIND: tsv, 1D, matrix"""
import json
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
from scipy import ndimage

GREY, WHITE = 2, 3


def load(path):
    return nib.load(path).get_fdata(dtype=np.float32)


def brain(result, truth):
    zooms = np.array(nib.load(truth).header.get_zooms()[:3])
    found, true = load(result) > 0, load(truth) > 0
    overlap = 2 * (found & true).sum() / (found.sum() + true.sum())
    box = ndimage.find_objects((found | true).astype(np.uint8))[0]
    found, true = (np.pad(m[box], 1) for m in (found, true))
    edges = [m & ~ndimage.binary_erosion(m) for m in (found, true)]
    far = [ndimage.distance_transform_edt(~e, sampling=zooms) for e in edges]
    distances = np.r_[far[1][edges[0]], far[0][edges[1]]]
    ml = zooms.prod() / 1000
    return {"dice": overlap, "hd95": np.percentile(distances, 95), "extra": (found & ~true).sum() * ml,
            "missing": (true & ~found).sum() * ml}


def cjv(image, labels):
    grey, white = image[labels == GREY], image[labels == WHITE]
    return (grey.std() + white.std()) / abs(white.mean() - grey.mean())


def bias(original, result, kind, mask, field, labels):
    image, made, true, labels = load(original), load(result), load(field), load(labels)
    inside = (load(mask) > 0) & (image > 0) & (made > 0)
    image, made, true, labels = (a[inside].astype(float) for a in (image, made, true, labels))
    found = made if kind == "field" else image / made
    a, b = np.log(found), np.log(true)
    return {"r": np.corrcoef(a, b)[0, 1], "residual": 100 * (a - b).std(), "cjv": cjv(image / found, labels),
            "ideal": cjv(image / true, labels), "before": cjv(image, labels)}


def rigid(parameters, centre):
    """The matrix of (tx, ty, tz, rx, ry, rz), mm and radians, rotating about x first and z last, about the centre."""
    (sx, sy, sz), (cx, cy, cz) = np.sin(parameters[3:]), np.cos(parameters[3:])
    x = np.array([[1, 0, 0], [0, cx, -sx], [0, sx, cx]])
    y = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    z = np.array([[cz, -sz, 0], [sz, cz, 0], [0, 0, 1]])
    return about(z @ y @ x, parameters[:3], centre)


def about(rotation, shift, centre):
    m = np.eye(4)
    m[:3, :3], m[:3, 3] = rotation, centre + np.asarray(shift) - rotation @ centre
    return m


def niimath_rigid(row, centre):
    """The matrix of roll, pitch, yaw (degrees about S, L, P; roll first, yaw last) and shifts to S, L, P in mm. The row
    says how to bring the volume back, so the head's own motion is the inverse."""
    (sr, sp, sy), (cr, cp, cy) = np.sin(np.radians(row[:3])), np.cos(np.radians(row[:3]))
    z = np.array([[cr, -sr, 0], [sr, cr, 0], [0, 0, 1]])
    x = np.array([[1, 0, 0], [0, cp, -sp], [0, sp, cp]])
    y = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    lps = np.diag([-1.0, -1.0, 1.0])
    return np.linalg.inv(about(lps @ (y @ x @ z) @ lps, lps @ [row[4], row[5], row[3]], centre))


def matrix(row):
    """A 3 x 4 matrix in LPS as one in RAS."""
    lps = np.diag([-1.0, -1.0, 1.0, 1.0])
    return lps @ np.vstack([row.reshape(3, 4), [0, 0, 0, 1]]) @ lps


def motion(series, table, kind, truth):
    """RMS deviation (Jenkinson 1999) on a sphere of 80 mm. Tools refer to different volumes or to a mean of them: a shift or
    rotation that is the same for all volumes is no error and is taken off first."""
    image = nib.load(series)
    centre = (image.affine @ [*((np.array(image.shape[:3]) - 1) / 2), 1])[:3]
    rows = np.loadtxt(table, skiprows=int(kind == "tsv"), ndmin=2)
    read = {"tsv": lambda r: rigid(r, centre), "1D": lambda r: niimath_rigid(r, centre), "matrix": matrix}[kind]
    true = [np.array(m) for m in json.loads(Path(truth).read_text())["Matrices"]]
    errors = np.array([np.linalg.inv(t) @ read(r) for r, t in zip(rows, true)])
    constant = errors.mean(axis=0)
    u, _, v = np.linalg.svd(constant[:3, :3])
    constant[:3, :3] = u @ v
    errors = errors @ np.linalg.inv(constant) - np.eye(4)
    shift = errors[:, :3, :3] @ centre + errors[:, :3, 3]
    rms = np.sqrt(80**2 / 5 * (errors[:, :3, :3] ** 2).sum(axis=(1, 2)) + (shift**2).sum(axis=1))
    return {"mean": rms.mean(), "p95": np.percentile(rms, 95), "max": rms.max()}


if __name__ == "__main__":
    kind, *arguments = sys.argv[1:]
    result = {"brain": brain, "bias": bias, "motion": motion}[kind](*arguments)
    print(json.dumps({k: float(v) for k, v in result.items()}))
