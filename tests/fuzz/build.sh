#!/usr/bin/env bash
# Builds the fuzz targets into target/fuzz and says in which folder they are; ends with 69 where libfuzzer-sys is not to be had.
#
# As cargo-fuzz 0.13 does it without a sanitizer, with overflow checks, but on all cores: it takes one codegen unit, for faster
# targets. For fuzzing by hand there is tests/fuzz/run.sh.
set -euo pipefail
cd "$(dirname "$0")/../.."
mkdir -p target
exec 9>target/fuzz.lock
flock 9
cp Cargo.lock tests/fuzz/
target=$(rustc --print host-tuple)
build=(--manifest-path tests/fuzz/Cargo.toml --target "$target")
cargo fetch --quiet "${build[@]}" || exit 69
coverage="-Cllvm-args=-sanitizer-coverage"
RUSTFLAGS="-Cpasses=sancov-module $coverage-level=4 $coverage-inline-8bit-counters $coverage-pc-table $coverage-trace-compares \
    $coverage-stack-depth -Cllvm-args=-simplifycfg-branch-fold-threshold=0 --cfg fuzzing -Cdebug-assertions" \
    cargo build --quiet --release --bins "${build[@]}" --target-dir target/fuzz
echo "$PWD/target/fuzz/$target/release"
