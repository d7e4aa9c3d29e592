"""What only this program is asked: its scores on heads with a known truth, and how it scales over many scans."""
import json
import subprocess

from measure import run

# The seeds of docs/methods.md: no method was tuned on them.
SEEDS = range(100, 110)
MEASURES = {
    "T1w": [("dice", "mask: Dice", "{:.4f}", min), ("hd95_mm", "mask: HD95, mm", "{:.2f}", max),
            ("false_positive_ml", "mask: too much, ml", "{:.0f}", max),
            ("false_negative_ml", "mask: missing, ml", "{:.0f}", max), ("field_r", "field: r", "{:.4f}", min),
            ("field_residual_percent", "field: residual, %", "{:.2f}", max),
            ("cjv_excess_percent", "CJV above ideal, %", "{:.1f}", max)],
    "bold": [("dice", "mask: Dice", "{:.4f}", min), ("motion_rms_mean_mm", "motion: mean over volumes, mm", "{:.4f}", max),
             ("motion_rms_p95_mm", "motion: 95 % of volumes, mm", "{:.4f}", max),
             ("motion_rms_max_mm", "motion: worst volume, mm", "{:.4f}", max)],
}


def dataset_scores(ours, dataset, out):
    """Preprocesses a dataset that has its ground truth and returns the score of every scan."""
    subprocess.run(["rm", "-rf", out], check=True)
    subprocess.run([ours, dataset, out, "participant", "--nprocs", "2", "--no-telemetry", "-q"], check=True)
    made = subprocess.run([ours, "score", out, "--format", "json"], check=True, capture_output=True, text=True)
    return json.loads(made.stdout)["scans"]


def score_table(title, scans):
    """Mean and worst of every measure, by modality."""
    lines = [f"### {title}\n", "| scan | measure | scans | mean | worst |", "|---|---|---|---|---|"]
    for modality, measures in MEASURES.items():
        of = [s["measures"] for s in scans if s["modality"] == modality]
        for key, name, form, worst in measures:
            values = [m[key] for m in of if key in m]
            if values:
                mean = sum(values) / len(values)
                lines.append(f"| {modality} | {name} | {len(values)} | {form.format(mean)} | {form.format(worst(values))} |")
    problems = [f"{s['scan']}: {p}" for s in scans for p in s["problems"]]
    return "\n".join(lines + [f"\nNot scored: {p}." for p in problems])


def seeds(bench):
    """Ten heads that no method was tuned on, made by this program."""
    scans = []
    for seed in list(SEEDS)[:1 if bench.quick else None]:
        settings = ["--participants", 1, "--seed", seed, "--voxel-size", 2 if bench.quick else 1,
                    "--volumes", 40 if bench.quick else 100]
        scans += dataset_scores(bench.ours, bench.synth(f"seed-{seed}", *settings), bench.work / f"seed-{seed}-out")
        bench.note(f"seed {seed}: scored")
    count = len([s for s in scans if s["modality"] == "T1w"])
    return score_table(f"Scores of this program on heads of its own `synth`, seeds {SEEDS[0]} to {SEEDS[count - 1]}", scans)


def phantoms(bench, dataset):
    """Heads of another program, as a BIDS dataset with derivatives/ground-truth as `synth` writes it."""
    return score_table(f"Scores of this program on {dataset.name}",
                       dataset_scores(bench.ours, dataset, bench.work / "phantoms-out"))


def many(bench):
    """One run over many scans at 1 and 2 threads, and over the first tenth at 2."""
    participants = sorted(p.name for p in bench.batch.glob("sub-*"))
    rows = []
    for count, threads in [(len(participants), 2), (len(participants), 1), (max(2, len(participants) // 10), 2)]:
        out = bench.work / f"many-{count}-{threads}"
        subprocess.run(["rm", "-rf", out], check=True)
        found = run([bench.ours, bench.batch, out, "participant", "--nprocs", threads, "--participant-label",
                     *participants[:count]], threads)
        bench.note(f"{count} scans, {threads} threads: {found.wall:.1f} s")
        rows.append((count, threads, found))
    two, one, _ = (r for *_, r in rows)
    text = [f"### {len(participants)} T1w of 2 mm, each another head\n",
            "| scans | threads | wall s | CPU s | wall a scan s | peak MB |", "|---|---|---|---|---|---|"]
    text += [f"| {n} | {t} | {r.wall:.1f} | {r.cpu:.1f} | {r.wall / n:.2f} | {r.peak:.0f} |"
             + (f" failed: {r.error}" if r.error else "") for n, t, r in rows]
    faster = one.wall / two.wall
    text.append(f"\nTwo threads are {faster:.2f} times as fast as one ({faster / 2:.0%} of twice as fast); processor time at "
                f"two threads is {two.cpu / one.cpu:.2f} times that at one. Where the latter is well above 1, the two cores "
                "share something (memory, a core's second thread) and no program could be twice as fast.")
    return "\n".join(text)
