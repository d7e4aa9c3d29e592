#!/usr/bin/env bash
# All checks, on a Debian machine with Rust, Go, Node and Python 3: format, lints, tests. The real peers (BIDS validator, PyBIDS,
# Nipoppy, Boutiques, Apptainer, Slurm, the Collector, Prometheus, Loki, a browser and others) are installed into .cache or, as root,
# from Debian's packages.
set -euo pipefail
cd "$(dirname "$0")/.."
mkdir -p target
# Beside the compiler, which does not always keep all cores busy: the peers, and the audit. Each is a process group of its own, so that
# an early end can stop all of it.
set -m
bash tests/peers/install_all.sh </dev/null >target/peers.log 2>&1 &
peers=$!
nice bash tests/audit.sh </dev/null >target/audit.log 2>&1 &
audit=$!
set +m
trap 'kill -- "-$peers" "-$audit" 2>/dev/null || true' EXIT
cargo fmt --check
RUSTC_WORKSPACE_WRAPPER=$PWD/tests/rustc.sh # rustc, and clippy with it
export RUSTC_WORKSPACE_WRAPPER
cargo test --release --workspace --locked --no-run --all-targets
# The tests with services mostly wait for them, so there are more at once than cores, and they run beside all others.
test=(cargo test --release --workspace --locked)
set -m
"${test[@]}" --test services -- --test-threads=6 </dev/null >target/services.log 2>&1 &
services=$!
set +m
trap 'kill -- "-$peers" "-$audit" "-$services" 2>/dev/null || true' EXIT
failed=0
"${test[@]}" --no-fail-fast --lib --bins --examples --test offline || failed=1
"${test[@]}" --doc || failed=1
wait "$services" || failed=1
cat target/services.log
wait "$audit" || failed=1
wait "$peers" || true # a test that misses one has said so
trap - EXIT
cat target/peers.log target/audit.log
exit "$failed"
