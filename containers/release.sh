#!/usr/bin/env bash
# Makes what a release has for this machine's processor: wheel, binary, bill of materials, Apptainer image.
#
# Usage: [NEURO_PREPROCESS_IMAGE=REGISTRY/NAME] containers/release.sh FOLDER
#
# The image named is where the Docker image of the release will be: the Nipoppy bundles in the program name it. Needs what
# containers/static.sh --wheel and containers/build_all.sh neuro-preprocess-scratch need, and python3.
set -euo pipefail
[[ $# -eq 1 ]] || { echo "usage: $0 FOLDER" >&2 && exit 64; }
mkdir -p "$1"
folder=$(cd "$1" && pwd)
cd "$(dirname "$0")/.."
version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -1)
name=neuro-preprocess-$version-$(uname -m)-linux

containers/build_all.sh neuro-preprocess-scratch
cp target/containers/neuro-preprocess-scratch.sif "$folder/$name.sif"

wheel=$(containers/static.sh --wheel)
cp "$wheel" "$folder/"
# maturin puts the list of all crates into the wheel (CycloneDX).
python3 - "$wheel" "$folder/$name.cyclonedx.json" <<'PYTHON'
import sys, zipfile
with zipfile.ZipFile(sys.argv[1]) as wheel:
    [bill] = [name for name in wheel.namelist() if name.endswith(".cyclonedx.json")]
    open(sys.argv[2], "wb").write(wheel.read(bill))
PYTHON

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/$name"
cp target/containers/neuro-preprocess LICENSE CHANGELOG.md CITATION.cff "$work/$name/"
cp src/templates/NOTICE "$work/$name/NOTICE.templates"
cp crates/phantom/NOTICE "$work/$name/NOTICE.phantom"
tar --create --gzip --owner=0 --group=0 --directory="$work" --file="$folder/$name.tar.gz" "$name"
