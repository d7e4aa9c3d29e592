"""Whether telemetry itself arrives: the program's files, the Collector, the servers behind it."""

from parts import JOB, SERVICE, alive, counted, datasource, prom, series, stat, table
from parts import dashboard as whole

RED = [(None, "green"), (1, "red")]
SIGNALS = {"spans": "spans", "metric_points": "metric points", "log_records": "log records"}


def receiver(what):
    """One line a signal of one of the receiver's counters."""
    return [prom(f"sum(rate(otelcol_receiver_{what}_{signal}[$__rate_interval])) or vector(0)", name)
            for signal, name in SIGNALS.items()]


def growth(series):
    """How much a sum of the Collector's own counters has grown in the range. They appear at their first event, and begin again
    when it starts."""
    return f"clamp_min((sum({series}) or vector(0)) - (sum({series} offset $__range) or vector(0)), 0)"


def servers():
    jobs = "neuro-preprocess|otel-collector|prometheus|loki|tempo"
    lost = growth('{__name__=~"otelcol_exporter_send_failed_(spans|log_records|metric_points)"}')
    return "Servers", [
        table("Up", "1: Prometheus reached it at its last scrape; 0: it did not. job neuro-preprocess is the Collector's port "
              "with the metrics of runs. See the runbook of NeuroStackDown.",
              prom(f'min by (job) (up{{job=~"{jobs}"}})', table=True), (6, 8), rename={"Value": "up"}, no_value="none"),
        stat("Dropped by the program", "Spans, log records and metric points that no file took or that a collector refused "
             "for good, in the range. See the runbook of NeuroTelemetryDropped.",
             f'sum({counted("neuro_telemetry_dropped_total")}) or vector(0)', "short", (6, 4), thresholds=RED),
        stat("Lost by the Collector", "What the Collector gave up sending, in the range. See the runbook of "
             "NeuroCollectorLosing.", lost, "short", (6, 4), thresholds=RED),
        stat("Dropped deltas", "Deltas of metrics that the Collector could not add up, in the range: a second Collector or a "
             "clock far off. Totals are too small by them.",
             growth('otelcol_deltatocumulative_datapoints{error!=""}'), "short", (6, 4), thresholds=RED),
        stat("Waiting in files", "Items that running processes have written and no collector has taken. Grows while the "
             "Collector is away, then falls.", f'sum({alive("neuro_telemetry_waiting")}) or vector(0)', "short", (6, 4),
             thresholds=[(None, "green"), (5000, "orange")]),
        stat("Fullest queue", "Fill of the Collector's fullest sending queue. It is on disk and outlives the Collector. Above "
             "50 %: see the runbook of NeuroCollectorQueueFilling.",
             "max(otelcol_exporter_queue_size / otelcol_exporter_queue_capacity)", "percentunit", (6, 4),
             thresholds=[(None, "green"), (0.5, "orange"), (0.8, "red")], decimals=1),
        stat("Silent processes", "Processes that had scans in work at their last word, ten minutes ago or more: killed, or cut "
             "off from the Collector. See the runbook of NeuroTelemetrySilent.",
             f'count(neuro_active_pipelines{{{JOB}}} > 0 and on (instance) (neuro_telemetry_spooled_bytes{{signal="metrics"}} '
             '== neuro_telemetry_spooled_bytes{signal="metrics"} offset 10m)) or vector(0)', "short", (6, 4), thresholds=RED),
    ]


def collector():
    by = "{{exporter}}"
    sent = " or ".join(f"sum by (exporter) (rate(otelcol_exporter_sent_{signal}[$__rate_interval]))" for signal in SIGNALS)
    return "Collector", [
        series("Accepted", "Items a second the Collector has taken from runs.", receiver("accepted"), "cps"),
        series("Refused", "Items a second refused with \"try again\": memory is short or a queue is full. The program keeps "
               "and repeats them; nothing is lost unless Lost by the Collector says so.", receiver("refused"), "cps"),
        series("Sent", "Items a second passed on, by exporter. A line at 0 while its queue grows: the server behind it is "
               "away, see the runbook of NeuroCollectorNotExporting.", [prom(sent, by)], "cps"),
        series("Queues", "Items that wait on the Collector's disk for Tempo and Loki.",
               [prom("sum by (exporter) (otelcol_exporter_queue_size)", by)], "short"),
        series("Memory of the Collector", "Resident memory. From 384 MB on its limiter refuses, and runs wait.",
               [prom("max by (instance) (otelcol_process_memory_rss)", "{{instance}}")], "bytes"),
        series("Streams added up", "Label sets whose deltas the Collector adds up. Growing with every process: a label of the "
               "process has come into the metrics, see docs/telemetry.md.",
               [prom("sum(otelcol_deltatocumulative_streams_tracked)", "streams")], "short"),
    ]


def program():
    return "Program", [
        series("Written to files", "Telemetry each process has written. Files stay after delivery; NAME.jsonl.sent says that "
               "one may be deleted.", [prom(f'sum by (instance) ({alive("neuro_telemetry_spooled_bytes")})', "{{instance}}")],
               "bytes"),
        series("Waiting by signal", "Items written and not taken yet, of processes that still report.",
               [prom(f'sum by (signal) ({alive("neuro_telemetry_waiting")})', "{{signal}}")], "short"),
        series("Series in Prometheus", "Time series held in memory. A thousand for the program, two for each session of "
               "the last hour, nine for each process.",
               [prom("max(prometheus_tsdb_head_series)", "series")], "short"),
        series("Disk of Prometheus", "Size of its blocks on disk.", [prom("max(prometheus_tsdb_storage_blocks_bytes)", "blocks")],
               "bytes"),
    ]


def dashboard():
    variables = [datasource("prometheus"), datasource("loki"), datasource("tempo"), SERVICE]
    text = "Whether telemetry arrives. Look here when another dashboard is empty or too small."
    return whole("health", "neuro-preprocess / Telemetry health", text, variables, [servers(), collector(), program()])
