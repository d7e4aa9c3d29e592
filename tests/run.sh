#!/usr/bin/env bash
# All checks, on a Debian machine with Rust, Go, Node and Python 3: format, lints, tests. The real peers (BIDS validator, PyBIDS,
# Nipoppy, Boutiques, Apptainer, Slurm, the Collector, Prometheus, Loki, a browser and others) are installed by the tests that
# need them, into .cache or, as root, from Debian's packages.
set -euo pipefail
cd "$(dirname "$0")/.."
cargo fmt --check
cargo clippy --release --all-targets --locked -- -D warnings
bash tests/audit.sh
cargo test --release --locked
