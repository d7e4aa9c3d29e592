"""One run: how far it is, what is slow, what failed and why, what it uses of what it was given, what waits to be delivered."""

from parts import JOB, LOGS, SERVICE, SPANS, alive, choice, column, datasource, logs, loki, participant_link, prom
from parts import dashboard as whole
from parts import series, stat, table, tempo, trace_link

# A gauge of each process with the id of its run: through it, what a process reports is found by run.
RUN = choice("run", "Run", "neuro_run_threads", "run_id", "run.id, as the head of a run and telemetry show print it. Several: a "
             "job array has one for each task.")
OF = f'neuro_run_threads{{{JOB}, run_id=~"$run"}}'
LINES = f'{LOGS} | neuro_run_id=~"$run"'
# A scan's last line is the one outside of any stage that has a duration.
SCANS = f'{LINES} | duration_seconds!="" | stage="" | scan_id!=""'
STAGES = f'{LINES} | duration_seconds!="" | stage!=""'
ERRORS = f'{LINES} | severity_text="ERROR"'
TRACES = f'{SPANS} && resource.neuro.run.id=~"$run"'


def of_run(metric):
    """A gauge of the processes of the run that still report."""
    return f"({alive(metric)}) and on (instance) {OF}"


def now():
    return "Progress", [
        stat("Sessions waiting", "Participant-sessions planned and not begun. 0 when the run has ended.",
             f'sum({of_run("neuro_queue_depth")}) or vector(0)'),
        stat("Scans in work", "Scans being processed at this moment.", f'sum({of_run("neuro_active_pipelines")}) or vector(0)'),
        stat("Scans ended", "Scans that succeeded in the range.", f"sum(count_over_time({SCANS} [$__range]))", "short",
             loki=True),
        stat("Errors", "Scans that failed in the range. The table below names them.",
             f"sum(count_over_time({ERRORS} [$__range]))", "short", thresholds=[(None, "green"), (1, "orange")], loki=True,
             no_value="0"),
        stat("Threads allotted", "Threads that the processes of the run may use together.",
             f"sum(last_over_time({OF}[$__range]))", "short"),
        stat("Waiting to be delivered", "Items of telemetry in the files of the run that no collector has taken. They are sent "
             "by the next run into the same output, or by telemetry replay.",
             f'sum({of_run("neuro_telemetry_waiting")}) or vector(0)', "short", thresholds=[(None, "green"), (5000, "orange")]),
        series("Waiting and in work", "A line that does not fall for half an hour: see the runbook of NeuroQueueStuck.",
               [prom(f'sum({of_run("neuro_queue_depth")})', "sessions waiting"),
                prom(f'sum({of_run("neuro_active_pipelines")})', "scans in work")], "short", (12, 8)),
        series("Scans ended over time", "Scans that succeeded in each step.",
               [loki(f"sum by (modality) (count_over_time({SCANS} [$__auto]))", "{{modality}}")], "short", (12, 8), bars=True,
               stacked=True),
    ]


def slow():
    keys = "participant_id, session_id, scan_id, trace_id"
    by = "by (stage, modality)"
    links = [column("trace_id", links=[trace_link("trace_id")]), column("participant_id", links=[participant_link("participant_id")]),
             column("seconds", unit="s", decimals=1)]

    def quantile(q):
        return loki(f"quantile_over_time({q}, {STAGES} | unwrap duration_seconds [$__range]) {by}", instant=True)

    seconds = {"rename": {"Value #A": "seconds", "Value": "seconds"}, "no_value": "none",
               "overrides": [column("seconds", unit="s", decimals=2)]}
    return "What takes the time", [
        table("Slowest scans", "Ten scans that took longest, with the way to their traces.",
              loki(f"topk(10, max by ({keys}) (max_over_time({SCANS} | unwrap duration_seconds [$__range])))", instant=True),
              (24, 9), rename={"Value #A": "seconds", "Value": "seconds"}, overrides=links, no_value="none",
              order=("participant_id", "session_id", "scan_id", "Value #A", "Value", "trace_id")),
        table("P50 of stages", "Half of the scans took less. Compare with another run: telemetry compare.", quantile(0.5),
              (12, 9), **seconds),
        table("P95 of stages", "One scan in twenty took longer.", quantile(0.95), (12, 9), **seconds),
    ]


def failed():
    keys = "participant_id, session_id, scan_id, stage, error_code, trace_id"
    links = [column("trace_id", links=[trace_link("trace_id")]), column("participant_id", links=[participant_link("participant_id")])]
    return "What failed", [
        table("Failures", "One row a failed scan: its stage, its code (docs/errors.md says what to do), its trace.",
              loki(f"sum by ({keys}) (count_over_time({ERRORS} [$__range]))", instant=True), (12, 9),
              order=("participant_id", "session_id", "scan_id", "stage", "error_code", "trace_id"),
              hide=("Time", "Value", "Value #A"), overrides=links, no_value="none"),
        logs("Lines of failures", "The reasons in full, the newest first. A line opened leads to its trace.", ERRORS, (12, 9)),
    ]


def used():
    stages = f'{{ {TRACES} && span.stage=~"load|process|save" }}'
    return "What it uses", [
        series("Memory", "Resident memory of each process of the run. Near the limit of the job: give --mem, or fewer "
               "--nprocs.", [prom(of_run("neuro_process_memory_bytes"), "{{instance}}")], "bytes"),
        series("Processor time", "CPU seconds of stages that ended in each step, from their spans. Divided by the length of a "
               "step it is at most the threads allotted; far below: the disk is the limit.",
               [tempo(f"{stages} | sum_over_time(span.cost.cpu_seconds) by (span.stage)")], "s"),
        series("Peak memory by stage", "Most memory a process had while a stage ran, from its spans.",
               [tempo(f"{stages} | max_over_time(span.cost.peak_memory_bytes) by (span.stage)")], "bytes"),
        table("Sessions", "The participant-sessions of the run as traces, the newest first.",
              tempo(f'{{ {TRACES} && name="preprocess_subject" }} | select(span.participant_id, span.session_id, status)'),
              (12, 8), hide=(), no_value="none"),
    ]


def dashboard():
    variables = [datasource("prometheus"), datasource("loki"), datasource("tempo"), SERVICE, RUN]
    text = "One run, chosen by its id: progress, time, failures, use of the machine, delivery."
    return whole("run", "neuro-preprocess / Run", text, variables, [now(), slow(), failed(), used()])
