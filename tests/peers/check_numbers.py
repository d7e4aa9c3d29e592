"""Compares what the reader of this program took from NIfTI files with what nibabel takes from them, in nibabel's closest
canonical order: every voxel exactly (as float32), the affine to 1e-6, voxel sizes and repetition time to 1e-6 of themselves;
and, where both affines agree, the affine and the shape of the preprocessed image that was made of the file. Prints a JSON
object: for each name the things that differ, joined by commas, or "" for none, or "refused" and why.

    check_numbers.py FILE

FILE is a JSON list of objects with name, input (the scan), values (float32, t z y x), shape, affine, zooms (x y z), tr and
output (the preprocessed image)."""
import json
import sys
import tempfile
import warnings
from pathlib import Path

import nibabel as nib
import numpy as np

SECONDS = {0: None, 8: 1.0, 16: 1e-3, 24: 1e-6}


def seconds(header):
    """The repetition time as nibabel gives it, in the unit the header names; None where it names none of time."""
    unit = SECONDS.get(int(header["xyzt_units"]) & 0x38, 0.0)
    zooms = header.get_zooms()
    return float(zooms[3]) * unit if len(zooms) > 3 and unit else None


def compare(case, folder):
    # nibabel goes by the name; the content may be the other of .nii and .nii.gz.
    content = Path(case["input"]).read_bytes()
    path = folder / ("scan.nii.gz" if content[:2] == b"\x1f\x8b" else "scan.nii")
    path.write_bytes(content)
    try:
        image = nib.load(path)
        while image.ndim > 3 and image.shape[-1] == 1:
            image = image.slicer[..., 0]
        canonical = nib.as_closest_canonical(image)
        values = np.asarray(canonical.dataobj.get_scaled(np.float64) if hasattr(canonical.dataobj, "get_scaled")
                            else canonical.get_fdata(dtype=np.float64))
        tr = seconds(nib.load(path).header) if image.ndim == 4 else None
    except Exception as error:  # whatever nibabel raises is its refusal
        return f"refused: {error}"
    ours = np.fromfile(case["values"], np.float32).reshape(case["shape"])
    theirs = values.reshape(*values.shape[:3], -1).transpose(3, 2, 1, 0).astype(np.float32)
    affine = np.array(case["affine"])
    differs = []
    if ours.shape != theirs.shape or not np.array_equal(ours, theirs):
        differs.append("values")
    scale = max(1.0, float(np.nanmax(np.abs(canonical.affine))))
    if not np.allclose(affine, canonical.affine, rtol=0, atol=1e-6 * scale):
        differs.append("affine")
    if not np.allclose(case["zooms"], canonical.header.get_zooms()[:3], rtol=1e-6):
        differs.append("zooms")
    if tr and np.isfinite(tr) and (case["tr"] is None or not np.isclose(tr, case["tr"], rtol=1e-6)):
        differs.append("tr")
    if "affine" not in differs:
        made = nib.load(case["output"])
        expected = image.affine
        if made.shape[:3] != image.shape[:3] or not np.allclose(made.affine, expected, rtol=0, atol=1e-5 * scale):
            differs.append("output")
    return ",".join(differs)


warnings.simplefilter("ignore")
with tempfile.TemporaryDirectory() as folder:
    cases = json.loads(Path(sys.argv[1]).read_text())
    print(json.dumps({case["name"]: compare(case, Path(folder)) for case in cases}))
