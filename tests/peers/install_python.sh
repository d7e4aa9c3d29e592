#!/usr/bin/env bash
# Prints the Python of .cache/NAME, an environment with the packages of a file of requirements.
#
# Usage: tests/peers/install_python.sh NAME REQUIREMENTS [OPTION OF PIP INSTALL]...
set -euo pipefail
. "$(dirname "$0")/once.sh"
# uv installs in a third of the processor time of pip. An environment knows where it lies: in a checkout that was moved it is made again.
uv=$root/.cache/uv/bin/uv
version=0.13.9
(
    if once uv "$version $root"; then
        python3 -m venv --clear "$home" >&2
        "$home/bin/python" -m pip --quiet --disable-pip-version-check install --no-compile "uv==$version" >&2
        installed "$version $root"
    fi
)
recipe="$(cat "$2")"$'\n'"# $root"
if once "$1" "$recipe"; then
    python3 -m venv --clear --without-pip "$home" >&2
    UV_CACHE_DIR=$root/.cache/uv/cache "$uv" pip install --quiet --python "$home/bin/python" "${@:3}" -r "$2" >&2
    installed "$recipe"
fi
echo "$home/bin/python"
