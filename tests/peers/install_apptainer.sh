#!/usr/bin/env bash
# Puts a working Apptainer into .cache/apptainer of this checkout (or FOLDER) and prints the folder of its command.
#
# Usage: tests/peers/install_apptainer.sh [FOLDER]
#
# Debian 12 has no Apptainer; Debian sid has one that wants a newer C library. Its packages are unpacked into FOLDER, with
# that library beside them, and the two programs are told to use it; nothing of the system's own libraries is touched. The
# few helpers it calls come from the system's own packages, which needs root the first time.
set -euo pipefail

root=$(cd "$(dirname "$0")/../.." && pwd)
mkdir -p "${1:-$root/.cache/apptainer}"
home=$(cd "${1:-$root/.cache/apptainer}" && pwd -P)
exec 9>"$home/lock"
flock 9

missing=()
command -v patchelf >/dev/null || missing+=(patchelf)
command -v mksquashfs >/dev/null || missing+=(squashfs-tools)
command -v newuidmap >/dev/null || missing+=(uidmap)
[[ -x /bin/busybox ]] || missing+=(busybox-static)
if ((${#missing[@]})); then
    bash "$root/tests/peers/apt.sh" install "${missing[@]}" >&2
fi

# The path is baked into the programs: an installation that was moved is made again.
stamp="$home/installed"
if [[ -f $stamp && $(cat "$stamp") == "$home" ]]; then
    echo "$home/bin"
    exit 0
fi

# A package list of its own: sid never becomes a source of this system.
rm -rf "$home/apt" "$home/debs" "$home/root" "$home/bin"
mkdir -p "$home"/apt/{lists/partial,cache/archives/partial} "$home"/{debs,root,bin}
echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://deb.debian.org/debian sid main" \
    >"$home/apt/sources.list"
sid=(
    -o "Dir::Etc::SourceList=$home/apt/sources.list" -o Dir::Etc::SourceParts=/dev/null
    -o "Dir::State::Lists=$home/apt/lists" -o "Dir::Cache=$home/apt/cache"
    -o APT::Sandbox::User=root -o Acquire::Languages=none
)
{
    apt-get "${sid[@]}" update -q
    (cd "$home/debs" && apt-get "${sid[@]}" download -q apptainer libc6 libseccomp2 libsqlite3-0)
} >&2
for package in "$home"/debs/*.deb; do dpkg -x "$package" "$home/root"; done

libraries="$home/root/usr/lib/x86_64-linux-gnu"
for program in "$home/root/usr/bin/apptainer" "$(find "$home/root" -path '*apptainer/bin/starter' -type f)"; do
    patchelf --force-rpath --set-rpath "$libraries" --set-interpreter "$libraries/ld-linux-x86-64.so.2" "$program"
done
rm -rf "$home/apt" "$home/debs"

# Moved, the command looks for everything below its usr/, and its helper below its usr/lib/.
for place in etc var; do
    ln -s "../$place" "$home/root/usr/$place"
    ln -s "../../$place" "$home/root/usr/lib/$place"
done
mkdir -p "$home/root/var/lib/apptainer/mnt/session"
sed -i 's/^root default capabilities = .*/root default capabilities = no/' "$home/root/etc/apptainer/apptainer.conf"
ln -s ../root/usr/bin/apptainer "$home/bin/apptainer"
PATH="$home/bin:$PATH" apptainer --version >&2
echo "$home" >"$stamp"
echo "$home/bin"
