#!/usr/bin/env bash
# Stops what start_stack.sh started: who writes first, so that the Collector can pass on what it has, then the stores.
#
# Usage: containers/stop_stack.sh [OPTIONS]
#   --data FOLDER   the stack's folder [default: as start_stack.sh]
#   --purge         also remove the folder with all traces, metrics and logs in it, after asking
#   --yes           do not ask
#
# Exit status: 0; 1 when something still runs, or was not removed; 64 usage.
set -uo pipefail
# shellcheck source=containers/stack.sh
source "$(dirname "$0")/stack.sh"

# Seconds between SIGTERM and SIGKILL: a store writes what it has in memory. Tempo would hand over to others of a cluster and
# wait for them; its spans are on disk by then.
patience=60
patience_tempo=10
purge='' yes=''
while (($#)); do
    case $1 in
        --data) value_of "$1" $# && data=$2 && shift 2 ;;
        --purge) purge=1 && shift ;;
        --yes) yes=1 && shift ;;
        --help) usage && exit 0 ;;
        *) fail "unknown option $1; see $0 --help" 64 ;;
    esac
done
if [[ ! -d $data/run ]]; then
    echo "there is no stack in $data"
    exit 0
fi
data=$(cd "$data" && pwd)

for service in grafana otel-collector tempo loki prometheus alertmanager; do
    recorded "$service" || continue
    [[ $host == "$(hostname)" ]] || fail "$service was started on $host; run this there"
    if alive "$service"; then echo "stopping $service"; else echo "$service had ended by itself"; fi
    if [[ $service == tempo ]]; then
        end_service tempo "$patience_tempo" usual
    else
        end_service "$service" "$patience"
    fi
done
rm -f "$data/options" "$data/endpoint"

[[ -n $purge ]] || exit 0
if [[ -z $yes ]]; then
    read -r -p "Remove $data ($(du -sh "$data" | cut -f1)) with all traces, metrics and logs in it? [y/N] " answer || answer=
    [[ $answer =~ ^[yY] ]] || fail "nothing was removed"
fi
# Only what start_stack.sh makes: the folder may hold something else.
rm -rf "${data:?}/run" "$data/configs" "$data/ports.env" "$data/demo" "${services[@]/#/$data/}"
rmdir "$data" 2>/dev/null || fail "there is more in $data than the stack made; that stays"
echo "removed $data"
