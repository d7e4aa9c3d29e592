#!/usr/bin/env bash
# Sends one job through the stack and proves by queries that all of it arrived: its metric in Prometheus, its trace in Tempo,
# its log lines in Loki, under one trace id. Says which hop broke when something did not.
#
# Usage: containers/test_telemetry.sh [OPTIONS]
#   --data FOLDER    the stack's folder [default: as start_stack.sh]
#   --wait SECONDS   longest wait for each thing to arrive [default: 60]
#
# Services that were never started are not asked. Exit status: 0 all arrived; 1 a hop broke; 64 usage.
set -uo pipefail
# shellcheck source=containers/stack.sh
source "$(dirname "$0")/stack.sh"

patience=60
while (($#)); do
    case $1 in
        --data) value_of "$1" $# && data=$2 && shift 2 ;;
        --wait) value_of "$1" $# && patience=$2 && shift 2 ;;
        --help) usage && exit 0 ;;
        *) fail "unknown option $1; see $0 --help" 64 ;;
    esac
done
[[ $patience =~ ^[0-9]+$ ]] || fail "--wait: '$patience' is no number of seconds" 64
[[ ! -d $data ]] || data=$(cd "$data" && pwd)
ports_in_force
recorded otel-collector || fail "no Collector was started in $data; start_stack.sh does that"

broken() {
    echo "broken: $1" >&2
    exit 1
}

# Ends with the hop when the service at its end is down.
must_run() {
    healthy "$1" || broken "$2: $1 is down ($(health_of "$1") gives no good answer; last words in $(log_of "$1")); start_stack.sh starts it again"
}

# Repeats a command until it succeeds or the wait is over.
within() {
    local end=$((SECONDS + patience))
    until "$@"; do
        ((SECONDS < end)) || return 1
        sleep 0.5
    done
}

counter=neuro_scans_processed_total
# The number of scans that ended, as the Collector shows it.
shown() {
    ask "http://127.0.0.1:$COLLECTOR_PROMETHEUS_PORT/metrics" |
        awk -v name="$counter" 'index($1, name "{") == 1 { sum += $NF } END { print sum + 0 }'
}
# The job has a participant of its own, and so a metric by which it is known.
gauge=neuro_subject_duration_seconds
job_is_shown() { ask "http://127.0.0.1:$COLLECTOR_PROMETHEUS_PORT/metrics" | grep -q "^$gauge{.*participant_id=\"$participant\""; }

# The number in the answer to a query of Prometheus or Loki at the address $1; nothing when there is none.
number() { ask "${@:3}" --get --data-urlencode "query=$2" "$1" | sed -n 's/.*"value":\[[0-9.]*,"\([0-9]*\)"\].*/\1/p'; }
stored_in_prometheus() {
    local n
    n=$(number "$1/api/v1/query" "sum($counter) and on () $gauge{participant_id=\"$participant\"}" "${@:2}")
    in_prometheus=${n:-0}
    ((in_prometheus >= after))
}
stored_in_loki() {
    local n
    n=$(number "$1/loki/api/v1/query" "sum(count_over_time({service_name=\"neuro-preprocess\"} | trace_id=\"$trace\" [1h]))" "${@:2}")
    in_loki=${n:-0}
    ((in_loki == lines))
}
stored_in_tempo() {
    in_tempo=$(ask --header 'Accept: application/json' "${@:2}" "$1/api/v2/traces/$trace" | grep -o '"spanId": *"' | wc -l)
    ((in_tempo == spans))
}

must_run otel-collector "tool -> collector"
for service in prometheus tempo loki; do
    recorded "$service" && must_run "$service" "collector -> $service"
done
recorded grafana && must_run grafana "grafana"

# The job.
work=$(mktemp -d) || exit
trap 'rm -rf "$work"' EXIT
find_preprocess "$work"
"${preprocess[@]}" synth "$work/bids" --participants 1 --modalities T1w --voxel-size 6 >"$work/log" 2>&1 ||
    fail "the job's scan could not be made: $(tail -n 1 "$work/log")"
participant=probe$(od -An -N6 -tx1 /dev/urandom | tr -d ' \n')
mv "$work/bids/sub-01/anat/sub-01_T1w.nii.gz" "$work/sub-${participant}_T1w.nii.gz"
job=("${preprocess[@]}" process "$work/sub-${participant}_T1w.nii.gz" -o "$work/out")
job+=(--otel-endpoint "$(url_of otel-collector)" --flush-timeout 30)
if alive otel-collector && grep -q tail-sampling "/proc/$pid/cmdline"; then
    # Kept for certain are traces with errors, and decided soon those that have their root here.
    "${job[@]}" --fail-rate 1 >"$work/log" 2>&1
    trace=$(cat "$work"/out/logs/traces-*.jsonl | grep -o '"traceId":"[0-9a-f]*"' | head -1 | cut -d'"' -f4)
else
    trace=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
    TRACEPARENT="00-$trace-$(od -An -N8 -tx1 /dev/urandom | tr -d ' \n')-01" "${job[@]}" >"$work/log" 2>&1 ||
        fail "the job failed: $(tail -n 1 "$work/log")"
fi
# What the job wrote, a line for each.
spans=$(cat "$work"/out/logs/traces-*.jsonl | grep -c "\"traceId\":\"$trace\"")
lines=$(cat "$work"/out/logs/logs-*.jsonl | grep -c "\"traceId\":\"$trace\"")
((spans > 0 && lines > 0)) || fail "the job left no trace $trace in its files: $(tail -n 1 "$work/log")"
echo "job:         trace $trace, $spans spans, $lines log lines"

# Tool -> Collector. Nothing waits in the job's files when the Collector has taken all of it.
waiting=$("${preprocess[@]}" telemetry status "$work/out" --format json | grep -c '"waiting": [1-9]')
((waiting == 0)) || broken "tool -> collector: the job could not deliver to $(url_of otel-collector): $(grep WARN "$work/log" | tail -n 1)"
within job_is_shown || broken "tool -> collector: $gauge of $participant does not show at http://127.0.0.1:$COLLECTOR_PROMETHEUS_PORT/metrics; last words in $(log_of otel-collector)"
# Read after the job was seen, this counts it.
after=$(shown)
echo "collector:   took all of it; $gauge of $participant is there, $counter is $after"

# How much of it a store has.
told_by() {
    case $1 in
        prometheus) echo "$gauge of $participant; sum($counter) is $in_prometheus, of $after" ;;
        tempo) echo "$in_tempo of $spans spans of trace $trace" ;;
        loki) echo "$in_loki of $lines log lines of trace $trace" ;;
    esac
}

# Asks the stores, by themselves and through Grafana, and names the hop when what they should have does not come.
in_prometheus=0 in_tempo=0 in_loki=0
for service in prometheus tempo loki; do
    if ! recorded "$service"; then
        echo "$service was not started, and is not asked"
        continue
    fi
    if ! within "stored_in_$service" "$(url_of "$service")"; then
        must_run "$service" "collector -> $service"
        broken "collector -> $service: $service is ready, but after $patience s it has too little: $(told_by "$service"); last words in $(log_of otel-collector) and $(log_of "$service")"
    fi
    printf '%-12s %s\n' "$service:" "$(told_by "$service")"
    recorded grafana || continue
    # In a file, because arguments can be seen by everybody on this machine.
    echo "machine 127.0.0.1 login admin password $(<"$data/grafana/admin-password")" >"$work/netrc"
    within "stored_in_$service" "$(url_of grafana)/api/datasources/proxy/uid/neuro-$service" --netrc-file "$work/netrc" ||
        broken "grafana -> $service: $service has it, but Grafana's data source neuro-$service does not give it; last words in $(log_of grafana)"
    printf '%-12s the same by its data source neuro-%s\n' grafana: "$service"
done
