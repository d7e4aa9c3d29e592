# What the scripts of the stack share; start_stack.sh, stop_stack.sh, status_stack.sh, run_demo.sh and test_telemetry.sh
# source it. Each service is described in one place, its NAME.def: the same %startscript runs in the image and, with
# --runtime binary, on this machine.
#
# A stack lives in one folder: configs/ (as the services were given them), ports.env, options and endpoint (until it is
# stopped), run/SERVICE (what was started: runtime, host, process, its start time, instance), and a folder of data for each
# service.
# shellcheck shell=bash
# shellcheck disable=SC2034  # what is set here is used by the scripts that source it
containers=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
checkout=$(dirname "$containers")

# In the order they are started: stores first, then who writes into them, then who reads.
services=(alertmanager prometheus loki tempo otel-collector grafana)
data=${NEURO_PREPROCESS_STACK:-${XDG_STATE_HOME:-$HOME/.local/state}/neuro-preprocess-stack}

fail() {
    echo "error: $1" >&2
    exit "${2:-1}"
}

# Usage text: the comment at the head of a script.
usage() { awk 'NR > 1 && !/^#/ { exit } NR > 1 { sub(/^# ?/, ""); print }' "$0"; }

# The value an option was given, or the end.
value_of() {
    (($2 > 1)) || fail "$1 needs a value; see $0 --help" 64
}

port_names() {
    case $1 in
        alertmanager) echo ALERTMANAGER_PORT ;;
        prometheus) echo PROMETHEUS_PORT ;;
        loki) echo LOKI_PORT LOKI_GRPC_PORT ;;
        tempo) echo TEMPO_PORT TEMPO_GRPC_PORT TEMPO_OTLP_HTTP_PORT ;;
        otel-collector)
            echo OTLP_GRPC_PORT OTLP_HTTP_PORT COLLECTOR_HEALTH_PORT COLLECTOR_METRICS_PORT COLLECTOR_PROMETHEUS_PORT
            ;;
        grafana) echo GRAFANA_PORT ;;
    esac
}

# Reads NAME=NUMBER lines into variables of those names; anything else but comments is refused.
read_ports() {
    local line
    [[ -r $1 ]] || fail "no file of ports $1" 66
    while IFS= read -r line || [[ -n $line ]]; do
        [[ $line =~ ^[[:space:]]*(#.*)?$ ]] && continue
        [[ $line =~ ^([A-Z_]+_PORT)=([0-9]{1,5})$ && ${BASH_REMATCH[2]} -ge 1 && ${BASH_REMATCH[2]} -le 65535 ]] ||
            fail "$1: '$line' is no NAME_PORT=NUMBER; configs/ports.env has the names" 64
        [[ " $(for s in "${services[@]}"; do port_names "$s"; done | xargs) " == *" ${BASH_REMATCH[1]} "* ]] ||
            fail "$1: there is no port called ${BASH_REMATCH[1]}; configs/ports.env has the names" 64
        printf -v "${BASH_REMATCH[1]}" %s "${BASH_REMATCH[2]}"
    done <"$1"
}

# The ports of the stack in $data when there is one, else the defaults.
ports_in_force() {
    read_ports "$checkout/configs/ports.env"
    [[ ! -e $data/ports.env ]] || read_ports "$data/ports.env"
}

# Where the Collector listens for runs, seen from here: all addresses include this one.
collector_address() {
    local address=127.0.0.1
    [[ ! -r $data/options ]] || read -r address _ <"$data/options"
    if [[ $address =~ ^(0\.0\.0\.0|\[::\])$ ]]; then address=127.0.0.1; fi
    echo "$address"
}

url_of() {
    case $1 in
        alertmanager) echo "http://127.0.0.1:$ALERTMANAGER_PORT" ;;
        prometheus) echo "http://127.0.0.1:$PROMETHEUS_PORT" ;;
        loki) echo "http://127.0.0.1:$LOKI_PORT" ;;
        tempo) echo "http://127.0.0.1:$TEMPO_PORT" ;;
        otel-collector) echo "http://$(collector_address):$OTLP_GRPC_PORT" ;;
        grafana) echo "http://127.0.0.1:$GRAFANA_PORT" ;;
    esac
}

health_of() {
    case $1 in
        alertmanager | prometheus) echo "$(url_of "$1")/-/ready" ;;
        loki | tempo) echo "$(url_of "$1")/ready" ;;
        otel-collector) echo "http://127.0.0.1:$COLLECTOR_HEALTH_PORT/" ;;
        grafana) echo "$(url_of grafana)/api/health" ;;
    esac
}

# The body at a URL of this machine; fails unless the answer is one of success. Proxies have nothing to do with it.
ask() { curl --silent --fail --noproxy '*' --max-time 10 "$@"; }

healthy() { ask "$(health_of "$1")" >/dev/null; }

# When a process started, in ticks since boot: with its number, that tells it from a later one of the same number. Nothing
# when there is no such process, or it has ended and nobody asked for its exit status yet.
start_time() { sed 's/.*) //' "/proc/$1/stat" 2>/dev/null | awk '$1 != "Z" { print $20 }'; }

# Reads what was started of a service into runtime, host, pid, started and instance; fails when nothing was.
recorded() {
    runtime='' host='' pid='' started='' instance=''
    [[ -r $data/run/$1 ]] && read -r runtime host pid started instance <"$data/run/$1"
}

# Whether the process recorded for a service still runs, here.
alive() { recorded "$1" && [[ $host == "$(hostname)" && -n $pid && $(start_time "$pid") == "$started" ]]; }

log_of() { echo "$data/run/$1.log"; }

apptainer_program() { command -v "${APPTAINER:-apptainer}"; }

# Ends a service that was started: SIGTERM, and SIGKILL after the given seconds; says so, unless that is usual.
end_service() {
    local service=$1 patience=$2 usual=${3:-}
    recorded "$service" || return 0
    if alive "$service"; then
        kill -TERM "$pid" 2>/dev/null
        for ((i = 0; i < patience * 5; i++)); do
            alive "$service" || break
            sleep 0.2
        done
        if alive "$service"; then
            [[ -n $usual ]] || echo "warning: $service did not end within $patience s after SIGTERM; killed" >&2
            kill -KILL "$pid"
        fi
    fi
    if [[ $runtime == apptainer ]] && program=$(apptainer_program); then
        "$program" instance stop "$instance" >/dev/null 2>&1
    fi
    rm -f "$data/run/$service"
    [[ $service != otel-collector ]] || rm -f "$data/endpoint"
}

# Sets preprocess to the command that runs the program: on PATH, built here, or in an image, which is given the folder $1.
find_preprocess() {
    local image apptainer
    if command -v neuro-preprocess >/dev/null; then
        preprocess=(neuro-preprocess)
    elif [[ -x $checkout/target/release/neuro-preprocess ]]; then
        preprocess=("$checkout/target/release/neuro-preprocess")
    else
        for image in "$checkout"/target/containers/neuro-preprocess*.sif; do [[ ! -r $image ]] || break; done
        apptainer=$(apptainer_program) && [[ -r $image ]] ||
            fail "no neuro-preprocess on PATH, in target/release or as an image in target/containers; see docs/01-setup.md" 66
        preprocess=("$apptainer" exec --bind "$1" "$image" neuro-preprocess)
    fi
    # What the caller's environment says about telemetry is not what these scripts are about.
    local name
    for name in "${!OTEL_@}" "${!NEURO_PREPROCESS_@}" TRACEPARENT TRACESTATE BAGGAGE; do
        [[ $name == NEURO_PREPROCESS_NPROCS || $name == NEURO_PREPROCESS_STACK ]] || unset "$name"
    done
}
