#!/usr/bin/env bash
# All checks, on a Debian machine with Rust, Go and Python 3: format, lints, tests. The real peers (BIDS validator, nibabel, PyBIDS,
# SimpleITK; Nipoppy, Boutiques) are installed into .cache by the tests that need them.
set -euo pipefail
cd "$(dirname "$0")/.."
cargo fmt --check
cargo clippy --release --all-targets --locked -- -D warnings
cargo test --release --locked
