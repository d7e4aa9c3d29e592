"""Checks a derivative dataset against its raw dataset with nibabel: every image opens, has the affine and shape of the
scan it was made from (in template space those of the template's grid of 2 mm), the data type its kind has, and finite values. Prints what is wrong; exit 1 if anything is.

    check_derivatives.py RAW DERIVATIVES"""
import json
import sys
from pathlib import Path

import nibabel as nib
import numpy as np

raw, derived = map(Path, sys.argv[1:3])
MNI = np.array([[2, 0, 0, -96.5], [0, 2, 0, -132.5], [0, 0, 2, -78.5], [0, 0, 0, 1]])
problems, seen = [], 0
for path in sorted(derived.rglob("sub-*.nii.gz")):
    seen += 1
    image = nib.load(path)
    sidecar = json.loads(path.with_name(path.name.replace(".nii.gz", ".json")).read_text())
    source = nib.load(raw / sidecar["Sources"][0].removeprefix("bids:raw:"))
    data = np.asanyarray(image.dataobj)
    mask = path.name.endswith("_mask.nii.gz")
    tissues = path.name.endswith(("_dseg.nii.gz", "_probseg.nii.gz"))
    there = "_space-MNI152NLin2009cAsym_res-2_" in path.name
    affine, shape = (MNI, (97, 115, 97)) if there else (source.affine, source.shape[:3])
    checks = {
        "affine": np.allclose(image.affine, affine, atol=1e-3),
        "shape": image.shape[:3] == shape,
        "volumes": image.shape[3:] == (source.shape[3:] if path.name.endswith("desc-preproc_bold.nii.gz") else ()),
        "qform equals sform": np.allclose(image.get_qform(), image.get_sform(), atol=1e-3),
        "codes": int(image.header["qform_code"]) == int(image.header["sform_code"]) == 1,
        "units": image.header.get_xyzt_units()[0] == "mm",
        "finite": bool(np.isfinite(data).all()),
        "not constant": data.min() < data.max(),
        "mask": not mask or (image.get_data_dtype() == np.uint8 and set(np.unique(data)) == {0, 1}),
        "SkullStripped": mask or tissues or "SkullStripped" in sidecar,
        "RepetitionTime": "RepetitionTime" not in sidecar
        or abs(float(image.header.get_zooms()[3]) - sidecar["RepetitionTime"]) < 1e-3,
    }
    problems += [f"{path.relative_to(derived)}: {name}" for name, ok in checks.items() if not ok]
print("\n".join(problems + [f"{seen} images, {len(problems)} problems"]))
sys.exit(1 if problems or not seen else 0)
