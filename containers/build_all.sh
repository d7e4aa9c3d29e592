#!/usr/bin/env bash
# Builds target/containers/NAME.sif from every containers/NAME.def, or from the one named; ends with 1 when one failed.
#
# Usage: [APPTAINER=PROGRAM] containers/build_all.sh [NAME]
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1

definitions=(containers/*.def)
if (($#)); then
    definitions=("containers/${1%.def}.def")
    if [[ ! -f ${definitions[0]} ]]; then
        echo "error: no ${definitions[0]}; there are: $(cd containers && echo ./*.def)" >&2
        exit 64
    fi
fi

commit=$(git rev-parse --short=12 HEAD 2>/dev/null || echo unknown)
version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -1)

# Apptainer as root wants all capabilities; where root lacks one (in a container), a user namespace has them.
as_root=()
if [[ $EUID -eq 0 && $(awk '/^CapEff/ {print $2}' /proc/self/status) != 000001ffffffffff ]]; then
    as_root=(unshare --user --map-root-user --mount)
fi

need() {
    command -v "$1" >/dev/null && return
    echo "error: $1 is missing: install the package $2" >&2
    exit 66
}
need "${APPTAINER:-apptainer}" apptainer
need mksquashfs squashfs-tools
if [[ " ${definitions[*]} " == *-scratch.def* ]]; then
    # Its shell; it has to be the static one.
    need /bin/busybox busybox-static
    bash containers/static.sh || exit 1
fi

# The commit's time for the files inside. Set only now: crates with C in them are compiled anew when it changes.
SOURCE_DATE_EPOCH=$(git log -1 --format=%ct 2>/dev/null || echo 0)
export SOURCE_DATE_EPOCH
mkdir -p target/containers
failed=()
# zstd is unpacked several times faster than gzip, which every start of the program waits for.
for definition in "${definitions[@]}"; do
    # Only ours say which commit they are of, and Apptainer refuses arguments that nobody uses.
    arguments=()
    if grep -q '{{' "$definition"; then arguments=(--build-arg "version=$version" --build-arg "commit=$commit"); fi
    name=$(basename "$definition" .def)
    image="target/containers/$name.sif"
    echo "building $image"
    "${as_root[@]}" "${APPTAINER:-apptainer}" build --force --mksquashfs-args "-comp zstd" \
        "${arguments[@]}" "$image.part" "$definition" &&
        mv "$image.part" "$image" || failed+=("$name")
done
if ((${#failed[@]})); then
    echo "error: failed: ${failed[*]}" >&2
    exit 1
fi
