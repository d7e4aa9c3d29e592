#!/usr/bin/env bash
# Makes target/containers/neuro-preprocess: the release binary, linked statically and stripped. It runs on any Linux of its processor.
# With --wheel also target/wheels/neuro_preprocess-*.whl with the same program, for pip; that needs `maturin` on the path.
#
# Usage: containers/static.sh [--wheel]
#
# Needs Cargo, a C compiler and make. Only the last step differs from the ordinary release build, so every compiled crate is shared with it.
set -euo pipefail
cd "$(dirname "$0")/.."
wheel=
case "${1:-}" in
    '') ;;
    --wheel) wheel=1 ;;
    *) echo "error: unknown option $1; there is --wheel" >&2 && exit 64 ;;
esac
need() {
    command -v "$1" >/dev/null && return
    echo "error: $1 is missing: $2" >&2
    exit 66
}
need cargo "install Rust, https://rustup.rs"
need cc "install gcc and libc6-dev, or what your distribution calls them"
need make "the memory allocator is built with it; install the package make"
[[ -z $wheel ]] || need maturin "pip install maturin"

mkdir -p target/containers target/wheels "${CARGO_TARGET_DIR:-target}"
target=$(cd "${CARGO_TARGET_DIR:-target}" && pwd)
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
cc -O1 -c containers/lookups.c -o "$own/lookups.o"
flags=(-C target-feature=+crt-static -C relocation-model=static -C strip=symbols -C "link-arg=$own/lookups.o")
cargo rustc --release --locked --bin neuro-preprocess -- "${flags[@]}"
install -m 755 "$own/release/neuro-preprocess" "$own/neuro-preprocess"
mv "$own/neuro-preprocess" target/containers/neuro-preprocess # whole at any time: others may read it
if [[ -n $wheel ]]; then
    # The C library is inside, so any will do; pip of ten years ago knows this tag.
    maturin build --release --locked --compatibility manylinux2014 --out "$own/wheels" -- "${flags[@]}" >&2
    name=$(cd "$own/wheels" && ls)
    mv "$own/wheels/$name" target/wheels/
    echo "$PWD/target/wheels/$name"
fi
rm -rf "$own"
