#!/usr/bin/env bash
# Installs every peer: what is downloaded beside what is built. A test whose peer is not there yet waits for it; one whose peer could not
# be installed tries again and says why.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1
peer() { bash "tests/peers/install_$1.sh" "${@:2}" >/dev/null || echo "not installed: $*"; }
{
    peer python peers tests/peers/requirements.txt
    peer python otlp tests/peers/otlp/requirements.txt
    peer apptainer
    peer prometheus
    peer tmux
    peer slurm
    peer chromium
    peer browser
    peer registry
    peer python nipoppy tests/peers/requirements-nipoppy.txt
    peer python dicom tests/peers/requirements-dicom.txt
    peer python wheel tests/peers/requirements-wheel.txt
    peer python secure tests/peers/requirements-secure.txt
    peer python grafana tests/peers/requirements-grafana.txt
    peer python shellcheck tests/peers/requirements-shellcheck.txt
    peer python fitlins tests/peers/requirements-fitlins.txt
    peer python fmriprep tests/peers/requirements-fieldmaps.txt
    peer python nlin6 tests/peers/requirements-nlin6.txt --no-deps
} &
peer collector
peer loki
rm -rf .cache/go # What both were made of, with a gigabyte of compiled packages they have in common.
wait
