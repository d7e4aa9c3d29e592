#!/usr/bin/env bash
# Installs Slurm and Munge from the system's own packages, as root, without starting any service.
set -euo pipefail
if command -v slurmctld >/dev/null && command -v slurmd >/dev/null && command -v munged >/dev/null; then
    exit 0
fi
export DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 # run level 1: the packages' scripts start nothing
apt-get update -q
apt-get install -qy --no-install-recommends slurm-wlm slurm-client slurmctld slurmd munge
