#!/usr/bin/env bash
# All checks, on a Debian machine with Rust, Go, Node and Python 3: format, lints, tests. The real peers (BIDS validator, PyBIDS,
# Nipoppy, Boutiques, Apptainer, Slurm, the Collector, Prometheus, Loki, a browser and others) are installed by the tests that
# need them, into .cache or, as root, from Debian's packages.
set -euo pipefail
cd "$(dirname "$0")/.."
mkdir -p target
# The audit builds for itself beside the tests, many of which wait. It is a process group of its own, so that an early end can stop all
# of it.
set -m
nice bash -c 'exec bash tests/audit.sh' </dev/null >target/beside.log 2>&1 &
beside=$!
set +m
trap 'kill -- "-$beside" 2>/dev/null || true' EXIT
cargo fmt --check
cargo clippy --release --workspace --all-targets --locked -- -D warnings
cargo test --release --workspace --locked
audit=0
wait "$beside" || audit=$?
trap - EXIT
cat target/beside.log
exit "$audit"
