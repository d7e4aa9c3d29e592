#!/usr/bin/env bash
# Prints the path of a container registry of the system's own packages, unpacked in .cache/registry without installing it.
set -euo pipefail
. "$(dirname "$0")/once.sh"
recipe=$(cat "$0")
if once registry "$recipe"; then
    cd "$home"
    {
        bash "$root/tests/peers/apt.sh" download docker-registry
        dpkg -x docker-registry_*.deb root
        rm docker-registry_*.deb
        root/usr/bin/docker-registry --version
    } >&2
    installed "$recipe"
fi
echo "$home/root/usr/bin/docker-registry"
