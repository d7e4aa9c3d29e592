#!/usr/bin/env bash
# Says what of the stack runs, whether it is ready, and where it is.
#
# Usage: containers/status_stack.sh [--data FOLDER]
#
# Exit status: 0 when all that was started is ready; 1 when something is not, or nothing was started; 64 usage.
set -uo pipefail
# shellcheck source=containers/stack.sh
source "$(dirname "$0")/stack.sh"

while (($#)); do
    case $1 in
        --data) value_of "$1" $# && data=$2 && shift 2 ;;
        --help) usage && exit 0 ;;
        *) fail "unknown option $1; see $0 --help" 64 ;;
    esac
done
ports_in_force

code=0 some=
printf '%-15s %-8s %-6s %-24s %s\n' service runs ready url process
for service in "${services[@]}"; do
    if ! recorded "$service"; then
        printf '%-15s %-8s %-6s %-24s %s\n' "$service" no - - 'was not started'
        continue
    fi
    some=1 runs=yes ready=yes
    alive "$service" || runs=no
    healthy "$service" || ready=no
    # Another process may answer at the address of one that has ended.
    [[ $runs$ready == yesyes ]] || code=1
    [[ $runs == yes ]] || ready=no
    what="$pid on $host"
    [[ $instance == - ]] || what+=", instance $instance"
    [[ $runs == yes ]] || what+=", has ended; see $(log_of "$service")"
    printf '%-15s %-8s %-6s %-24s %s\n' "$service" "$runs" "$ready" "$(url_of "$service")" "$what"
done
[[ -n $some ]] || fail "nothing was started in $data; start_stack.sh does that"
exit $code
