#!/usr/bin/env bash
# Runs a demonstration against the stack of this machine, so that there is something to see in Grafana.
#
# Usage: containers/run_demo.sh [OPTIONS] normal|failures|slow|concurrent
#   normal       ten scans, all well
#   failures     four of them fail
#   slow         one stage is slow
#   concurrent   "normal" four times, in four processes side by side
#
#   --output FOLDER   where the data and the results go [default: demo in the stack's folder]
#   --data FOLDER     the stack's folder [default: as start_stack.sh]
#
# Exit status: 0 when the demonstration went as it is meant to; 1 when it did not, or no Collector runs; 64 usage.
set -uo pipefail
# shellcheck source=containers/stack.sh
source "$(dirname "$0")/stack.sh"

scenario='' output=''
while (($#)); do
    case $1 in
        --output) value_of "$1" $# && output=$2 && shift 2 ;;
        --data) value_of "$1" $# && data=$2 && shift 2 ;;
        --help) usage && exit 0 ;;
        normal | failures | slow | concurrent) [[ -z $scenario ]] || fail "one scenario at a time" 64 && scenario=$1 && shift ;;
        *) fail "unknown scenario or option $1; see $0 --help" 64 ;;
    esac
done
[[ -n $scenario ]] || fail "which one: normal, failures, slow or concurrent?" 64
ports_in_force
healthy otel-collector || fail "no Collector is ready at $(health_of otel-collector); start_stack.sh starts one"
output=${output:-$data/demo}/$scenario
mkdir -p "$output" && output=$(cd "$output" && pwd) || exit
find_preprocess "$output"

demo() { "${preprocess[@]}" demo "$1" --output "$2" --otel-endpoint "$(url_of otel-collector)"; }

# Failures end with 1, and are meant to.
expected=0
if [[ $scenario == failures ]]; then expected=1; fi
code=$expected
if [[ $scenario == concurrent ]]; then
    running=()
    for process in 1 2 3 4; do
        demo normal "$output/$process" >"$output/$process.log" 2>&1 &
        running+=($!)
    done
    for process in 1 2 3 4; do
        wait "${running[process - 1]}" || code=$?
        echo "process $process: $(tail -n 1 "$output/$process.log")"
    done
else
    demo "$scenario" "$output"
    code=$?
fi
((code == expected)) || fail "the demonstration ended with $code, not with $expected; its output is in $output"
echo
echo "in the terminal:  neuro-preprocess telemetry show $output"
! healthy grafana || echo "in the browser:   $(url_of grafana)"
