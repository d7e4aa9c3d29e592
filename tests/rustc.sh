#!/usr/bin/env bash
# The compiler for the crates of this workspace, as Cargo calls it (RUSTC_WORKSPACE_WRAPPER): clippy checks a crate while rustc compiles
# it, and both must succeed. `cargo clippy` would check every dependency first, which takes a third of the time of compiling them.
set -euo pipefail
rustc=$1
shift
if [[ " $* " != *" --out-dir "* ]]; then exec "$rustc" "$@"; fi # a question about the compiler

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
lint=() after=
for argument; do
    [[ $after != --out-dir ]] || argument=$folder
    after=$argument
    case $argument in
        --emit=*) argument=--emit=metadata ;;
        # Cargo would take what clippy leaves behind for the compiler's.
        --json=*) argument=${argument/artifacts,/} ;;
    esac
    lint+=("$argument")
done
CLIPPY_ARGS="-D__CLIPPY_HACKERY__warnings__CLIPPY_HACKERY__" clippy-driver "$rustc" "${lint[@]}" &
"$rustc" "$@"
wait $!
