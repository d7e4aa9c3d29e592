"""Where the time goes: stages, modalities, memory, processors, sizes."""

from parts import JOB, MODALITY, SERVICE, STAGE, alive, bars, column, counted, datasource, heatmap, participant_link, prom
from parts import dashboard as whole
from parts import series, stat, stepwise, table

STAGES = "neuro_stage_duration_seconds"
SCANS = "neuro_processing_duration_seconds"
M = 'modality=~"$modality"'
S = 'stage=~"$stage"'
# Stages that hold others would count their time twice.
INNER = 'stage!~"process|load"'


def quantile(q, by, metric, *labels):
    return f'histogram_quantile({q}, sum by ({by}, le) ({counted(f"{metric}_bucket", *labels)}))'


def stages():
    total = f'sum by (stage) ({counted(f"{STAGES}_sum", M, S, INNER)})'
    mean = f'sum by (stage) ({counted(f"{STAGES}_sum", M, S)}) / sum by (stage) ({counted(f"{STAGES}_count", M, S)})'
    return "Stages", [
        heatmap("Duration of stages", "How many stages took how long, over time. A band that moves up says that something "
                "became slower: choose one stage above to see which. After a pause of more than a day the first column holds "
                "all earlier ones, too.",
                f'sum by (le) ({stepwise(f"{STAGES}_bucket", M, S)})', "s", (24, 9)),
        bars("Time by stage", "Wall time of all scans in the range, by stage. The longest bar is where speeding up pays.",
             total, "{{stage}}", "s"),
        bars("P95 by stage", "One in twenty took longer, in the range. Compare with yesterday before blaming a stage.",
             quantile(0.95, "stage", STAGES, M, S), "{{stage}}", "s"),
        bars("Mean by stage", "Mean wall time of each stage, in the range.", mean, "{{stage}}", "s"),
        series("P95 by stage over time", "The alert NeuroSlowStage fires when the last hour is twice the usual of the week.",
               [prom(f'histogram_quantile(0.95, sum by (stage, le) ({stepwise(f"{STAGES}_bucket", M, S)}))', "{{stage}}")], "s"),
        bars("Processor time by stage", "CPU seconds of all scans in the range, all threads. Far above the wall time: it runs on "
             "many cores; far below: it waits for the disk.",
             f'sum by (stage) ({counted("neuro_stage_cpu_seconds_total", M, S, INNER)})', "{{stage}}", "s"),
        bars("Bytes by stage", "What stages have read and written in the range, cached or not.",
             f'sum by (stage, direction) ({counted("neuro_stage_io_bytes_total", M, S, INNER)})', "{{stage}} {{direction}}",
             "decbytes"),
    ]


def modalities():
    per = "modality, status"
    return "Modalities", [
        bars("P95 by modality", "Wall time of a scan. Failed scans end early and are told apart.",
             quantile(0.95, per, SCANS, M), "{{modality}} {{status}}", "s", (8, 8)),
        bars("Scans by modality", "Scans that ended in the range.", f"sum by ({per}) ({counted(f'{SCANS}_count', M)})",
             "{{modality}} {{status}}", "short", (8, 8)),
        bars("Quality by modality", "Median quality score, 0 (bad) to 100, interpolated in five buckets.",
             quantile(0.5, "modality", "neuro_quality_score", M), "{{modality}}", "none", (8, 8), high=100),
    ]


def resources():
    written = f'sum({counted("neuro_output_size_mb_sum")}) * 1e6'
    read = f'sum({counted("neuro_scan_size_mb_sum")}) * 1e6'
    return "Resources", [
        series("Memory", "Resident memory of each process that still reports. Near the limit of the job: give --mem, or "
               "fewer --nprocs.", [prom(alive("neuro_process_memory_bytes"), "{{instance}}")], "bytes"),
        series("Processors in use", "CPU seconds a second, of all processes together: 2 is two cores fully used. Far below "
               "--nprocs while scans are in work: the disk is the limit.",
               [prom(f"sum(rate(neuro_process_cpu_seconds_total{{{JOB}}}[$__rate_interval]))", "cores")], "none"),
        stat("CPU time", "CPU time of all processes in the range.", f'sum({counted("neuro_process_cpu_seconds_total")})', "s",
             (6, 4), decimals=0),
        stat("CPU time a scan", "CPU time divided by scans ended in the range. Grows with the size of images.",
             f'sum({counted("neuro_process_cpu_seconds_total")}) / sum({counted("neuro_scans_processed_total")})', "s", (6, 4),
             decimals=1),
        stat("Read", "Size of the input files of scans begun in the range.", read, "decbytes", (6, 4)),
        stat("Written", "Size of the derivatives of scans ended in the range.", written, "decbytes", (6, 4)),
    ]


def slowest():
    links = [participant_link("participant_id")]
    query = f"topk(20, max by (participant_id, session_id, status) (last_over_time(neuro_subject_duration_seconds{{{JOB}}}" \
            "[$__range])))"
    return "Participants", [
        table("Slowest participants", "The latest wall time of each participant-session in the range. Empty with "
              "--no-subject-metrics.", prom(query, table=True), (24, 9), no_value="none", rename={"Value": "seconds"},
              order=("participant_id", "session_id", "status", "Value"),
              overrides=[column("seconds", unit="s", decimals=1), column("participant_id", links=links)]),
    ]


def dashboard():
    variables = [datasource("prometheus"), datasource("loki"), datasource("tempo"), SERVICE, MODALITY, STAGE]
    text = "Where the time of scans goes, and what they use."
    return whole("performance", "neuro-preprocess / Performance", text, variables,
                 [stages(), modalities(), resources(), slowest()])
