"""Fieldmaps beside their peers, on the phantom's own maps: distortion.py --root REPOSITORY [--out FOLDER]

The phantom's example writes phases, magnitudes and pairs of three heads with smooth and steep fields, with the truth; each program
runs as a whole process (measure.py), one thread, in turns."""
import argparse
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np

from measure import Tool, alternate

READOUT = 0.035
HEADS = [f"{kind}-{head}" for kind in ("smooth", "steep") for head in (1, 2, 3)]
TIMES = ["2.46", "4.92", "9.84"]
HERE = Path(__file__).parent


def load(path):
    return np.asarray(nib.load(path).dataobj, dtype=np.float32)


def wraps(case):
    """Voxels that are whole cycles off, after the cycles that all have in common: of the head, and of the brain in it."""
    folder, ms, out = case
    off = load(out) - load(folder / f"truth-{ms}.nii.gz")
    head, brain = (load(folder / f"{name}.nii.gz") > 0 for name in ("head", "brain"))
    off -= 2 * np.pi * np.round(np.median(off[head]) / (2 * np.pi))
    wrong = (np.abs(off) > 3) & head
    return {"wrong": f"{wrong.sum()} ({(wrong & brain).sum()})"}


def field(case):
    """Errors in the brain in voxels of displacement, the constant (median) removed, and voxels whose signal folds."""
    folder, name, out = case
    shift, truth = load(out) * READOUT, load(folder / f"{name}-hz.nii.gz") * READOUT
    brain = load(folder / f"{name}-brain.nii.gz") > 0
    # Programs mean different signs by the same order of images; each is given its own.
    offs = [(sign * shift - truth)[brain] for sign in (1, -1)]
    off = min((np.abs(off - np.median(off)) for off in offs), key=np.mean)
    folds = int((np.abs(np.gradient(shift, axis=1)) >= 1).sum())
    return {"mean": float(off.mean()), "high": float(np.quantile(off, 0.95)), "folds": folds}


def step(name, *arguments):
    return [sys.executable, HERE / "tools.py", name, *arguments]


def row(tool, first, keys):
    failed = next((r.error for r in tool.runs if r.error), None)
    if failed:
        return f"| {tool.name} | did not run: {failed.replace('|', '/')} |" + " |" * (3 + len(keys))
    scores = [" / ".join(form.format(s[key]) for s in tool.scores) for key, form in keys]
    cells = [tool.name, *scores, f"{tool.median('core'):.3f}", f"{tool.median('cpu'):.2f}",
             f"{tool.ratio('core', first):.1f}×", f"{tool.ratio('cpu', first):.1f}×"]
    return "| " + " | ".join(cells) + " |"


def table(title, columns, keys, tools, cases, rounds):
    alternate(tools, cases, rounds, 600, lambda line: print(line, file=sys.stderr, flush=True), threads=1)
    names = ["program", *columns, "step s", "CPU s", "step", "CPU"]
    lines = [f"### {title}\n", "| " + " | ".join(names) + " |", "|---" * len(names) + "|"]
    return "\n".join(lines + [row(t, tools[0], keys) for t in tools])


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--root", type=Path, required=True)
    arguments.add_argument("--out", type=Path)
    given = arguments.parse_args()
    out = given.out or given.root / ".cache/bench/fieldmaps"
    target = given.root / "target/release/examples"
    if not (out / HEADS[-1] / "moved-brain.nii.gz").exists():
        subprocess.run([target / "fieldmaps", "--write", out], check=True)

    tables = []
    for ms in TIMES:
        cases = [(out / head, ms, out / "unwrapped.nii.gz") for head in HEADS]
        files = lambda c: (c[0] / f"phase-{c[1]}.nii.gz", c[0] / "magnitude.nii.gz", c[0] / "head.nii.gz", c[2])
        ours = Tool("neuro-preprocess", lambda c: [[target / "fieldmaps", "--unwrap", *files(c)]], wraps)
        romeo = Tool("ROMEO (warpkit)", lambda c: [step("romeo", *files(c))], wraps)
        skimage = Tool("scikit-image unwrap_phase", lambda c: [step("skimage_unwrap", *files(c))], wraps)
        tables.append(table(f"Phase difference of {ms} ms", ["voxels wrong in the head (in the brain)"], [("wrong", "{}")],
                            [ours, romeo, skimage], cases, len(cases)))
    for name in ("still", "moved"):
        cases = [(out / head, name, out / "field.nii.gz") for head in HEADS]
        files = lambda c: (c[0] / f"{c[1]}-first.nii.gz", c[0] / f"{c[1]}-second.nii.gz", c[2])
        ours = Tool("neuro-preprocess", lambda c: [[target / "fieldmaps", "--pair", *files(c)]], field)
        peers = [Tool(f"pyhysco, alpha {alpha}", lambda c, alpha=alpha: [step("pyhysco", *files(c), alpha)], field)
                 for alpha in (300, 50)]
        keys = [("mean", "{:.3f}"), ("high", "{:.3f}"), ("folds", "{}")]
        tables.append(table(f"Pair of opposite phase encoding, head {name}", ["mean error", "95 %", "folds"], keys,
                            [ours, *peers], cases, len(cases)))
    print("\n\n".join(tables))


if __name__ == "__main__":
    main()
