"""Computes the measures of quality a second time, by their published formulas with NumPy and SciPy, from the derivatives on
disk, and compares them with those in the summaries. Prints what differs by more than the tolerance; exit 1 if anything does.

    check_quality.py DERIVATIVES

The tissue labels are taken from the derivatives. Images are stored as 16-bit
integers, which is why the tolerance is not zero."""
import csv
import json
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
from scipy import ndimage, stats

TOLERANCE = 0.01  # relative; of values near zero the same, absolute
MAD = stats.norm.ppf(0.75)
CROSS = ndimage.generate_binary_structure(3, 1)


def load(path):
    """Array (z, y, x) or (t, z, y, x) in RAS order, and voxel sizes z, y, x."""
    image = nib.as_closest_canonical(nib.load(path))
    return np.asarray(image.dataobj, dtype=np.float64).T, np.array(image.header.get_zooms()[:3], float)[::-1]


def mad(values):
    return np.median(np.abs(values - np.median(values))) / MAD


def within(mask, mm, radius):
    """Voxels no further than the radius from the mask; nothing where it is empty."""
    return ndimage.distance_transform_edt(~mask, sampling=mm) <= np.sqrt(radius**2 + 1e-4)


def air(image, brain, mm):
    """Mortamet 2009: the air above the brain's middle, its noise and the part of it that is artefact."""
    factor = np.maximum(np.round(4 / mm), 1).astype(int)
    pad = [(0, -n % f) for n, f in zip(image.shape, factor)]
    shape = [(n + p[1]) // f for n, p, f in zip(image.shape, pad, factor)]
    blocks = np.pad(image, pad, constant_values=np.nan).reshape(shape[0], factor[0], shape[1], factor[1], shape[2], factor[2])
    small, coarse_mm = np.nanmean(blocks, axis=(1, 3, 5)), mm * factor
    floor = np.quantile(small[small > 0], 0.1)
    labels, _ = ndimage.label(small > floor + 0.25 * (np.median(image[brain]) - floor), CROSS)
    bright = labels == np.argmax(np.bincount(labels.ravel())[1:]) + 1
    closed = ~within(~within(bright, coarse_mm, 10), coarse_mm, 10)
    head = within(ndimage.binary_fill_holes(closed, CROSS), coarse_mm, 5)
    slices = brain.sum(axis=(1, 2))
    first = int((np.arange(len(slices)) * slices).sum() // slices.sum())
    distance = ndimage.distance_transform_edt(~head, sampling=coarse_mm) ** 2
    far = (distance >= 12 ** 2) & (np.arange(head.shape[0]) >= -(-first // factor[0]))[:, None, None]
    shadows = [np.broadcast_to(head.any(axis=axis, keepdims=True), head.shape) for axis in range(3)]
    alone = [far & s & ~(shadows[a - 1] | shadows[a - 2]) for a, s in enumerate(shadows)]
    distance /= distance[first // factor[0]:].max()
    full = lambda a: a.repeat(factor[0], 0).repeat(factor[1], 1).repeat(factor[2], 2)[tuple(slice(n) for n in image.shape)]
    head, distance = full(head), full(distance)
    above = (np.arange(image.shape[0]) >= first)[:, None, None] & ~head
    values = image[above & (image > 0)]
    lines = [image[full(line) & (image > 0)] for line in alone]
    means = sorted(line.mean() for line in lines) if min(map(len, lines)) >= 1000 else None
    ghosts = {"air_ghosts": 2 * means[2] / (means[0] + means[1])} if means else {}
    limit = np.median(values) + 10 * mad(values)
    artefact = ndimage.binary_opening((image > limit) & above & (distance >= 0.01), CROSS)
    noise = values[values <= limit]
    return {
        "qi_1": artefact.sum() / above.sum(),
        "air_tail": np.quantile(values, 0.99) / np.median(values),
        "fber": np.median(image[head]) ** 2 / np.median(image[~head]) ** 2,
        **ghosts,
    }, noise.std(), mad(noise)


def fwhm(image, brain, mm):
    """Forman 1995, as 3dFWHMx -classic has it."""
    found = {}
    for name, axis in zip("xyz", (2, 1, 0)):
        pairs = [np.take(a, range(s, a.shape[axis] - 1 + s), axis) for a in (image, brain) for s in (0, 1)]
        steps = (pairs[1] - pairs[0])[pairs[2] & pairs[3]]
        inside = 1 - 0.5 * steps.var() / image[brain].var()
        found[f"fwhm_{name}"] = np.sqrt(8 * np.log(2)) * np.sqrt(-1 / (4 * np.log(inside))) * mm[axis]
    return found | {"fwhm_avg": np.mean(list(found.values()))}


def t1w(files):
    image, mm = load(files["desc-preproc_T1w.nii.gz"])
    brain = load(files["desc-brain_mask.nii.gz"])[0] > 0
    labels = load(files["dseg.nii.gz"])[0]
    tissue = {n: np.maximum(image[brain & (labels == v)], 0) for n, v in (("csf", 3), ("gm", 1), ("wm", 2))}
    median = {n: np.median(v) for n, v in tissue.items()}
    contrast = abs(median["wm"] - median["gm"])
    found, noise_sd, noise_mad = air(image, brain, mm)
    positive = image[image > 0]
    energy, voxels = np.sqrt((positive**2).sum()), image.size
    found |= fwhm(image, brain, mm) | {
        "cjv": (mad(tissue["wm"]) + mad(tissue["gm"])) / contrast,
        "cnr": contrast / np.sqrt(noise_sd**2 + tissue["gm"].var() + tissue["wm"].var()),
        "efc": (positive / energy * np.log(positive / energy)).sum() / (np.sqrt(voxels) * np.log(1 / np.sqrt(voxels))),
        "wm2max": median["wm"] / np.quantile(image, 0.9995),
        "brain_ml": brain.sum() * mm.prod() / 1000,
    }
    found |= {f"snr_{n}": median[n] / (v.std() * np.sqrt(len(v) / (len(v) - 1))) for n, v in tissue.items()}
    found |= {f"snrd_{n}": median[n] / (noise_mad * np.sqrt(2 / (4 - np.pi))) for n in tissue}
    for kind in ("snr", "snrd"):
        found[f"{kind}_total"] = np.mean([found[f"{kind}_{n}"] for n in tissue])
    return found


def matrix(turn):
    """Rz·Ry·Rx."""
    (cx, cy, cz), (sx, sy, sz) = np.cos(turn), np.sin(turn)
    rx = np.array([[1, 0, 0], [0, cx, -sx], [0, sx, cx]])
    ry = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    rz = np.array([[cz, -sz, 0], [sz, cz, 0], [0, 0, 1]])
    return rz @ ry @ rx


def dvars(courses):
    """Power 2012 and Nichols 2013, for voxels that change; a value per volume but the first."""
    n = courses.shape[1]
    centred = courses - courses.mean(axis=1, keepdims=True)
    autocorrelation = (centred[:, 1:] * centred[:, :-1]).sum(axis=1) / (centred**2).sum(axis=1)
    ordered = np.sort(courses, axis=1)
    spread = (ordered[:, int(0.75 * (n - 1))] - ordered[:, int(0.25 * (n - 1))]) / 1.349
    expected = (np.sqrt(2 * (1 - autocorrelation)) * spread).mean()
    change = np.sqrt((np.diff(courses, axis=1) ** 2).mean(axis=0))
    return change * 1000 / np.median(courses.mean(axis=1)), change / expected


def bold(files):
    series, _ = load(files["desc-preproc_bold.nii.gz"])
    mask = load(files["desc-brain_mask.nii.gz"])[0] > 0
    with open(files["desc-confounds_timeseries.tsv"]) as table:
        rows = list(csv.DictReader(table, delimiter="\t"))
    skip = sum(name.startswith("non_steady") for name in rows[0])
    motion = np.array([[float(r[k]) for k in ("trans_x", "trans_y", "trans_z", "rot_x", "rot_y", "rot_z")] for r in rows])
    fd = (np.abs(np.diff(motion, axis=0)) * [1, 1, 1, 50, 50, 50]).sum(axis=1)[skip:]
    turns = np.array([matrix(row[3:]) for row in motion])
    rmsd = np.sqrt(80**2 / 5 * (np.diff(turns, axis=0) ** 2).sum(axis=(1, 2)) + (np.diff(motion[:, :3], axis=0) ** 2).sum(axis=1))[skip:]
    courses = series[:, mask].T
    plain, standard = dvars(courses[courses.std(axis=1) > 0])
    steady = courses[:, skip:]
    n = steady.shape[1]
    middle = lambda a: np.sort(a, axis=1)[:, n // 2, None]
    distance = np.abs(steady - middle(steady))
    limit = stats.norm.isf(0.001 / n) * np.sqrt(np.pi / 2) * middle(distance)
    changing = steady.std(axis=1) > 0
    found = {
        "tsnr": np.median(steady[changing].mean(axis=1) / steady[changing].std(axis=1)),
        "aor": ((distance > limit) & (limit > 0)).sum() / steady.size,
        "dvars_nstd": plain[skip:].mean(), "dvars_std": standard[skip:].mean(),
        "fd_mean": fd.mean(), "fd_max": fd.max(), "fd_perc": 100 * (fd > 0.2).mean(),
        "rmsd_mean": rmsd.mean(), "rmsd_max": rmsd.max(), "rmsd_perc": 100 * (rmsd > 0.2).mean(),
    }
    mean = series[skip:].mean(axis=0)
    for name, axis in (("gsr_x", 2), ("gsr_y", 1)):
        ghost = np.roll(mask, -(mask.shape[axis] // 2), axis) & ~mask
        found[name] = (mean[ghost].mean() - mean[~ghost & ~mask].mean()) / mean[mask].mean()
    return found


root = Path(sys.argv[1])
problems, compared, worst = [], 0, (0.0, "")
for path in sorted(root.glob("sub-*/*_summary.json")):
    for scan in json.loads(path.read_text())["scans"]:
        entities = scan["scan_id"].rsplit("_", 1)[0]
        files = {Path(o).name.removeprefix(entities + "_"): root / o for o in scan["outputs"]}
        computed = (t1w if scan["modality"] == "T1w" else bold)(files)
        for name, expected in computed.items():
            value = scan["quality"].get(name)
            if value is None:
                problems.append(f"{scan['scan_id']} {name}: missing, NumPy has {expected:.6g}")
                continue
            compared += 1
            off = abs(value - expected) / max(abs(expected), 0.01 if name in ("aor", "qi_1", "gsr_x", "gsr_y") else 1e-9)
            worst = max(worst, (off, f"{scan['scan_id']} {name}"))
            if not off <= TOLERANCE:
                problems.append(f"{scan['scan_id']} {name}: {value:.6g}, NumPy has {expected:.6g}")
        problems += [f"{scan['scan_id']} {name}: not computed here" for name in sorted(set(scan["quality"]) - set(computed))]
print("\n".join(problems + [f"largest difference {100 * worst[0]:.2f} % ({worst[1]})", f"{compared} measures, {len(problems)} problems"]))
sys.exit(1 if problems or not compared else 0)
