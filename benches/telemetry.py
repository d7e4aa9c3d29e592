"""Runs of neuro-preprocess with and without telemetry, in turns; see telemetry.sh."""

import argparse
import json
import os
import random
import shutil
import socket
import statistics
import subprocess
import tempfile
import time
import urllib.request
from pathlib import Path

ROOT = Path(__file__).parent.parent
BINARY = ROOT / "target/release/neuro-preprocess"
COLLECTOR = ROOT / ".cache/collector/build/otelcol"
BEGIN, END = "<!-- overhead: begin -->", "<!-- overhead: end -->"
MODES = {"off": "off", "files": "files", "otlp": "files and Collector"}


class Collector:
    """A Collector on ports of its own, with the shipped configuration, writing to files."""

    def __init__(self, folder):
        names = ["GRPC", "HTTP", "PROMETHEUS", "HEALTH"]
        sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(5)]
        ports = [s.getsockname()[1] for s in sockets]
        for s in sockets:
            s.close()
        env = {f"OTELCOL_{n}": f"127.0.0.1:{p}" for n, p in zip(names, ports)}
        env["OTELCOL_OWN_METRICS_PORT"] = str(ports[4])
        for name in ["STORAGE", "FILES", "SPOOL"]:
            env[f"OTELCOL_{name}"] = str(folder / name.lower())
            (folder / name.lower()).mkdir(parents=True)
        configs = [ROOT / "configs/otel-collector-config.yaml", ROOT / "tests/peers/collector/files.yaml"]
        command = [COLLECTOR, *(a for c in configs for a in ("--config", c))]
        log = open(folder / "log", "w")
        self.process = subprocess.Popen(command, env=env, stdout=log, stderr=log)
        self.endpoint = f"http://127.0.0.1:{ports[0]}"
        while True:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{ports[3]}/").close()
                return
            except OSError:
                if self.process.poll() is not None:
                    raise SystemExit((folder / "log").read_text())
                time.sleep(0.1)


def measured(mode, bids, collector, folder):
    """One run: wall and CPU seconds, peak megabytes, seconds of each scan."""
    output = folder / "out"
    more = {"off": ["--no-telemetry"], "files": [], "otlp": ["--otel-endpoint", collector.endpoint]}[mode]
    env = {"PATH": "/usr/bin:/bin"}
    begin = time.perf_counter()
    process = subprocess.Popen([BINARY, bids, output, "participant", "-q", *more], env=env, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - begin
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise SystemExit(f"the run with telemetry {mode} ended with {process.returncode}")
    if mode == "otlp":
        delivered(output)
    summaries = [json.loads(p.read_text()) for p in output.rglob("*_summary.json")]
    scans = [s["seconds"] for summary in summaries for s in summary["scans"]]
    shutil.rmtree(output)
    return {"wall": wall, "cpu": usage.ru_utime + usage.ru_stime, "peak": usage.ru_maxrss * 1024 / 1e6, "scans": scans}


def delivered(output):
    """Ends the measurement when not everything arrived: it would be of something else."""
    answer = subprocess.run([BINARY, "telemetry", "status", output, "--format", "json"], capture_output=True, check=True)
    signals = json.loads(answer.stdout)["signals"]
    if any(s["waiting"] or s["rejected"] for s in signals.values()):
        raise SystemExit(f"the Collector did not get everything: {signals}")


def quantile(values, q):
    values = sorted(values)
    at = q * (len(values) - 1)
    low = int(at)
    high = min(low + 1, len(values) - 1)
    return values[low] + (values[high] - values[low]) * (at - low)


def more(runs, mode, what):
    """How many percent more than the run without telemetry of the same turn."""
    percent = [100 * (a[what] / b[what] - 1) for a, b in zip(runs[mode], runs["off"])]
    middle = statistics.median(percent)
    return f"{middle:+.1f} % ({quantile(percent, 0.25):+.1f} to {quantile(percent, 0.75):+.1f})"


def table(runs):
    lines = [
        "| telemetry | wall s | more | CPU s | more | peak MB | scan P50 s | P95 s | P99 s |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for mode, name in MODES.items():
        median = {what: statistics.median(r[what] for r in runs[mode]) for what in ["wall", "cpu", "peak"]}
        scans = [s for r in runs[mode] for s in r["scans"]]
        compared = ["–", "–"] if mode == "off" else [more(runs, mode, "wall"), more(runs, mode, "cpu")]
        cells = [name, f"{median['wall']:.2f}", compared[0], f"{median['cpu']:.2f}", compared[1], f"{median['peak']:.0f}"]
        cells += [f"{quantile(scans, q):.2f}" for q in (0.5, 0.95, 0.99)]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def single_costs():
    """Nanoseconds of one span and of one log line, as criterion measured them."""
    lines = ["| on the working thread | off | files |", "|---|---|---|"]
    for what, name in [("span", "a span, opened and ended"), ("log_line", "a log line")]:
        cells = []
        for mode in ["off", "files"]:
            estimates = ROOT / "target/criterion" / f"{what}_{mode}" / "new/estimates.json"
            cells.append(f"{json.loads(estimates.read_text())['median']['point_estimate']:.0f} ns")
        lines.append(f"| {name} | {cells[0]} | {cells[1]} |")
    return "\n".join(lines)


def about(args, runs):
    scans = len(runs["off"][0]["scans"])
    model = next((l.split(": ")[1] for l in open("/proc/cpuinfo") if l.startswith("model name")), "unknown processor")
    return (
        f"{args.rounds} turns of {scans} scans ({args.participants} participants, T1w and bold of {args.voxel_size:g} mm, "
        f"{args.volumes} volumes) on {os.cpu_count()} cores of {model.strip()}. Medians; scan times over all turns."
    )


def document(text):
    path = ROOT / "benches/README.md"
    before, rest = path.read_text().split(BEGIN)
    _, after = rest.split(END)
    path.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--participants", type=int, default=3)
    parser.add_argument("--voxel-size", type=float, default=1.5)
    parser.add_argument("--volumes", type=int, default=40)
    parser.add_argument("--print", action="store_true", help="do not write to benches/README.md")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        bids = folder / "bids"
        synth = ["--participants", args.participants, "--voxel-size", args.voxel_size, "--volumes", args.volumes]
        subprocess.run([BINARY, "synth", bids, *map(str, synth)], check=True, stdout=subprocess.DEVNULL)
        collector = Collector(folder / "collector")
        runs = {mode: [] for mode in MODES}
        try:
            measured("off", bids, collector, folder)  # the first one reads the data from disk
            for _ in range(args.rounds):
                for mode in random.sample(list(MODES), len(MODES)):
                    runs[mode].append(measured(mode, bids, collector, folder))
        finally:
            collector.process.kill()
    text = "\n\n".join([about(args, runs), table(runs), single_costs()])
    print(text)
    if not args.print:
        document(text)


main()
