"""A second opinion on the bias fields of T1w scans: N4 of SimpleITK, given the true brain mask, on the same scans. Prints both
residuals (standard deviation of log(estimated / true field) in the true brain, %); exit 1 if the mean of ours, estimated in
our own mask, is more than MARGIN above that of N4.

    check_bias.py RAW TRUTH SCORES.json MARGIN"""
import json
import sys
from pathlib import Path

import numpy as np
import SimpleITK as sitk

raw, truth = map(Path, sys.argv[1:3])
scores, margin = json.loads(Path(sys.argv[3]).read_text()), float(sys.argv[4])
ours, theirs = [], []
for scan in (s for s in scores["scans"] if s["modality"] == "T1w"):
    name = scan["scan"].removesuffix("_T1w")
    folder = Path(name.split("_")[0]) / "anat"
    image = sitk.ReadImage(str(raw / folder / f"{name}_T1w.nii.gz"), sitk.sitkFloat32)
    brain = sitk.ReadImage(str(truth / folder / f"{name}_desc-brain_mask.nii.gz"), sitk.sitkUInt8) > 0
    field = sitk.ReadImage(str(truth / folder / f"{name}_desc-bias_T1w.nii.gz"), sitk.sitkFloat32)
    # The usual working grid of 4 mm; the levels and iterations of N4BiasFieldCorrection.
    shrink = [max(1, round(4 / s)) for s in image.GetSpacing()]
    n4 = sitk.N4BiasFieldCorrectionImageFilter()
    n4.SetMaximumNumberOfIterations([50] * 4)
    n4.Execute(sitk.Shrink(image, shrink), sitk.Shrink(brain, shrink))
    found = sitk.GetArrayFromImage(n4.GetLogBiasFieldAsImage(image))
    inside = sitk.GetArrayFromImage(brain) > 0
    theirs.append(100 * np.std(found[inside] - np.log(sitk.GetArrayFromImage(field)[inside])))
    ours.append(scan["measures"]["field_residual_percent"])
    print(f"{scan['scan']}: ours {ours[-1]:.2f} %, N4 of SimpleITK {theirs[-1]:.2f} %")
print(f"mean: ours {np.mean(ours):.2f} %, N4 of SimpleITK {np.mean(theirs):.2f} %, margin {margin} %")
sys.exit(1 if not ours or np.mean(ours) > np.mean(theirs) + margin else 0)
