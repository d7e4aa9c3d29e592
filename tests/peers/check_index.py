"""Compares the index and the metadata of `--dry-run --format json` with PyBIDS on the same dataset; exit 1 on a difference.

    check_index.py DATASET PLAN.json"""
import json
import sys
from pathlib import Path

from bids import BIDSLayout

dataset, plan = Path(sys.argv[1]), json.loads(Path(sys.argv[2]).read_text())
layout = BIDSLayout(dataset, validate=False)
keys = ["RepetitionTime", "TaskName", "EchoTime", "FlipAngle", "MagneticFieldStrength"]
theirs = {}
for file in layout.get(suffix=["T1w", "T2w", "FLAIR", "bold"], extension=[".nii", ".nii.gz"]):
    metadata = file.get_metadata()
    theirs[str(Path(file.path).relative_to(dataset.resolve()))] = {k: metadata[k] for k in keys if k in metadata}
ours = {i["path"]: {k: i["metadata"][k] for k in keys if k in i["metadata"]} for i in plan["index"]}
for path in sorted(theirs.keys() | ours.keys()):
    if theirs.get(path) != ours.get(path):
        print(f"{path}: PyBIDS {theirs.get(path)}, here {ours.get(path)}")
print(f"{len(ours)} images")
sys.exit(theirs != ours or not ours)
