#!/usr/bin/env bash
# Fuzzes for as long as one likes: tests/fuzz/run.sh SECONDS [TARGET...]; all targets, one after the other, without names.
# Corpora stay in .cache/fuzz/corpus and grow. SANITIZER=address finds more and wants a nightly toolchain.
set -euo pipefail
cd "$(dirname "$0")/../.."
seconds=$1
shift
targets=("$@")
if [[ ${#targets[@]} -eq 0 ]]; then mapfile -t targets < <(sed -n 's/^name = "\(.*\)"$/\1/p' tests/fuzz/Cargo.toml | tail -n +2); fi
# A newer cargo-fuzz may want other options.
cargo install --quiet --locked --debug --version 0.13.2 --root .cache/fuzz/tool cargo-fuzz
cargo test --release --quiet --test offline fuzz::seeds_keep_every_promise # writes the seeds
cp Cargo.lock tests/fuzz/
scratch=$(mktemp -d -p /dev/shm 2>/dev/null || mktemp -d)
trap 'rm -rf "$scratch"' EXIT
for target in "${targets[@]}"; do
    mkdir -p ".cache/fuzz/corpus/$target" ".cache/fuzz/found/$target"
    TMPDIR=$scratch .cache/fuzz/tool/bin/cargo-fuzz fuzz run --fuzz-dir tests/fuzz --target-dir "target/fuzz-${SANITIZER:-none}" \
        --sanitizer "${SANITIZER:-none}" "$target" ".cache/fuzz/corpus/$target" ".cache/fuzz/seeds/$target" -- \
        -max_total_time="$seconds" -timeout=60 -rss_limit_mb=1024 -malloc_limit_mb=256 -print_final_stats=1 \
        -artifact_prefix=".cache/fuzz/found/$target/"
done
