#!/usr/bin/env python3
"""Makes the head template that brain extraction registers, as two small NIfTI files.

    make_head.py SOURCE OUT

SOURCE holds head_T1w.nii.gz, head_desc-brain_distance.nii.gz and head_desc-registration_distance.nii.gz (2 mm, one grid);
where they come from is in NOTICE beside the result. OUT gets head_T1w.nii.gz (uint8) and
head_desc-brain_distance.nii.gz (int8, quarters of a millimetre, negative inside the brain).

What is farther than KEEP_MM from the brain is never looked at: it becomes 0, and the grid is cut to the rest. That leaves
the face out as well. Needs numpy and nibabel.
"""
import gzip
import sys
from pathlib import Path

import nibabel as nib
import numpy as np

KEEP_MM = 34.0
UNIT_MM = 0.25
FINE_MM = 6.0


def save(path, voxels, affine, slope, what):
    """One NIfTI-1 file, compressed without name and time so that equal input gives equal bytes."""
    header = nib.Nifti1Header()
    header.set_data_dtype(voxels.dtype)
    header.set_data_shape(voxels.shape)
    header.set_xyzt_units("mm")
    header["descrip"] = what.encode()
    header.set_slope_inter(slope, 0)
    header.set_sform(affine, 2)
    header.set_qform(affine, 2)
    header["magic"], header["vox_offset"] = b"n+1", 352
    # The header and the voxels as they are: nibabel's own way of writing would divide the voxels by the slope.
    raw = header.binaryblock + bytes(4) + voxels.tobytes(order="F")
    with open(path, "wb") as file, gzip.GzipFile("", "wb", 9, file, mtime=0) as packed:
        packed.write(raw)


def main():
    source, out = Path(sys.argv[1]), Path(sys.argv[2])
    head, brain, around = (
        nib.load(source / f"head_{name}.nii.gz") for name in ("T1w", "desc-brain_distance", "desc-registration_distance")
    )
    voxels = np.asanyarray(head.dataobj).copy()
    distance = np.asanyarray(brain.dataobj).astype(np.float64) / 10.0
    near = np.minimum(distance, np.asanyarray(around.dataobj).astype(np.float64) / 10.0) <= KEEP_MM
    voxels[~near] = 0
    box = tuple(slice(a.min(), a.max() + 1) for a in np.nonzero(near))
    affine = head.affine.copy()
    affine[:3, 3] += affine[:3, :3] @ [s.start for s in box]
    limit = np.floor(127 * UNIT_MM)
    # Away from the surface whole millimetres are enough, and take half the room.
    step = np.where(np.abs(distance) < FINE_MM, UNIT_MM, 1.0)
    steps = np.round(np.round(np.clip(distance, -limit, limit) / step) * step / UNIT_MM).astype(np.int8)
    out.mkdir(parents=True, exist_ok=True)
    save(out / "head_T1w.nii.gz", np.ascontiguousarray(voxels[box]), affine, 1, "head, T1 contrast, symmetric")
    save(out / "head_desc-brain_distance.nii.gz", np.ascontiguousarray(steps[box]), affine, UNIT_MM, "mm, inside negative")


if __name__ == "__main__":
    main()
