#!/usr/bin/env bash
# apt-get with the given arguments, one at a time on this machine: apt fails where another one holds its lock. `install` looks for
# newer lists first, unless that was done in the last hour.
#
# Usage: tests/peers/apt.sh install PACKAGE... | tests/peers/apt.sh download PACKAGE...
set -euo pipefail
export DEBIAN_FRONTEND=noninteractive
lock=${TMPDIR:-/tmp}/neuro-preprocess-apt.lock
exec 8>>"$lock"
flock 8 # Closed for what it starts: a program that stays must not keep it.
if [[ -z $(find "$lock" -size +0 -mmin -60) ]]; then
    apt-get update -q 8>&- 9>&-
    date >"$lock"
fi
options=(-q -o DPkg::Lock::Timeout=600 -o APT::Sandbox::User=root)
if [[ $1 == install ]]; then
    # Run level 1: the packages' scripts start nothing.
    RUNLEVEL=1 apt-get "${options[@]}" install -y --no-install-recommends "${@:2}" 8>&- 9>&-
else
    apt-get "${options[@]}" "$@" 8>&- 9>&-
fi
