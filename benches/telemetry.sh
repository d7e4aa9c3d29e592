#!/usr/bin/env bash
# Measures what telemetry costs and writes the table of benches/README.md.
#
#   benches/telemetry.sh [--rounds N] [--participants N] [--voxel-size MM] [--volumes N] [--print]
#
# The same run with telemetry off, into files, and into files and a real Collector, in turns; then one span and one log line
# by themselves. Use a quiet machine. Needs Rust, Go and Python 3; builds the Collector as the tests do when it is not there.
set -euo pipefail
cd "$(dirname "$0")/.."
cargo build --release --locked --bin neuro-preprocess
bash tests/peers/install_collector.sh
cargo bench --locked --bench telemetry
exec python3 benches/telemetry.py "$@"
