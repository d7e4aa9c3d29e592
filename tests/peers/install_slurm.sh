#!/usr/bin/env bash
# Installs Slurm and Munge from the system's own packages, as root, without starting any service.
set -euo pipefail
found() { command -v slurmctld >/dev/null && command -v slurmd >/dev/null && command -v munged >/dev/null; }
found || bash "$(dirname "$0")/apt.sh" install slurm-wlm slurm-client slurmctld slurmd munge
found
