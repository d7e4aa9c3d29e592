"""What a dataset costs by its number of scans; see scale.sh."""

import argparse
import json
import math
import os
import shutil
import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path

import scale_data as data

ROOT = Path(__file__).parent.parent
BINARY = ROOT / "target/release/neuro-preprocess"


class Cost:
    """What a process took, by the operating system's account: seconds of wall and of processors, MB at most."""

    def __init__(self, *arguments, to=subprocess.DEVNULL):
        environment = {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/")}
        start = time.monotonic()
        process = subprocess.Popen([BINARY, *map(str, arguments)], env=environment, stdout=to, stderr=subprocess.PIPE)
        said = []
        reader = threading.Thread(target=lambda: said.append(process.stderr.read()))
        reader.start()
        self.samples, self.peak = follow(process.pid)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        reader.join()
        self.wall = time.monotonic() - start
        self.cpu = usage.ru_utime + usage.ru_stime
        if process.returncode:
            sys.exit(f"{' '.join(map(str, arguments))} ended with {process.returncode}:\n{said[0].decode()[-2000:]}")


def follow(pid):
    """The resident memory at times until the process has ended, and the most that there was, in MB. The maximum that
    `wait4` tells begins with that of the process which started it."""
    samples, most = [], 0
    while True:
        try:
            lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        except OSError:
            return samples, most
        kb = {key: int(rest.split()[0]) for key, _, rest in (line.partition(":") for line in lines) if key in ("VmHWM", "VmRSS")}
        if not kb:  # it has ended and was not waited for
            return samples, most
        samples.append((time.monotonic(), kb["VmRSS"] * 1024))
        most = max(most, kb["VmHWM"] * 1024 / 1e6)
        time.sleep(0.005 if len(samples) < 1000 else 0.25)


def exponent(sizes, costs):
    """The slope of log cost over log size: 1 is linear. None below the clock's grain."""
    pairs = [(math.log(n), math.log(c)) for n, c in zip(sizes, costs) if c > 0.02]
    if len(pairs) < 2:
        return None
    mx, my = (sum(p[i] for p in pairs) / len(pairs) for i in (0, 1))
    return sum((x - mx) * (y - my) for x, y in pairs) / sum((x - mx) ** 2 for x, _ in pairs)


def growth(samples, scans):
    """Bytes that the memory of a run has grown by for each scan: the median of its last third less that of its second."""
    start, end = samples[0][0], samples[-1][0]
    third = lambda n: statistics.median(r for t, r in samples if n <= 3 * (t - start) / (end - start) <= n + 1)
    return (third(2) - third(1)) / (scans / 3)


def size(folder):
    """Files and bytes below a folder; of links the first only."""
    files, seen = 0, {}
    for at, _, names in os.walk(folder):
        files += len(names)
        for name in names:
            stat = os.lstat(os.path.join(at, name))
            seen[stat.st_ino] = stat.st_blocks * 512
    return files, sum(seen.values())


def table(head, rows):
    """Prints a table."""
    print("| " + " | ".join(head) + " |")
    print("|" + "---|" * len(head))
    for row in rows:
        print("| " + " | ".join(str(cell) for cell in row) + " |")
    sys.stdout.flush()


def index(folder, participants, heads):
    """Finds the scans of a dataset of two sessions a participant, and compares them with what is found without us."""
    raw, listed = folder / "index", folder / "index.json"
    shutil.rmtree(raw, ignore_errors=True)
    data.tree(heads, raw, participants * data.PER_PARTICIPANT)
    files = sum(len(names) for _, _, names in os.walk(raw))
    cost = min((Cost("list", raw) for _ in range(3)), key=lambda c: c.wall)
    with open(listed, "w") as out:
        Cost("list", raw, "--format", "json", to=out)
    ours = {
        (scan["path"], unit["participant"], unit["session"], scan["modality"])
        for unit in json.loads(listed.read_text())["units"]
        for scan in unit["scans"]
    }
    theirs = set(data.scans_by_name(raw))
    few = folder / "few"
    shutil.rmtree(few, ignore_errors=True)
    data.tree(heads, few, 100 * data.PER_PARTICIPANT)
    with open(listed, "w") as out:
        Cost(few, folder / "none", "participant", "--dry-run", "--format", "json", to=out)
    images = json.loads(listed.read_text())["index"]
    wrong = [i["path"] for i in images if i["metadata"] != data.metadata_by_hand(few, i["path"])]
    print("\n### Finding the scans (`list`, the fastest of 3)\n")
    head = ["files", "scans", "wall s", "CPU s", "peak MB", "scans found otherwise", f"metadata of {len(images)} scans that differ"]
    table(head, [[f"{files:,}", f"{len(ours):,}", f"{cost.wall:.2f}", f"{cost.cpu:.2f}", f"{cost.peak:.0f}", len(ours ^ theirs), len(wrong)]])
    for old in (raw, few):
        shutil.rmtree(old)


STEPS = ["list", "--dry-run", "--dry-run --format json", "participant, all done", "group", "report", "extract", "telemetry show"]


def steps(folder, sizes, heads, template, keep):
    """The table of finished datasets."""
    costs, files = {}, {}
    for scans in sizes:
        raw, out = folder / f"raw-{scans}", folder / f"out-{scans}"
        if not out.exists():
            shutil.rmtree(raw, ignore_errors=True)
            data.tree(heads, raw, scans)
            made = folder / "out-made"
            shutil.rmtree(made, ignore_errors=True)
            data.finished(template, made, scans)
            made.rename(out)
        files[scans] = sum(len(names) for _, _, names in os.walk(raw))
        commands = [
            ("list", raw),
            (raw, out, "participant", "--dry-run"),
            (raw, out, "participant", "--dry-run", "--format", "json"),
            (raw, out, "participant", "--no-report"),
            (raw, out, "group", "--no-report"),
            ("report", out),
            ("extract", out, folder / "table.tsv"),
            ("telemetry", "show", out, "--limit", "3"),
        ]
        said = folder / "said.txt"
        for step, command in zip(STEPS, commands):
            with open(said, "w") as to:
                costs[step, scans] = Cost(*command, to=to)
            if step == "--dry-run" and "To do    0 scans " not in said.read_text()[:2000]:
                sys.exit(f"what was made is not what a run leaves; see {said}")
        if not keep:
            shutil.rmtree(raw)
            shutil.rmtree(out)
    print("\n### Finished datasets: wall time, processor time, peak memory\n")
    rows = []
    for step in STEPS:
        of = [costs[step, n] for n in sizes]
        more = max(sizes[-1] - sizes[0], 1)
        each = f"{1e6 * (of[-1].cpu - of[0].cpu) / more:.0f} µs, {1e6 * (of[-1].peak - of[0].peak) / more:.0f} bytes"
        grown = ["–" if e is None else f"{e:.2f}" for e in (exponent(sizes, [c.cpu for c in of]), exponent(sizes, [c.peak for c in of]))]
        rows.append([f"`{step}`", *[f"{c.wall:.2f} s, {c.cpu:.2f} s, {c.peak:.0f} MB" for c in of], each, ", ".join(grown)])
    # Where an exponent is below 1, the start of the program is a part of the smaller costs.
    head = ["scans (files of the dataset)", *[f"{n:,} ({files[n]:,})" for n in sizes], "each scan more", "exponents: CPU, memory"]
    table(head, rows)


def runs(folder, sizes):
    """The table of runs from the beginning to the end, with everything that a run does."""
    rows, cpus = [], []
    for scans in sizes:
        raw, out = folder / f"run-raw-{scans}", folder / f"run-out-{scans}"
        for old in (raw, out):
            shutil.rmtree(old, ignore_errors=True)
        data.tiny_tree(raw, scans)
        cost = Cost(raw, out, "participant", "--no-report")
        files, written = size(out)
        again = Cost(raw, out, "participant", "--no-report")
        report = Cost("report", out)
        cpus.append(cost.cpu)
        rows.append([f"{scans:,}", f"{cost.wall:.1f}", f"{cost.cpu:.1f}", f"{1000 * cost.cpu / scans:.1f}", f"{cost.peak:.0f}",
                     f"{growth(cost.samples, scans):.0f}", f"{files / scans:.1f}", f"{written / scans / 1e3:.0f}", f"{again.cpu:.2f}", f"{report.cpu:.2f}"])
        shutil.rmtree(raw)
        shutil.rmtree(out)
    print("\n### Runs from the beginning\n")
    table(["scans", "wall s", "CPU s", "CPU ms per scan", "peak MB", "growth, bytes per scan", "files per scan", "kB per scan",
           "again: CPU s", "report: CPU s"], rows)
    e = exponent(sizes, cpus)
    if e is not None:
        print(f"\nexponent of CPU: {e:.2f}")


def shared(folder, scans, counts):
    """The table of processes that share one output, each with its participants."""
    rows = []
    for count in counts:
        raw, out = folder / "shared-raw", folder / "shared-out"
        for old in (raw, out):
            shutil.rmtree(old, ignore_errors=True)
        data.tiny_tree(raw, scans)
        labels = sorted(p.name for p in raw.glob("sub-*"))
        start, costs = time.monotonic(), []

        def work(part):
            threads = max(1, os.cpu_count() // count)
            costs.append(Cost(raw, out, "participant", "--no-report", "--nprocs", threads, "--participant-label", *part))

        threads = [threading.Thread(target=work, args=(labels[n::count],)) for n in range(count)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        wall = time.monotonic() - start
        if len(costs) != count:
            sys.exit(f"of {count} processes {len(costs)} came to a good end")
        done = len(list(out.glob("sub-*/*_success.json")))
        group = Cost(raw, out, "group")
        rows.append([count, f"{wall:.1f}", f"{sum(c.cpu for c in costs):.1f}", f"{max(c.peak for c in costs):.0f}", done, scans, f"{group.cpu:.2f}"])
        shutil.rmtree(raw)
        shutil.rmtree(out)
    print(f"\n### {scans:,} scans by several processes on one output\n")
    table(["processes", "wall s", "CPU s in all", "largest peak MB", "participant-sessions done", "of", "group: CPU s"], rows)


def main():
    numbers = lambda text: [int(n) for n in text.split(",") if n]
    parser = argparse.ArgumentParser()
    parser.add_argument("scans", type=int, nargs="*", default=[1000, 5000, 10000])
    parser.add_argument("--index", type=int, default=10000)
    parser.add_argument("--runs", type=numbers, default=[200, 400, 800])
    parser.add_argument("--processes", type=numbers, default=[1, 2, 4])
    parser.add_argument("--keep", action="store_true")
    parser.add_argument("--folder", type=Path, default=ROOT / ".cache/scale")
    options = parser.parse_args()
    folder = options.folder.resolve()
    heads = data.heads(BINARY, folder)
    template = folder / "template"
    shutil.rmtree(template, ignore_errors=True)
    Cost(heads, template, "participant")
    version = subprocess.run([BINARY, "--version"], capture_output=True, text=True).stdout.strip()
    print(f"{version}; {os.cpu_count()} processors, load {os.getloadavg()[0]:.1f} at the start")
    if options.index:
        index(folder, options.index, heads)
    if any(options.scans):
        steps(folder, options.scans, heads, template, options.keep)
    if options.runs:
        runs(folder, options.runs)
    if options.processes and options.runs:
        shared(folder, options.runs[len(options.runs) // 2], options.processes)


main()
