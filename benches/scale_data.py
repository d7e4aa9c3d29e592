"""Datasets of any size for scale.py: synthetic small heads under many names, and the outputs a run of them leaves.

Images are links to those of a few synthetic heads, so that 50,000 scans need no more room than 16. The outputs of a large
dataset are those of a run over the few, under the other names, with the labels and trace ids that each has of its own."""

import array
import gzip
import hashlib
import itertools
import json
import math
import os
import re
import shutil
import struct
import subprocess
from pathlib import Path
from random import Random

HEADS = 4
SESSIONS = ("01", "02")
PER_PARTICIPANT = 4  # a T1w and a bold run in each session
DIGITS = 6


def label(number):
    """Labels of equal length, so that files differ in nothing else."""
    return f"{number:0{DIGITS}}"


def heads(binary, folder):
    """The few: a T1w of 6 mm and a bold run of 6 volumes in each of two sessions, with sidecars as scanners' converters
    leave them."""
    folder = folder / "heads"
    if folder.exists():
        return folder
    made = folder.with_name("heads-made")
    shutil.rmtree(made, ignore_errors=True)
    made.parent.mkdir(parents=True, exist_ok=True)
    options = ["--participants", str(HEADS), "--sessions", "2", "--voxel-size", "6", "--volumes", "6"]
    subprocess.run([binary, "synth", made, *options], check=True, stdout=subprocess.DEVNULL)
    shutil.rmtree(made / "derivatives", ignore_errors=True)
    for number in range(1, HEADS + 1):
        rename(made, f"{number:02}", label(number))
    for sidecar in made.glob("sub-*/ses-*/*/*.json"):
        content = json.loads(sidecar.read_text())
        slices = [round(0.0625 * n, 4) for n in range(32)]
        more = {f"ConversionDetail{n}": f"what a converter writes, {n}" for n in range(40)}
        sidecar.write_text(json.dumps({**content, "SliceTiming": slices, **more}, indent=2))
    made.rename(folder)
    return folder


def rename(root, old, new):
    for path in sorted(root.rglob(f"*sub-{old}*"), key=lambda p: -len(p.parts)):
        path.rename(path.with_name(path.name.replace(f"sub-{old}", f"sub-{new}")))


def tree(heads_folder, folder, scans):
    """A dataset of so many scans."""
    participants = scans // PER_PARTICIPANT
    folder.mkdir(parents=True)
    for path in (p for p in heads_folder.iterdir() if p.is_file() and p.name != "participants.tsv"):
        shutil.copy(path, folder)
    with open(folder / "participants.tsv", "w") as table:
        table.write("participant_id\n" + "".join(f"sub-{label(n)}\n" for n in range(1, participants + 1)))
    for number in range(1, participants + 1):
        head, own = label(1 + (number - 1) % HEADS), label(number)
        for session in SESSIONS:
            for kind in ("anat", "func"):
                at = folder / f"sub-{own}" / f"ses-{session}" / kind
                at.mkdir(parents=True)
                for entry in os.scandir(heads_folder / f"sub-{head}" / f"ses-{session}" / kind):
                    os.link(entry.path, at / entry.name.replace(head, own, 1))


def scans_by_name(folder):
    """The scans of such a dataset as they are found without this program: path, participant, session, kind."""
    name = re.compile(r"sub-(\w+)/ses-(\w+)/(?:anat|func)/sub-\1_ses-\2_(?:task-\w+_)?(T1w|bold)\.nii\.gz")
    for at, _, names in os.walk(folder):
        for file in names:
            path = os.path.relpath(os.path.join(at, file), folder)
            if found := name.fullmatch(path):
                yield (path, *found.groups())


def metadata_by_hand(folder, path):
    """What the sidecars above and beside a scan say, the nearest last."""
    suffix = path.removesuffix(".nii.gz").rsplit("_", 1)[1]
    entities, merged = set(Path(path).name.split("_")), {}
    for level in reversed(Path(path).parents):
        for sidecar in sorted((folder / level).glob(f"*{suffix}.json"), key=lambda p: p.name.count("_")):
            if set(sidecar.stem.split("_")[:-1]) <= entities:
                merged.update(json.loads(sidecar.read_text()))
    return merged


def finished(template, folder, scans):
    """The outputs of a run over `tree` of so many scans, from the `template`: those of a run over the few heads."""
    folder.mkdir()
    (folder / "logs").mkdir()
    for path in (p for p in template.iterdir() if p.is_file() and not p.name.startswith(("sub-", "group_", "index"))):
        shutil.copy(path, folder)
    spools = {path.name: path.read_text().splitlines() for path in template.glob("logs/*.jsonl")}
    spools = {name: lines for name, lines in spools.items() if name.startswith(("traces-", "logs-", "metrics-", "run-"))}
    parts = {head: Template(template, label(head), spools) for head in range(1, HEADS + 1)}
    out = {name: open(folder / "logs" / name, "w") for name in spools}
    for name, lines in spools.items():
        shared = [line for line in lines if not any(part.owns(line) for part in parts.values())]
        out[name].write("".join(line + "\n" for line in shared))
    for number in range(1, scans // PER_PARTICIPANT + 1):
        parts[1 + (number - 1) % HEADS].write(folder, label(number), out)
    for file in out.values():
        file.close()


class Template:
    """What one head has left."""

    def __init__(self, template, head, spools):
        self.head, self.root = head, template
        self.files = [p.relative_to(template) for p in (template / f"sub-{head}").rglob("*") if p.is_file()]
        self.own = {p: (template / p).read_text() for p in self.files if p.name.endswith(("_summary.json", "_success.json"))}
        self.logs = {p.name: p.read_text() for p in template.glob(f"logs/sub-{head}*.jsonl")}
        self.traces = sorted(set(re.findall(r'"trace_id": "([0-9a-f]{32})"', "".join(self.own.values()))))
        self.lines = {name: [line for line in lines if self.owns(line)] for name, lines in spools.items()}

    def owns(self, line):
        return any(trace in line for trace in self.traces)

    def write(self, folder, own, out):
        def told(text):
            for trace in self.traces:
                text = text.replace(trace, hashlib.md5(f"{own}{trace}".encode()).hexdigest())
            return text.replace(f"sub-{self.head}", f"sub-{own}").replace(f'"{self.head}"', f'"{own}"')

        for path in self.files:
            to = folder / str(path).replace(self.head, own)
            to.parent.mkdir(parents=True, exist_ok=True)
            if path in self.own:
                to.write_text(told(self.own[path]))
            else:
                os.link(self.root / path, to)
        for name, text in self.logs.items():
            (folder / "logs" / name.replace(self.head, own)).write_text(told(text))
        for name, lines in self.lines.items():
            out[name].write("".join(told(line) + "\n" for line in lines))


def tiny(path, seed):
    """A T1w of 16 voxels along each axis, of a head that was stripped of its skull: white matter, grey matter and fluid
    around each other, noise, an uneven coil. It goes through every stage, and most of what it costs is not its voxels."""
    n, voxel, radii, random = 16, 10.0, (62.0, 74.0, 56.0), Random(seed)
    values = array.array("h")
    for z, y, x in itertools.product(range(n), repeat=3):
        at = [(place - (n - 1) / 2) * voxel / radius for place, radius in zip((x, y, z), radii)]
        far = math.hypot(*at)
        tissue = 1000 if far < 0.72 else 650 if far < 0.93 else 300
        value = tissue * (1 + 0.1 * at[0]) + random.gauss(0, 20)
        values.append(max(1, round(value)) if far < 1 else 0)
    shift = -voxel * (n - 1) / 2
    header = bytearray(352)
    struct.pack_into("<i", header, 0, 348)
    struct.pack_into("<8h", header, 40, 3, n, n, n, 1, 1, 1, 1)
    struct.pack_into("<2h", header, 70, 4, 16)
    struct.pack_into("<8f", header, 76, 1, voxel, voxel, voxel, 0, 0, 0, 0)
    struct.pack_into("<3f", header, 108, 352, 1, 0)
    struct.pack_into("<b", header, 123, 2)
    struct.pack_into("<2h", header, 252, 0, 1)
    for axis in range(3):
        struct.pack_into("<4f", header, 280 + 16 * axis, *[voxel * (axis == a) for a in range(3)], shift)
    header[344:348] = b"n+1\0"
    path.write_bytes(gzip.compress(bytes(header) + values.tobytes(), 6, mtime=0))


def tiny_tree(folder, participants):
    """A dataset of one such scan per participant."""
    few = folder.with_name(folder.name + "-heads")
    shutil.rmtree(few, ignore_errors=True)
    few.mkdir(parents=True)
    folder.mkdir()
    (folder / "dataset_description.json").write_text('{"Name": "Tiny heads", "BIDSVersion": "1.10.0"}')
    for number in range(1, participants + 1):
        # A file system allows a file some ten thousand names.
        source = few / f"{number % 16}.nii.gz"
        if not source.exists():
            tiny(source, number)
        at = folder / f"sub-{label(number)}" / "anat"
        at.mkdir(parents=True)
        os.link(source, at / f"sub-{label(number)}_T1w.nii.gz")
