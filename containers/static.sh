#!/usr/bin/env bash
# Makes target/containers/neuro-preprocess: the release binary, linked statically and stripped.
#
# Only the last step differs from the ordinary release build, so every compiled crate is shared with it.
set -euo pipefail
cd "$(dirname "$0")/.."
target=${CARGO_TARGET_DIR:-target}
mkdir -p target/containers "$target"
exec 9>"$target/static.lock"
flock 9
cargo build --release --locked --bin neuro-preprocess
# Cargo has one place for both programs, and others may be running the ordinary one: this one is made in a folder of its own, where the
# compiled crates are the same files once more.
own=$target/static
rm -rf "$own"
mkdir -p "$own/release"
cp -a "$target/release/.fingerprint" "$target/release/build" "$own/release/"
cp -al "$target/release/deps" "$own/release/"
export CARGO_TARGET_DIR=$own
cargo rustc --release --locked --bin neuro-preprocess -- -C target-feature=+crt-static -C relocation-model=static -C strip=symbols
install -m 755 "$own/release/neuro-preprocess" target/containers/neuro-preprocess
rm -rf "$own"
