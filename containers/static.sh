#!/usr/bin/env bash
# Makes target/containers/neuro-preprocess: the release binary, linked statically and stripped.
#
# Only the last step differs from the ordinary release build, so every compiled crate is shared with it.
set -euo pipefail
cd "$(dirname "$0")/.."
target=${CARGO_TARGET_DIR:-target}
made="$target/release/neuro-preprocess"
mkdir -p target/containers
# Cargo has one place for both; the ordinary binary is put back, because tests may be using it.
kept=
if [[ -e $made ]]; then
    kept=$(mktemp "$target/release/.kept-XXXXXX")
    ln -f "$made" "$kept"
fi
trap '[[ -z $kept ]] || mv -f "$kept" "$made"' EXIT
cargo rustc --release --locked --bin neuro-preprocess -- -C target-feature=+crt-static -C relocation-model=static -C strip=symbols
install -m 755 "$made" target/containers/neuro-preprocess
