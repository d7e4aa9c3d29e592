"""How the runs do: what is done, what waits, how long a scan takes, and whether the objectives are kept."""

from parts import MODALITY, SERVICE, alive, counted, datasource, prom, series, stat, stepwise
from parts import dashboard as whole

SCANS = "neuro_scans_processed_total"
SECONDS = "neuro_processing_duration_seconds"
M = 'modality=~"$modality"'
FAILED, SUCCESS = 'status="failed"', 'status="success"'
WITHIN = 'le=~"60([.]0)?"'
GOOD = [(None, "red"), (0.9, "orange"), (0.99, "green")]
LEFT = [(None, "red"), (0, "orange"), (0.5, "green")]
LONG = [(None, "green"), (60, "orange"), (120, "red")]


def quantile(q):
    return f'histogram_quantile({q}, sum by (le) ({counted(f"{SECONDS}_bucket", M)}))'


def step_quantile(q):
    return f'histogram_quantile({q}, sum by (le) ({stepwise(f"{SECONDS}_bucket", M)}))'


def now():
    return "Now", [
        stat("Scans in work", "Scans being processed at this moment, of processes that still report. 0 between runs.",
             f'sum({alive("neuro_active_pipelines")}) or vector(0)'),
        stat("Sessions waiting", "Participant-sessions that a running process has planned and not begun. If it does not fall "
             "for half an hour, see the runbook of NeuroQueueStuck.", f'sum({alive("neuro_queue_depth")}) or vector(0)'),
        stat("Throughput", "Scans ended in the last five minutes, per minute. 0 between runs.",
             f'sum({counted(SCANS, M, over="5m")}) / 5 or vector(0)', "suffix: scans/min", decimals=1),
        stat("Processes", "Processes that have reported in the last two minutes.",
             f'count({alive("neuro_process_memory_bytes")}) or vector(0)'),
        stat("Alerts firing", "Alerts of configs/prometheus/rules. Each names its section in docs/03-observing.md. 0 also where "
             "the rules are not loaded.", 'count(ALERTS{alertname=~"Neuro.+", alertstate="firing"}) or vector(0)',
             thresholds=[(None, "green"), (1, "red")]),
        stat("Failed", "Scans that failed in the range. The errors dashboard names them with their reason.",
             f"sum({counted(SCANS, M, FAILED)}) or vector(0)", thresholds=[(None, "green"), (1, "orange")]),
    ]


def in_range():
    return "In the range shown", [
        stat("Scans processed", "Scans that ended, well or not. Counted exactly, also for runs of seconds; what was skipped "
             "because it was done before is not in it.", f"sum({counted(SCANS, M)}) or vector(0)"),
        stat("Success rate", "Share of ended scans that succeeded. \"no data\" when none ended. Below 99 %: open the errors "
             "dashboard.", f"sum({counted(SCANS, M, SUCCESS)}) / sum({counted(SCANS, M)})", "percentunit",
             thresholds=GOOD, low=0, high=1, decimals=1),
        stat("Mean time", "Wall time of a scan from load to save.",
             f'sum({counted(f"{SECONDS}_sum", M)}) / sum({counted(f"{SECONDS}_count", M)})', "s", size=(4, 4),
             thresholds=LONG, decimals=1),
        stat("P50", "Half of the scans took less.", quantile(0.5), "s", thresholds=LONG, decimals=1),
        stat("P95", "One scan in twenty took longer. Interpolated in the buckets of the histogram.", quantile(0.95), "s",
             thresholds=LONG, decimals=1),
        stat("P99", "One scan in a hundred took longer. With fewer than a hundred scans it is near the slowest.",
             quantile(0.99), "s", thresholds=LONG, decimals=1),
    ]


def over_time():
    ended = f'sum by (status) ({counted(SCANS, M, over="$__rate_interval")})'
    return "Over time", [
        series("Scans ended", "Scans that ended in each step, by outcome. Runs come in bursts; gaps are idle time.",
               [prom(ended, "{{status}}")], "short", bars=True, stacked=True),
        series("Time of a scan", "Percentiles of the wall time of scans that ended in each step.",
               [prom(step_quantile(0.5), "P50"), prom(step_quantile(0.95), "P95"), prom(step_quantile(0.99), "P99")], "s"),
        series("In work and waiting", "Scans in work and participant-sessions that wait. A queue that stays level while "
               "scans are in work is stuck.",
               [prom(f'sum({alive("neuro_active_pipelines")})', "scans in work"),
                prom(f'sum({alive("neuro_queue_depth")})', "sessions waiting")], "short"),
        series("Quality score", "Mean quality score of scans by modality, 0 (bad) to 100. A drop after a change of scanner or "
               "protocol deserves a look at the images.",
               [prom(f'sum by (modality) ({stepwise("neuro_quality_score_sum", M)}) / sum by (modality) '
                     f'({stepwise("neuro_quality_score_count", M)})', "{{modality}}")], "none", high=100),
    ]


def objectives():
    readable = 'stage!="load"'
    quick = f'sum({counted(f"{SECONDS}_bucket", M, SUCCESS, WITHIN)})'
    succeeded = f'sum({counted(f"{SECONDS}_count", M, SUCCESS)})'
    failed = f"sum({counted(SCANS, M, readable, FAILED)})"
    return "Objectives (docs/03-observing.md)", [
        stat("Budget left: success", "Of readable scans 99 % succeed. 100 %: none failed in the range; 0: the allowed 1 % "
             "failed; negative: more. Choose 14 days to see the objective's own window.",
             f"1 - ({failed} or vector(0)) / sum({counted(SCANS, M, readable)}) / 0.01", "percentunit", (6, 4),
             thresholds=LEFT, decimals=0),
        stat("Budget left: time", "Of scans that succeed 95 % take at most 60 s. 100 %: none was slower; 0: the allowed 5 % "
             "were.", f"1 - (1 - {quick} / {succeeded}) / 0.05", "percentunit", (6, 4), thresholds=LEFT, decimals=0),
        stat("Telemetry lost", "Spans, log records and metric points that no file took or that a collector refused. Must be "
             "0; else see the runbook of NeuroTelemetryDropped.",
             f'sum({counted("neuro_telemetry_dropped_total")}) or vector(0)', "short", (6, 4),
             thresholds=[(None, "green"), (1, "red")]),
        stat("Mean quality", "Mean quality score of the scans in the range, 0 to 100.",
             f'sum({counted("neuro_quality_score_sum", M)}) / sum({counted("neuro_quality_score_count", M)})', "none", (6, 4),
             thresholds=[(None, "red"), (40, "orange"), (60, "green")], decimals=0),
    ]


def dashboard():
    variables = [datasource("prometheus"), datasource("loki"), datasource("tempo"), SERVICE, MODALITY]
    text = "What runs of neuro-preprocess have done and are doing. Start here."
    return whole("overview", "neuro-preprocess / Overview", text, variables, [now(), in_range(), over_time(), objectives()])
