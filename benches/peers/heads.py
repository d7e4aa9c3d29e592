#!/usr/bin/env python3
"""Brain masks of real heads by this program and by its peers, against reference masks.

    heads.py STEP NIIMATH [FOLDER]

STEP is target/release/examples/step, NIIMATH a niimath with -skullstrip (run.sh builds one into .cache/bench). FOLDER holds
NAME_T1w.nii.gz and NAME_desc-reference_mask.nii.gz; without it the heads of tests/data are taken. deepbet (PyPI) is run where
it is installed. Needs nibabel, numpy and scipy.

Tools put the edge of the brain at different depths, so what counts is what lies clearly outside or inside: "leak" is mask
farther than 1 mm outside the reference, "lost" is reference deeper than 4 mm that the mask lacks, both in ml. "dice" is the
plain overlap with the reference.
"""
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

import nibabel as nib
import numpy as np
from scipy.ndimage import distance_transform_edt


def score(mask, reference):
    image = nib.as_closest_canonical(nib.load(reference))
    zooms = np.array(image.header.get_zooms()[:3])
    true = np.asanyarray(image.dataobj) > 0
    found = np.asanyarray(nib.as_closest_canonical(nib.load(mask)).dataobj) > 0
    ml = zooms.prod() / 1000
    outside = distance_transform_edt(~true, sampling=zooms)
    inside = distance_transform_edt(true, sampling=zooms)
    return (2 * (true & found).sum() / (true.sum() + found.sum()), (found & (outside > 1)).sum() * ml,
            (~found & (inside > 4)).sum() * ml)


def cpu(command):
    """Runs a program; its processor time in seconds, or None when it fails."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime if done.returncode == 0 else None


def main():
    step, niimath = sys.argv[1:3]
    here = Path(__file__).resolve().parents[2]
    folder = Path(sys.argv[3]) if len(sys.argv) > 3 else here / "tests/data/heads"
    programs = {
        "neuro-preprocess": lambda scan, out: [step, "brain", scan, out],
        "niimath": lambda scan, out: [niimath, scan, "-skullstrip", "-bin", out, "-odt", "char"],
        "deepbet": lambda scan, out: ["deepbet-cli", "-i", scan, "-o", f"{out}.brain.nii.gz", "-m", out, "-g"],
    }
    rows = {name: [] for name in programs}
    for scan in sorted(folder.glob("*_T1w.nii.gz")):
        reference = scan.with_name(scan.name.replace("_T1w.", "_desc-reference_mask."))
        for name, command in programs.items():
            with tempfile.TemporaryDirectory() as place:
                out = Path(place) / "mask.nii.gz"
                try:
                    seconds = cpu([str(part) for part in command(scan, out)])
                except FileNotFoundError:
                    continue
                if seconds is None or not out.exists():
                    print(f"{scan.name[:-11]:12} {name:18} no mask", flush=True)
                    continue
                row = (*score(out, reference), seconds)
                rows[name].append(row)
                print(f"{scan.name[:-11]:12} {name:18} dice {row[0]:.3f}  leak {row[1]:6.1f} ml  lost {row[2]:6.1f} ml  "
                      f"{row[3]:6.1f} CPU s", flush=True)
    for name, found in rows.items():
        if found:
            dice, leak, lost, seconds = np.array(found).T
            print(f"{name}: {len(found)} heads, dice {dice.mean():.3f} (worst {dice.min():.3f}), leak {leak.mean():.1f} "
                  f"({leak.max():.1f}) ml, lost {lost.mean():.1f} ({lost.max():.1f}) ml, {seconds.mean():.1f} CPU s")


if __name__ == "__main__":
    main()
