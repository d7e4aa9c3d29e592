"""What failed, where, why, and for whom, with the way to the trace."""

from parts import LOGS, MODALITY, SERVICE, SPANS, STAGE, bars, column, counted, datasource, logs, loki, participant_link, prom
from parts import dashboard as whole
from parts import series, stat, table, tempo, trace_link

SCANS = "neuro_scans_processed_total"
ERRORS = "neuro_errors_total"
M = 'modality=~"$modality"'
S = 'stage=~"$stage"'
FAILED, READING = 'status="failed"', 'stage="load"'
LINES = f'{LOGS} | severity_text="ERROR" | stage=~"$stage|"'
# Below a stage that failed, the stage that holds it and the scan fail, too.
SCAN = f'{{ {SPANS} && name="preprocess_scan" && status=error }} | select(span.participant_id, span.scan.id, ' \
       "span.error.code, span.modality)"


def numbers():
    failed, ended = f"sum({counted(SCANS, M, FAILED)})", f"sum({counted(SCANS, M)})"
    bad = [(None, "green"), (0.01, "orange"), (0.2, "red")]
    return "In the range shown", [
        stat("Failed scans", "Scans that failed. Each has one line in the table below.", f"{failed} or vector(0)", "short",
             (6, 4), thresholds=[(None, "green"), (1, "orange")]),
        stat("Error rate", "Share of ended scans that failed; \"no data\" when none ended. Above 20 %, NeuroHighErrorRate "
             "fires: something other than single scans is wrong.", f"{failed} / {ended}", "percentunit", (6, 4),
             thresholds=bad, decimals=1),
        stat("Failed on reading", "Scans that could not be read or were not valid: look at the data, not at the program.",
             f"sum({counted(SCANS, M, FAILED, READING)}) or vector(0)", "short", (6, 4)),
        stat("Kinds of errors", "Different pairs of stage and class. One kind many times is one cause; many kinds are many.",
             f"count(({counted(ERRORS, S)}) > 0) or vector(0)", "short", (6, 4)),
    ]


def kinds():
    return "Where and why", [
        series("Failed scans over time", "Scans that failed in each step, by the phase where they ended.",
               [prom(f'sum by (stage) ({counted(SCANS, M, FAILED, over="$__rate_interval")})', "{{stage}}")], "short",
               (12, 8), bars=True, stacked=True),
        bars("Errors by stage and class", "Classes are those of docs/errors.md: validation and io are the data and the disk, "
             "processing is an image the methods cannot handle, memory a scan that needs too much.",
             f"sum by (stage, error_type) ({counted(ERRORS, S)}) > 0", "{{stage}}: {{error_type}}", "short"),
    ]


def who():
    keys = "participant_id, session_id, scan_id, stage, error_code, trace_id"
    failed = f"sum by ({keys}) (count_over_time({LINES} [$__range]))"
    codes = f"sum by (error_code) (count_over_time({LINES} [$__range]))"
    links = [column("trace_id", links=[trace_link("trace_id")]),
             column("participant_id", links=[participant_link("participant_id")])]
    order = ("participant_id", "session_id", "scan_id", "stage", "error_code", "trace_id")
    return "Failed scans", [
        table("Failed scans and their traces", "One row a failed scan. Click the trace to see which stage failed and when, the "
              "participant to see the rest of it. docs/errors.md says what to do for each code.",
              loki(failed, instant=True), (16, 10), order=order, hide=("Time", "Value", "Value #A"), no_value="none",
              overrides=links),
        table("Failures by code", "What to look up first in docs/errors.md.", loki(codes, instant=True), (8, 10),
              rename={"Value #A": "scans", "Value": "scans"}, no_value="none"),
        table("Traces of failed scans", "The same by traces; from here to the spans around the failure.",
              tempo(SCAN, table="spans"), (24, 8), hide=(), no_value="none"),
    ]


def lines():
    severities = f"sum by (severity_text) (count_over_time({LOGS} [$__auto]))"
    return "Log lines", [
        logs("Last errors", "The newest ERROR lines of the chosen stages. Open a line for its fields and the link to its trace.",
             LINES),
        series("Lines by severity", "Log lines written. Warnings are about quality: they do not fail a scan.",
               [loki(severities, "{{severity_text}}")], "short", (12, 8), bars=True, stacked=True),
        table("Commonest warnings", "Ten messages of level WARN that came most often in the range.",
              loki(f'topk(10, sum by (message) (count_over_time({LOGS} | severity_text="WARN" | label_format '
                   "message=`{{__line__}}` [$__range])))", instant=True), (12, 8),
              rename={"Value #A": "lines", "Value": "lines"}, no_value="none"),
    ]


def dashboard():
    variables = [datasource("prometheus"), datasource("loki"), datasource("tempo"), SERVICE, MODALITY, STAGE]
    text = "Which scans failed, at which stage and why; every row leads to a trace."
    return whole("errors", "neuro-preprocess / Errors", text, variables, [numbers(), kinds(), who(), lines()])
