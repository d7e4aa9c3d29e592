#!/usr/bin/env bash
# Starts Prometheus, Loki, Tempo, the OpenTelemetry Collector and Grafana on this machine, waits until each is ready, and
# says where they are. What runs already stays as it is. Needs neither root nor Docker.
#
# Usage: containers/start_stack.sh [OPTIONS]
#   --only NAMES         of alertmanager,prometheus,loki,tempo,otel-collector,grafana; without it, all that are installed
#   --runtime RUNTIME    apptainer: images built by build_all.sh; binary: programs on PATH [default: apptainer where it is
#                        installed, else binary]
#   --images FOLDER      where the images are [default: target/containers]
#   --ports-from FILE    ports other than those of configs/ports.env, in its form
#   --data FOLDER        the stack's folder [default: $NEURO_PREPROCESS_STACK, else neuro-preprocess-stack in
#                        $XDG_STATE_HOME or ~/.local/state]
#   --listen ADDRESS     where the Collector listens for runs, such as 0.0.0.0 for those of other nodes; nobody is asked
#                        who they are [default: 127.0.0.1]
#   --tail-sampling      keep all traces with errors, and 10 % of the others
#
# The last two count until stop_stack.sh: a start after a crash need not say them again, and none can say others.
#
# Exit status: 0 all ready; 1 something did not start or is not ready (what runs stays); 64 usage; 66 no such file.
set -uo pipefail
# shellcheck source=containers/stack.sh
source "$(dirname "$0")/stack.sh"
# shellcheck source=containers/stack_launch.sh
source "$containers/stack_launch.sh"

only='' ports_from='' listen='' sampling='' wanted_runtime='' images=$checkout/target/containers
while (($#)); do
    case $1 in
        --only) value_of "$1" $# && only=${2//,/ } && shift 2 ;;
        --runtime) value_of "$1" $# && wanted_runtime=$2 && shift 2 ;;
        --images) value_of "$1" $# && images=$2 && shift 2 ;;
        --ports-from) value_of "$1" $# && ports_from=$2 && shift 2 ;;
        --data) value_of "$1" $# && data=$2 && shift 2 ;;
        --listen) value_of "$1" $# && listen=$2 && shift 2 ;;
        --tail-sampling) sampling=1 && shift ;;
        --help) usage && exit 0 ;;
        *) fail "unknown option $1; see $0 --help" 64 ;;
    esac
done

[[ -n $wanted_runtime ]] || if apptainer_program >/dev/null; then wanted_runtime=apptainer; else wanted_runtime=binary; fi
[[ $wanted_runtime =~ ^(apptainer|binary)$ ]] || fail "--runtime is apptainer or binary, not '$wanted_runtime'" 64
[[ $wanted_runtime == binary ]] || apptainer_program >/dev/null ||
    fail "no apptainer on PATH; install it, name it in APPTAINER, or use --runtime binary" 66
command -v curl >/dev/null || fail "curl is not installed; it asks the services whether they are ready" 66
for name in $only; do
    [[ " ${services[*]} " == *" $name "* ]] || fail "--only: no service '$name'; there are: ${services[*]}" 64
done

umask 077
mkdir -p "$data/run" 2>/dev/null && [[ -w $data/run ]] || fail "cannot write into $data; name a folder with --data"
data=$(cd "$data" && pwd)

[[ ! -r $data/options ]] || { read -r kept_listen kept_sampling <"$data/options"; }
listen=${listen:-${kept_listen:-127.0.0.1}} sampling=${sampling:-${kept_sampling:-}}
ports_in_force
if alive otel-collector && [[ "$listen $sampling" != "${kept_listen:-127.0.0.1} ${kept_sampling:-}" ]]; then
    fail "otel-collector runs already, with${kept_sampling:+ --tail-sampling and} --listen ${kept_listen:-127.0.0.1}; stop_stack.sh first"
fi
if [[ -n $ports_from ]]; then
    before=$(all_ports)
    read_ports "$configs_shipped/ports.env" && read_ports "$ports_from"
    if [[ $(all_ports) != "$before" ]]; then
        for service in "${services[@]}"; do
            ! alive "$service" || fail "$service runs with other ports ($data/ports.env); stop_stack.sh first"
        done
    fi
fi
twice=$(all_ports | cut -d= -f2 | sort | uniq -d | xargs)
[[ -z $twice ]] || fail "two services would have the same port: $twice" 64

# What is to be started, and whether all of it can be.
to_start=()
for service in ${only:-"${services[@]}"}; do
    if alive "$service"; then
        echo "$service runs already"
    elif recorded "$service" && [[ $host != "$(hostname)" ]]; then
        fail "$service was started on $host and uses $data; stop it there, or use --data. When $host is gone: rm $data/run/$service"
    elif missing=$(missing_of "$service"); then
        [[ -z $only ]] || fail "$service: $missing" 66
        echo "$service is skipped: $missing"
    else
        to_start+=("$service")
    fi
done
busy=0
for service in "${to_start[@]}"; do
    for port in $(port_names "$service"); do
        if holder=$(holder_of "${!port}"); then
            echo "error: port ${!port} ($port of $service) is in use by $holder" >&2
            busy=1
        fi
    done
done
((!busy)) || fail "copy configs/ports.env, change what is in use, and start with --ports-from COPY"

if ((${#to_start[@]})); then
    all_ports >"$data/ports.env"
    echo "$listen $sampling" >"$data/options"
fi
# Also where nothing is to be started: Grafana reads changed dashboards at once.
write_configs || fail "cannot write $data/configs"
if alive alertmanager || [[ " ${to_start[*]} " == *" alertmanager "* ]]; then name_alertmanager; fi
for service in "${to_start[@]}"; do
    end_service "$service" 0 # what a crash left of it
    mkdir -p "$data/$service"
    launch "$service" || not_started "$service"
done
up=() late=0
for service in ${only:-"${services[@]}"}; do
    recorded "$service" || continue
    if ! wait_until_healthy "$service"; then
        [[ " ${to_start[*]} " != *" $service "* ]] || not_started "$service"
        # A store may answer late because it reads what is on disk; it is not ended for that.
        echo "warning: $service runs, but gives no good answer at $(health_of "$service"); see $(log_of "$service")" >&2
        late=1
    fi
    up+=("$service")
done
((${#up[@]})) || fail "nothing was started: no service is installed for --runtime $wanted_runtime; see docs/01-setup.md" 66

echo
"$containers/status_stack.sh" --data "$data"
code=$?
if alive otel-collector; then
    announce || fail "cannot write $data/endpoint"
    echo
    echo "your runs here find it by themselves; others:  export OTEL_EXPORTER_OTLP_ENDPOINT=$(url_of otel-collector)"
fi
if alive grafana; then
    echo "look here:       $(url_of grafana)  user admin, password in $data/grafana/admin-password"
fi
exit $((late ? 1 : code))
