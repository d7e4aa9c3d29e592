#!/usr/bin/env python3
"""Peak memory against budget: the table of benches/README.md.

    python3 benches/memory.py BINARY THREADS SCAN...

THREADS is a list such as 1,2,4,8. Each scan is processed alone with the smallest --mem that is accepted for it (256 MB is
the least that can be asked for); the peak is the kernel's (ru_maxrss of the finished process). Exits with 1 when a peak is
above its budget.
"""
import json
import math
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

LEAST_MB = 256


def command(binary, scan, out, threads, mb, *more):
    return [binary, "process", scan, "--output", out, "--nprocs", threads, "--mem", f"{mb}MB", "--no-report", *more]


def budget(binary, scan, out, threads):
    """The smallest budget in MB, from what the refusal of the least one says."""
    plan = subprocess.run(command(binary, scan, out, threads, LEAST_MB, "--dry-run", "--format", "json"),
                          capture_output=True, text=True, check=True)
    problem = json.loads(plan.stdout)["units"][0]["scans"][0]["problem"]
    return LEAST_MB if problem is None else int(re.search(r"give it (\d+) MB", problem["message"])[1])


def run(args):
    """Exit code and peak MB."""
    with open(os.devnull, "w") as nothing:
        into = [(os.POSIX_SPAWN_DUP2, nothing.fileno(), fd) for fd in (1, 2)]
        pid = os.posix_spawn(args[0], args, dict(os.environ), file_actions=into)
        _, status, used = os.wait4(pid, 0)
    return os.waitstatus_to_exitcode(status), used.ru_maxrss * 1024 / 1e6


def shape(out):
    """Grid and stored type, from the spans the run left."""
    text = "".join(p.read_text() for p in Path(out).rglob("*.jsonl"))
    found = [re.search(rf'"{key}","value":{{"stringValue":"([^"]+)"', text) for key in ("image.shape", "image.dtype")]
    return [m[1] if m else "?" for m in found]


def main():
    binary, threads, *scans = sys.argv[1:]
    above = 0
    print("| Scan | Voxels | Stored | As float32, MB | Threads | Least `--mem`, MB | Peak, MB |")
    print("|---|---|---|---|---|---|---|")
    for scan in scans:
        for n in threads.split(","):
            out = tempfile.mkdtemp()
            mb = budget(binary, scan, out, n)
            code, peak = run(command(binary, scan, out, n, mb))
            voxels, stored = shape(out)
            size = 4 * math.prod(int(n) for n in voxels.split("x")) / 1e6 if voxels != "?" else float("nan")
            above += peak > mb or code != 0
            failed = "" if code == 0 else f" (exit {code})"
            name = Path(scan).name
            print(f"| `{name}` | {voxels} | {stored} | {size:.0f} | {n} | {mb} | {peak:.0f}{failed} |", flush=True)
            shutil.rmtree(out)
    return min(above, 1)


sys.exit(main())
