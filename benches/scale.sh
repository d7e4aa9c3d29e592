#!/usr/bin/env bash
# What a dataset costs by its number of scans, as the table of benches/README.md; every column should grow with the scans.
#
#   benches/scale.sh [--index PARTICIPANTS] [--runs N,...] [--processes N,...] [--keep] [--folder DIR] [SCANS...]
#
# --index: the dataset whose scans are found and compared with a search that does not know this program; 10000 participants
# with two sessions. SCANS: sizes of datasets that are done, 1000 5000 10000 (50000 needs 15 GB for as long as it is measured).
# --runs: sizes of datasets that are done from their beginning, 200,400,800; their scans are synthetic, small (16 voxels along an axis)
# and go through every stage. --processes: how many share the output of the middle one of those; 1,2,4. A part is
# left out with 0 or "". Needs Rust and Python 3; works in DIR, .cache/scale.
set -euo pipefail
cd "$(dirname "$0")/.."
cargo build --release --locked --bin neuro-preprocess
exec python3 benches/scale.py "$@"
