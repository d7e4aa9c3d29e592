"""Compares which fieldmap is for which bold run, as `neuro-preprocess list` says it, with sdcflows and fMRIPrep.

    check_fieldmaps.py BINARY WORKDIR [TREE...]

To be run with the Python of an environment that has fMRIPrep. Without TREE, makes small datasets below WORKDIR, each with
another way to say it; with TREE, looks at these datasets instead. For each bold run it compares whether there is a
fieldmap for it, how the field is made, and from which files. sdcflows finds what can be made (`find_estimators`), fMRIPrep
which of them a run gets (`map_fieldmap_estimation`). Prints a row for each run; ends with 1 where they differ and `KNOWN`
does not say why.
"""

import argparse
import json
import logging
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
from bids.layout import BIDSLayout
from fmriprep.workflows.base import map_fieldmap_estimation
from sdcflows import fieldmaps as sdcflows

# Differences that are meant: dataset (any for `*`), our word and theirs; why.
KNOWN = {
    ("phasediff, IntendedFor with the participant", "phase / None"): "sub-01/func/… can only mean one file",
    ("IntendedFor with a dot", "phase / None"): "./func/… can only mean one file",
    ("phasediff, run without direction", "None / phase"): "nothing can be corrected so; fMRIPrep finds out later",
    ("pair, no readout", "None / pepolar"): "without a readout time there are no Hz; fMRIPrep finds out later",
    ("magnitudes named apart", "direct / None"): "any magnitude shows where the head lies",
    ("phases, one magnitude", "phase / None"): "one magnitude is enough for both phases",
    ("*", "None / crash"): "sdcflows, and so fMRIPrep, ends where a part is missing",
    ("pair, one says it", "other files"): "the image beside it lies as it does; sdcflows takes the run",
    ("pair of two runs", "fewer files"): "two images make a pair; sdcflows gives topup all",
    ("pair of one and two", "fewer files"): "two images make a pair; sdcflows gives topup all",
    ("pair of four directions", "fewer files"): "two images make a pair; sdcflows gives topup all",
    ("one epi, an sbref not named", "other files"): "the run's own reference has more contrast; sdcflows takes the run",
    ("B0 identifier and a URI, run without a source", "phase / None"): "beside B0FieldIdentifier sdcflows reads no URI",
    (
        "B0 for one run, IntendedFor for the other",
        "phase / None",
    ): "with one B0FieldIdentifier sdcflows skips IntendedFor",
    ("two sessions, the same identifier", "fewer files"): "what was made in the run's session; sdcflows mixes both",
    ("two sessions, the same identifier of pairs", "fewer files"): "as above",
    (
        "two sessions, maps of both for both",
        "other files",
    ): "the run's session comes first; fMRIPrep takes the first of all",
    (
        "pair of other runs each",
        "other files",
    ): "the image beside it lies as it does; sdcflows pairs what names the same runs",
    ("run corrected with a dwi by B0", "None / pepolar"): "diffusion images are not looked at",
    ("B0 runs of two directions", "None / pepolar"): "another run is no partner of a run; its sbref or an epi is",
    ("echoes, the second is meant", "phase / None"): "all echoes are one run; fMRIPrep asks for the first",
}

METHODS = {
    "phase difference": "phase",
    "two phases": "phase",
    "fieldmap": "direct",
    "opposite phase encoding": "pepolar",
}
THEIRS = {"PHASEDIFF": "phase", "MAPPED": "direct", "PEPOLAR": "pepolar", "ANAT": "anat"}

AP, PA = ({"PhaseEncodingDirection": direction, "TotalReadoutTime": 0.03} for direction in ("j-", "j"))
RUN = {"RepetitionTime": 2.0, "TaskName": "rest", **AP}
DIFFERENCE = {"EchoTime1": 0.00492, "EchoTime2": 0.00738}


def bold(*names, folder="sub-01/func/sub-01", **more):
    return {f"{folder}_{name}_bold": {**RUN, **more} for name in names or ["task-rest"]}


def phasediff(stem="sub-01/fmap/sub-01", magnitudes=2, **more):
    beside = {key: more[key] for key in more if key == "B0FieldIdentifier"}
    images = {f"{stem}_magnitude{n}": {"EchoTime": 0.005 * n, **beside} for n in range(1, magnitudes + 1)}
    return {f"{stem}_phasediff": {**DIFFERENCE, **more}, **images}


def phases(stem="sub-01/fmap/sub-01", **more):
    beside = {key: more[key] for key in more if key == "B0FieldIdentifier"}
    times = {1: 0.00492, 2: 0.00738}
    images = {f"{stem}_magnitude{n}": {"EchoTime": t, **beside} for n, t in times.items()}
    return {**{f"{stem}_phase{n}": {"EchoTime": t, **more} for n, t in times.items()}, **images}


def field(stem="sub-01/fmap/sub-01", **more):
    beside = {key: more[key] for key in more if key == "B0FieldIdentifier"}
    return {f"{stem}_fieldmap": {"Units": "Hz", **more}, f"{stem}_magnitude": beside}


def pair(stem="sub-01/fmap/sub-01", after="", **more):
    return {f"{stem}_dir-AP{after}_epi": {**AP, **more}, f"{stem}_dir-PA{after}_epi": {**PA, **more}}


def epi(direction, stem="sub-01/fmap/sub-01", **more):
    return {f"{stem}_dir-{direction}_epi": {**(AP if direction == "AP" else PA), **more}}


def sbref(name="task-rest", **more):
    return {f"sub-01/func/sub-01_{name}_sbref": {**AP, **more}}


REST, NBACK = "func/sub-01_task-rest_bold.nii.gz", "func/sub-01_task-nback_bold.nii.gz"
ECHOES = [f"func/sub-01_task-rest_echo-{n}_bold.nii.gz" for n in (1, 2, 3)]
SESSIONS = [f"ses-{n}/func/sub-01_ses-{n}_task-rest_bold.nii.gz" for n in (1, 2)]
of_session = [f"sub-01/ses-{n}/func/sub-01_ses-{n}" for n in (1, 2)]
map_of_session = [f"sub-01/ses-{n}/fmap/sub-01_ses-{n}" for n in (1, 2)]
echo_runs = {
    f"sub-01/{path}".removesuffix(".nii.gz"): {**RUN, "EchoTime": 0.012 * n} for n, path in enumerate(ECHOES, 1)
}

# Each dataset by its name: the images without ending, and their sidecars; `.json X` is a sidecar of the whole dataset.
TREES = {
    "phasediff, IntendedFor a list": bold() | phasediff(IntendedFor=[REST]),
    "phasediff, IntendedFor a text": bold() | phasediff(IntendedFor=REST),
    "phasediff, IntendedFor a URI": bold() | phasediff(IntendedFor=f"bids::sub-01/{REST}"),
    "phasediff, IntendedFor URIs": bold("task-rest", "task-nback")
    | phasediff(IntendedFor=[f"bids::sub-01/{REST}", f"bids::sub-01/{NBACK}"]),
    "phasediff, IntendedFor with the participant": bold() | phasediff(IntendedFor=f"sub-01/{REST}"),
    "phasediff, one magnitude": bold() | phasediff(magnitudes=1, IntendedFor=REST),
    "phasediff, no magnitude": bold() | phasediff(magnitudes=0, IntendedFor=REST),
    "phasediff, no EchoTime2": bold()
    | {k: {key: v for key, v in m.items() if key != "EchoTime2"} for k, m in phasediff(IntendedFor=REST).items()},
    "phasediff, run without direction": {
        k: {key: v for key, v in m.items() if key != "PhaseEncodingDirection"} for k, m in bold().items()
    }
    | phasediff(IntendedFor=REST),
    "phase1 and phase2": bold() | phases(IntendedFor=REST),
    "phase1 and phase2, phase1 says it": bold()
    | phases()
    | {"sub-01/fmap/sub-01_phase1": {"EchoTime": 0.00492, "IntendedFor": REST}},
    "phase1 and phase2, phase2 says it": bold()
    | phases()
    | {"sub-01/fmap/sub-01_phase2": {"EchoTime": 0.00738, "IntendedFor": REST}},
    "magnitude1 says it": bold() | phasediff() | {"sub-01/fmap/sub-01_magnitude1": {"IntendedFor": REST}},
    "fieldmap": bold() | field(IntendedFor=REST),
    "fieldmap in rad/s": bold() | field(IntendedFor=REST, Units="rad/s"),
    "fieldmap without units": bold() | {k: {"IntendedFor": REST} for k in field()},
    "pair": bold() | pair(IntendedFor=[REST]),
    "pair, IntendedFor a URI": bold() | pair(IntendedFor=[f"bids::sub-01/{REST}"]),
    "pair, one says it": bold() | pair() | epi("PA", IntendedFor=[REST]),
    "pair of two runs": bold() | pair(after="_run-1", IntendedFor=[REST]) | pair(after="_run-2", IntendedFor=[REST]),
    "pairs of tasks by acq": bold("task-rest", "task-nback")
    | pair("sub-01/fmap/sub-01_acq-rest", IntendedFor=[REST])
    | pair("sub-01/fmap/sub-01_acq-nback", IntendedFor=[NBACK]),
    "pairs of tasks by run": bold("task-rest", "task-nback")
    | pair(after="_run-1", IntendedFor=[REST])
    | pair(after="_run-2", IntendedFor=[NBACK]),
    "pair of runs 1 and 2": bold()
    | {
        "sub-01/fmap/sub-01_dir-AP_run-1_epi": {**AP, "IntendedFor": [REST]},
        "sub-01/fmap/sub-01_dir-PA_run-2_epi": {**PA, "IntendedFor": [REST]},
    },
    "pair, same direction": bold() | {k: {**AP, "IntendedFor": [REST]} for k in pair()},
    "pair, no readout": bold()
    | {k: {"PhaseEncodingDirection": m["PhaseEncodingDirection"], "IntendedFor": [REST]} for k, m in pair().items()},
    "pair, no direction": bold() | {k: {"TotalReadoutTime": 0.03, "IntendedFor": [REST]} for k in pair()},
    "pair across the run's axis": bold(PhaseEncodingDirection="i") | pair(IntendedFor=[REST]),
    "one epi opposite to the run": bold() | epi("PA", IntendedFor=[REST]),
    "one epi opposite to two runs": bold("task-rest", "task-nback") | epi("PA", IntendedFor=[REST, NBACK]),
    "one epi as the run": bold() | epi("AP", IntendedFor=[REST]),
    "one epi and an sbref": bold() | sbref() | epi("PA", IntendedFor=[REST, "func/sub-01_task-rest_sbref.nii.gz"]),
    "one epi, an sbref not named": bold() | sbref() | epi("PA", IntendedFor=[REST]),
    "B0 phasediff": bold(B0FieldSource="map") | phasediff(B0FieldIdentifier="map"),
    "B0 phasediff, lists": bold(B0FieldSource=["map"]) | phasediff(B0FieldIdentifier=["map"]),
    "B0 phasediff, only its own sidecar": bold(B0FieldSource="map")
    | phasediff()
    | {"sub-01/fmap/sub-01_phasediff": {**DIFFERENCE, "B0FieldIdentifier": "map"}},
    "B0 phases": bold(B0FieldSource="map") | phases(B0FieldIdentifier="map"),
    "B0 fieldmap": bold(B0FieldSource="map") | field(B0FieldIdentifier="map"),
    "B0 pair": bold(B0FieldSource="pepolar0") | pair(B0FieldIdentifier="pepolar0"),
    "B0 pair and the run": bold(B0FieldSource="pepolar0", B0FieldIdentifier="pepolar0")
    | pair(B0FieldIdentifier="pepolar0"),
    "B0 epi and sbref": bold(B0FieldSource="p") | sbref(B0FieldIdentifier="p") | epi("PA", B0FieldIdentifier="p"),
    "B0 epi and the run": bold(B0FieldSource="p", B0FieldIdentifier="p") | epi("PA", B0FieldIdentifier="p"),
    "B0 runs of two directions": {
        "sub-01/func/sub-01_task-rest_dir-AP_bold": {**RUN, **AP, "B0FieldIdentifier": "p", "B0FieldSource": "p"},
        "sub-01/func/sub-01_task-rest_dir-PA_bold": {**RUN, **PA, "B0FieldIdentifier": "p", "B0FieldSource": "p"},
    },
    "B0 sbrefs of two directions": {
        "sub-01/func/sub-01_task-rest_dir-AP_bold": {**RUN, **AP, "B0FieldSource": "p"},
        "sub-01/func/sub-01_task-rest_dir-PA_bold": {**RUN, **PA, "B0FieldSource": "p"},
        "sub-01/func/sub-01_task-rest_dir-AP_sbref": {**AP, "B0FieldIdentifier": "p"},
        "sub-01/func/sub-01_task-rest_dir-PA_sbref": {**PA, "B0FieldIdentifier": "p"},
    },
    "B0 epi alone": bold(B0FieldSource="p") | epi("PA", B0FieldIdentifier="p"),
    "B0 two sources": bold(B0FieldSource=["b", "a"])
    | phasediff("sub-01/fmap/sub-01_acq-a", B0FieldIdentifier="a")
    | field("sub-01/fmap/sub-01_acq-b", B0FieldIdentifier="b"),
    "B0 two sources, the first is nowhere": bold(B0FieldSource=["gone", "a"]) | phasediff(B0FieldIdentifier="a"),
    "B0 one image in two": bold("task-rest", B0FieldSource="q")
    | epi("AP", B0FieldIdentifier=["p", "q"])
    | epi("PA", B0FieldIdentifier="q")
    | {"sub-01/fmap/sub-01_acq-p_dir-PA_epi": {**PA, "B0FieldIdentifier": "p"}},
    "B0 source that is nowhere": bold(B0FieldSource="gone") | phasediff(B0FieldIdentifier="map"),
    "B0 source that is nowhere, and IntendedFor": bold(B0FieldSource="gone") | phasediff(IntendedFor=REST),
    "B0 identifier, run without a source": bold() | phasediff(B0FieldIdentifier="map"),
    "B0 identifier and IntendedFor, run without a source": bold()
    | phasediff(B0FieldIdentifier="map", IntendedFor=REST),
    "B0 identifier and a URI, run without a source": bold()
    | phasediff(B0FieldIdentifier="map", IntendedFor=f"bids::sub-01/{REST}"),
    "B0 source beside IntendedFor of another": bold(B0FieldSource="map")
    | field(IntendedFor=REST)
    | phasediff("sub-01/fmap/sub-01_acq-b", B0FieldIdentifier="map"),
    "B0 for one run, IntendedFor for the other": bold("task-rest", B0FieldSource="map")
    | bold("task-nback")
    | phasediff("sub-01/fmap/sub-01_acq-a", B0FieldIdentifier="map")
    | phasediff("sub-01/fmap/sub-01_acq-b", IntendedFor=NBACK),
    "B0 with other letters": bold(B0FieldSource="map_1.a") | phasediff(B0FieldIdentifier="map_1.a"),
    "two sessions": {
        k: v
        for n in (0, 1)
        for k, v in (bold(folder=of_session[n]) | phasediff(map_of_session[n], IntendedFor=SESSIONS[n])).items()
    },
    "two sessions, pairs": {
        k: v
        for n in (0, 1)
        for k, v in (bold(folder=of_session[n]) | pair(map_of_session[n], IntendedFor=[SESSIONS[n]])).items()
    },
    "two sessions, a map of the first for both": bold(folder=of_session[0])
    | bold(folder=of_session[1])
    | phasediff(map_of_session[0], IntendedFor=SESSIONS),
    "two sessions, the same identifier": {
        k: v
        for n in (0, 1)
        for k, v in (
            bold(folder=of_session[n], B0FieldSource="map") | phasediff(map_of_session[n], B0FieldIdentifier="map")
        ).items()
    },
    "two sessions, the same identifier of pairs": {
        k: v
        for n in (0, 1)
        for k, v in (
            bold(folder=of_session[n], B0FieldSource="map") | pair(map_of_session[n], B0FieldIdentifier="map")
        ).items()
    },
    "IntendedFor without the session": bold(folder=of_session[0])
    | phasediff(map_of_session[0], IntendedFor="func/sub-01_ses-1_task-rest_bold.nii.gz"),
    "two fieldmaps for one run": bold()
    | phasediff("sub-01/fmap/sub-01_run-1", IntendedFor=REST)
    | phasediff("sub-01/fmap/sub-01_run-2", IntendedFor=REST),
    "phasediff and a pair for one run": bold() | phasediff(IntendedFor=[REST]) | pair(IntendedFor=[REST]),
    "fieldmap and phasediff for one run": bold()
    | phasediff("sub-01/fmap/sub-01_acq-b", IntendedFor=REST)
    | field("sub-01/fmap/sub-01_acq-a", IntendedFor=REST),
    "tasks with their own": bold("task-rest", "task-nback")
    | phasediff("sub-01/fmap/sub-01_run-1", IntendedFor=REST)
    | phasediff("sub-01/fmap/sub-01_run-2", IntendedFor=NBACK),
    "a run that is not meant": bold("task-rest", "task-nback") | phasediff(IntendedFor=REST),
    "echoes, all meant": echo_runs | phasediff(IntendedFor=ECHOES),
    "echoes, the first is meant": echo_runs | phasediff(IntendedFor=ECHOES[:1]),
    "echoes, the second is meant": echo_runs | phasediff(IntendedFor=ECHOES[1:2]),
    "echoes and a pair": echo_runs | pair(IntendedFor=ECHOES),
    "echoes and one epi": echo_runs | epi("PA", IntendedFor=ECHOES),
    "echoes, B0": {k: {**m, "B0FieldSource": "map"} for k, m in echo_runs.items()} | phasediff(B0FieldIdentifier="map"),
    "IntendedFor empty": bold() | phasediff(IntendedFor=[]),
    "IntendedFor of a file that is not there": bold() | phasediff(IntendedFor=["func/sub-01_task-gone_bold.nii.gz"]),
    "IntendedFor of a file that is not there, and of the run": bold()
    | phasediff(IntendedFor=["func/sub-01_task-gone_bold.nii.gz", REST]),
    "IntendedFor of another dataset": bold() | phasediff(IntendedFor=f"bids:other:sub-01/{REST}"),
    "IntendedFor with a dot": bold() | phasediff(IntendedFor=f"./{REST}"),
    "IntendedFor with the name alone": bold() | phasediff(IntendedFor="sub-01_task-rest_bold.nii.gz"),
    "IntendedFor of a .nii that is a .nii.gz": bold() | phasediff(IntendedFor=REST.removesuffix(".gz")),
    "IntendedFor of the sbref alone": bold() | sbref() | phasediff(IntendedFor="func/sub-01_task-rest_sbref.nii.gz"),
    "B0FieldSource empty": bold(B0FieldSource=[]) | phasediff(IntendedFor=REST),
    "B0 identifier of the run alone": bold(B0FieldIdentifier="p") | phasediff(IntendedFor=REST),
    "magnitudes named apart": bold()
    | {k: v for k, v in field(IntendedFor=REST).items() if k.endswith("_fieldmap")}
    | {"sub-01/fmap/sub-01_magnitude1": {}, "sub-01/fmap/sub-01_magnitude2": {}},
    "phases, one magnitude": bold()
    | {k: v for k, v in phases(IntendedFor=REST).items() if not k.endswith("_magnitude2")},
    "phase1 alone": bold() | {k: v for k, v in phases(IntendedFor=REST).items() if not k.endswith("_phase2")},
    "pair named by acq": bold()
    | {f"sub-01/fmap/sub-01_acq-{a}_epi": {**m, "IntendedFor": [REST]} for a, m in (("AP", AP), ("PA", PA))},
    "pair with names that do not tell": bold()
    | {f"sub-01/fmap/sub-01_dir-{a}_epi": {**m, "IntendedFor": [REST]} for a, m in (("1", AP), ("2", PA))},
    "pair with names that lie": bold()
    | {f"sub-01/fmap/sub-01_dir-{a}_epi": {**m, "IntendedFor": [REST]} for a, m in (("PA", AP), ("AP", PA))},
    "pair of other runs each": bold("task-rest", "task-nback")
    | epi("AP", IntendedFor=[REST])
    | epi("PA", IntendedFor=[REST, NBACK]),
    "pair of four directions": bold()
    | pair(IntendedFor=[REST])
    | {
        f"sub-01/fmap/sub-01_dir-{a}_epi": {**AP, "PhaseEncodingDirection": d, "IntendedFor": [REST]}
        for a, d in (("LR", "i"), ("RL", "i-"))
    },
    "pair of one and two": bold()
    | {
        f"sub-01/fmap/sub-01_dir-{a}_run-{n}_epi": {**m, "IntendedFor": [REST]}
        for a, n, m in (("AP", 1, AP), ("AP", 2, AP), ("PA", 1, PA))
    },
    "pair for bold and pair for dwi": bold()
    | pair("sub-01/fmap/sub-01_acq-dwi", IntendedFor=["dwi/sub-01_dwi.nii.gz"])
    | pair("sub-01/fmap/sub-01_acq-bold", IntendedFor=[REST]),
    "pair for dwi alone": bold() | pair(IntendedFor=["dwi/sub-01_dwi.nii.gz"]),
    "pair for dwi by B0": bold()
    | {"sub-01/dwi/sub-01_dwi": {**AP, "B0FieldSource": "d", "B0FieldIdentifier": "d"}}
    | epi("PA", B0FieldIdentifier="d"),
    "run corrected with a dwi by B0": bold(B0FieldSource="d")
    | {"sub-01/dwi/sub-01_dwi": {**AP, "B0FieldSource": "d", "B0FieldIdentifier": "d"}}
    | epi("PA", B0FieldIdentifier="d"),
    "sidecars of the whole dataset": {k: {} for k in bold() | pair()}
    | {
        "sub-01/fmap/sub-01_dir-AP_epi": AP,
        "sub-01/fmap/sub-01_dir-PA_epi": PA,
        ".json task-rest_bold": {**RUN, "B0FieldSource": "p"},
        ".json epi": {"B0FieldIdentifier": "p"},
    },
    "two sessions, a pair of the first for both": bold(folder=of_session[0])
    | bold(folder=of_session[1])
    | pair(map_of_session[0], IntendedFor=SESSIONS),
    "two sessions, one epi each for both": bold(folder=of_session[0])
    | bold(folder=of_session[1])
    | epi("AP", map_of_session[0], IntendedFor=SESSIONS)
    | epi("PA", map_of_session[1], IntendedFor=SESSIONS),
    "two sessions, maps of both for both": bold(folder=of_session[0])
    | bold(folder=of_session[1])
    | phasediff(map_of_session[0], IntendedFor=SESSIONS)
    | phasediff(map_of_session[1], IntendedFor=SESSIONS),
    "two sessions, a source of the first for both": bold(folder=of_session[0], B0FieldSource="map")
    | bold(folder=of_session[1], B0FieldSource="map")
    | phasediff(map_of_session[0], B0FieldIdentifier="map"),
    "nothing said": bold() | phasediff(),
    "nothing said, a pair": bold() | pair(),
    "no fieldmap": bold(),
    "no fieldmap, sbref": bold() | sbref(),
    "two participants": bold()
    | phasediff(IntendedFor=REST)
    | bold(folder="sub-02/func/sub-02")
    | phasediff("sub-02/fmap/sub-02", IntendedFor=REST.replace("01", "02")),
}


def make(folder, images):
    image = nib.Nifti1Image(np.zeros((8, 8, 4), np.int16), np.diag([3, 3, 3, 1]))
    series = nib.Nifti1Image(np.zeros((8, 8, 4, 5), np.int16), np.diag([3, 3, 3, 1]))
    series.header.set_zooms((3, 3, 3, 2))
    for name, sidecar in images.items():
        if name.startswith(".json "):
            (folder / f"{name.removeprefix('.json ')}.json").write_text(json.dumps(sidecar))
            continue
        file = folder / f"{name}.nii.gz"
        file.parent.mkdir(parents=True, exist_ok=True)
        nib.save(series if name.endswith("_bold") else image, file)
        if sidecar:
            file.with_name(f"{file.name.removesuffix('.nii.gz')}.json").write_text(json.dumps(sidecar))
    described = {"Name": folder.name, "BIDSVersion": "1.9.0"}
    (folder / "dataset_description.json").write_text(json.dumps(described))
    return folder


def ours(binary, folder):
    """What there is for each run: method, files and why not, by the run's first file."""
    ran = subprocess.run([binary, "list", folder, "--format", "json"], capture_output=True, text=True)
    if ran.returncode:
        sys.exit(f"list {folder} ended with {ran.returncode}\n{ran.stderr}")
    found = {}
    for scan in (
        scan for unit in json.loads(ran.stdout)["units"] for scan in unit["scans"] if scan["modality"] == "bold"
    ):
        fieldmap = scan["fieldmap"] or {}
        files = {str(Path(file)) for file in fieldmap.get("files", [])}
        found[scan["path"]] = (METHODS[fieldmap["kind"]] if fieldmap.get("kind") else None, files, fieldmap.get("why"))
    return found


def theirs(folder):
    """The same of sdcflows and fMRIPrep, for every bold image."""
    layout = BIDSLayout(folder, validate=False)
    found = {}
    for participant in layout.get_subjects():
        sdcflows.clear_registry()
        images = layout.get(subject=participant, suffix="bold", extension=[".nii", ".nii.gz"], part=["mag", None])
        runs = {}
        for image in images:
            entities = {k: v for k, v in image.get_entities(metadata=False).items() if k not in ("echo", "extension")}
            runs.setdefault(json.dumps(entities, sort_keys=True, default=str), []).append(image.path)
        try:
            estimators, of_run = map_fieldmap_estimation(
                layout=layout,
                subject_id=participant,
                session_id=None,
                bold_data=[sorted(paths) for paths in runs.values()],
                ignore_fieldmaps=False,
                use_syn=False,
                force_syn=False,
                filters=None,
            )
        except (FileNotFoundError, ValueError):
            # fMRIPrep would end here.
            found |= {str(Path(min(paths)).relative_to(layout.root)): ("crash", set()) for paths in runs.values()}
            continue
        by_id = {estimator.bids_id: estimator for estimator in estimators}
        for paths in runs.values():
            estimator = by_id.get(of_run.get(min(paths)))
            sources = estimator.sources if estimator else []
            files = {str(Path(source.path).relative_to(layout.root)) for source in sources}
            method = THEIRS[estimator.method.name] if estimator else None
            found[str(Path(min(paths)).relative_to(layout.root))] = (method, files)
    return found


def compared(run, mine, other):
    """A word for how the two differ; none where they do not."""
    (method, files, _), (their_method, their_files) = mine, other
    if method != their_method:
        return f"{method} / {their_method}"
    # Of the magnitudes one is enough for us, and the run itself is no file of its fieldmap.
    magnitudes = {file for file in their_files - files if "_magnitude" in file} if method == "phase" else set()
    their_files = their_files - magnitudes - {run}
    if files == their_files:
        return None
    here = {file for file in their_files if Path(file).parts[:2] == Path(run).parts[:2]}
    if here and files.isdisjoint(here):
        return "only files of another session"
    return "fewer files" if files < their_files else "other files"


def main():
    asked = argparse.ArgumentParser()
    asked.add_argument("binary", type=Path)
    asked.add_argument("workdir", type=Path)
    asked.add_argument("trees", nargs="*", type=Path)
    asked = asked.parse_args()
    logging.disable(logging.CRITICAL)
    if asked.trees:
        folders = {tree.name: tree.resolve() for tree in asked.trees}
    else:
        folders = {}
        for number, (name, images) in enumerate(TREES.items()):
            folders[name] = make(asked.workdir.resolve() / f"{number:02}", images)
    unexplained = 0
    for name, folder in folders.items():
        mine, other = ours(asked.binary, folder), theirs(folder)
        for run in sorted(mine.keys() | other.keys()):
            if run not in mine or run not in other:
                differs = "only sdcflows' list has it" if run in other else "only our list has it"
            else:
                differs = compared(run, mine[run], other[run])
            why = next((why for (tree, what), why in KNOWN.items() if tree in (name, "*") and what == differs), None)
            unexplained += differs is not None and why is None
            verdict = "same" if differs is None else f"meant ({why})" if why else "DIFFERS"
            print(f"{verdict}\t{name}\t{Path(run).name}\t{differs or mine[run][0]}")
            if differs:
                for who, what in (("ours", mine.get(run)), ("theirs", other.get(run))):
                    print(f"\t{who}: {what and [what[0], sorted(what[1]), *what[2:]]}")
    print(f"{unexplained} unexplained")
    sys.exit(unexplained > 0)


if __name__ == "__main__":
    main()
