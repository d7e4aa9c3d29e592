#!/usr/bin/env bash
# Times this program beside its peers on the same files and writes the tables of benches/README.md.
#
#   benches/peers/run.sh [--quick] [--only PART]... [--heads N] [--phantoms DIR] [--t1w FILE]... [--bold FILE]...
#
# --quick takes one phantom and few runs; it and --only print the tables without writing them to the document. --heads
# limits the run over 100 scans; --phantoms scores another BIDS dataset with derivatives/ground-truth. Scans of one's own
# are timed besides the phantoms. AFNI's 3dvolreg is in no registry this script uses and is not compared. Needs Rust, Python 3 with venv, and the network at the first run; all goes to .cache/bench.
set -euo pipefail
root="$(cd "$(dirname "$0")/../.." && pwd)"
cache="$root/.cache/bench"
here="$root/benches/peers"
mkdir -p "$cache"

[ -x "$cache/venv/bin/python" ] || python3 -m venv "$cache/venv"
pip=("$cache/venv/bin/python" -m pip --disable-pip-version-check -q)
: > "$cache/missing.txt"
while read -r wanted; do
    if ! "${pip[@]}" install "$wanted" > "$cache/pip.log" 2>&1; then
        echo "$wanted cannot be installed here: $(grep -i error "$cache/pip.log" | tail -1)" >> "$cache/missing.txt"
    fi
done < <(grep -v '^#' "$here/requirements.txt")

# The wheel of niimath has no -skullstrip; its own build switch brings it in. Only that row uses this build.
wanted="$(grep '^niimath' "$here/requirements.txt")"
if [ ! -x "$cache/niimath-skullstrip/niimath/bin/niimath" ]; then
    "${pip[@]}" install --no-deps --no-binary niimath --target "$cache/niimath-skullstrip" \
        -C cmake.define.ENABLE_SKULLSTRIP=ON -C cmake.define.ZLIB_IMPLEMENTATION=System "$wanted" > "$cache/pip.log" 2>&1 ||
        echo "niimath -skullstrip cannot be built here (C compiler, CMake and zlib's headers are needed)" >> "$cache/missing.txt"
fi

cargo build --release --locked --manifest-path "$root/Cargo.toml" --bin neuro-preprocess --example step
exec "$cache/venv/bin/python" "$here/peers.py" --root "$root" "$@"
