"""One participant: its sessions, scans and their quality, traces and log lines."""

from parts import JOB, KEPT, LOGS, SERVICE, SPANS, choice, column, datasource, logs, loki, prom, stat, table, tempo, text
from parts import dashboard as whole
from parts import panel, trace_link

WHO = 'participant_id="$participant"'
LINES = f"{LOGS} | {WHO}"
# A scan's last line is the one outside of any stage that has a duration.
ENDED = f'{LINES} | duration_seconds!="" | stage=""'
PARTICIPANT = choice("participant", "Participant", "neuro_subject_duration_seconds", "participant_id",
                     "Label without sub-. With --no-subject-metrics the list is empty: type the label. With --pseudonymize "
                     "labels are the hashes.", many=False)
TRACE = text("trace", "Trace", "A trace id, filled in by a click on a trace below.")


def latest(metric):
    return f"max(last_over_time({metric}{{{JOB}, {WHO}}}[$__range]))"


def summary():
    failed = f'count(last_over_time(neuro_subject_duration_seconds{{{JOB}, {WHO}, status="failed"}}[$__range]))'
    sessions = f"last_over_time(neuro_subject_duration_seconds{{{JOB}, {WHO}}}[$__range])"
    quality = f"last_over_time(neuro_subject_quality_score{{{JOB}, {WHO}}}[$__range])"
    return "This participant", [
        stat("Quality", "Best mean quality score of its sessions, 0 (bad) to 100. Below 60: look at the images; the scans "
             "below say which.", latest("neuro_subject_quality_score"), "none",
             thresholds=[(None, "red"), (40, "orange"), (60, "green")], decimals=0),
        stat("Slowest session", "Wall time of its slowest session.", latest("neuro_subject_duration_seconds"), "s", decimals=1),
        stat("Failed sessions", "Sessions with a failed scan at their last run in the range.", f"{failed} or vector(0)",
             thresholds=[(None, "green"), (1, "red")]),
        table("Sessions", "Time of each session by outcome. Both outcomes: it failed once and succeeded at another run.",
              prom(f"max by (session_id, status) ({sessions})", table=True), (6, 6), rename={"Value": "seconds"},
              overrides=[column("seconds", unit="s", decimals=1)], no_value="none"),
        table("Quality of sessions", "Mean quality score of the scans of each session.",
              prom(f"max by (session_id, status) ({quality})", table=True), (6, 6), rename={"Value": "score"},
              overrides=[column("score", decimals=0)], no_value="none"),
    ]


def scans():
    keys = "scan_id, trace_id"
    time = f"max by ({keys}) (max_over_time({ENDED} | unwrap duration_seconds [$__range]))"
    score = f'max by ({keys}) (max_over_time({LINES} | quality_score!="" | unwrap quality_score [$__range]))'
    codes = f'sum by (scan_id, stage, error_code, trace_id) (count_over_time({LINES} | severity_text="ERROR" [$__range]))'
    link = column("trace_id", links=[trace_link("trace_id")])
    return "Scans", [
        table("Quality of scans", "Each scan that succeeded, with the trace of that run.", loki(score, instant=True), (8, 8),
              rename={"Value #A": "score", "Value": "score"}, overrides=[link, column("score", decimals=0)], no_value="none"),
        table("Time of scans", "Wall time of each scan from load to save, where it succeeded.", loki(time, instant=True), (8, 8),
              rename={"Value #A": "seconds", "Value": "seconds"}, no_value="none",
              overrides=[link, column("seconds", unit="s", decimals=1)]),
        table("Failures", "Each failed scan with its stage and code; docs/errors.md says what to do. None: nothing failed.",
              loki(codes, instant=True), (8, 8), hide=("Time", "Value", "Value #A"), overrides=[link], no_value="none"),
    ]


def traces():
    here = {"title": "Show below", "url": f"/d/neuro-subject?${{participant:queryparam}}&var-trace=${{__value.raw}}&{KEPT}",
            "targetBlank": False}
    roots = f'{{ {SPANS} && name="preprocess_subject" && span.{WHO} }} | select(span.session_id, span.run.id, status)'
    spans = f'{{ {SPANS} && name="preprocess_scan" && span.{WHO} }} | select(span.scan.id, span.pipeline.status, ' \
            "span.error.code)"
    return "Traces", [
        table("Runs of this participant", "One trace a session and run, the newest first. Click an id to show it below.",
              tempo(roots), (12, 8), hide=(), overrides=[column("Trace ID", links=[here])], no_value="none"),
        table("Spans of its scans", "Each scan as a span, with its outcome.", tempo(spans, table="spans"), (12, 8), hide=(),
              no_value="none"),
        panel("traces", "Trace $trace", "The trace chosen above: the long bars are the time, the red ones what failed.",
              [tempo("$trace")], (24, 14)),
    ]


def lines():
    return "Log lines", [logs("All lines", "Every line about this participant, the newest first.", LINES)]


def dashboard():
    variables = [datasource("prometheus"), datasource("loki"), datasource("tempo"), SERVICE, PARTICIPANT, TRACE]
    about = "One participant: sessions, scans, quality, traces and log lines."
    return whole("subject", "neuro-preprocess / Participant", about, variables, [summary(), scans(), traces(), lines()])
