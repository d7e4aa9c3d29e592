#!/usr/bin/env bash
# Prints the Python of .cache/NAME, an environment with the packages of a file of requirements.
#
# Usage: tests/peers/install_python.sh NAME REQUIREMENTS [OPTION OF PIP INSTALL]...
set -euo pipefail
. "$(dirname "$0")/once.sh"
# Of all environments only one has a pip, which takes longer to install than most of what it installs. An environment knows where
# it lies: in a checkout that was moved it is made again.
pip=$root/.cache/pip/bin/python
(
    if once pip "$root"; then
        python3 -m venv --clear "$home" >&2
        installed "$root"
    fi
)
recipe="$(cat "$2")"$'\n'"# $root"
if once "$1" "$recipe"; then
    python3 -m venv --clear --without-pip "$home" >&2
    "$pip" -m pip --quiet --disable-pip-version-check --python "$home/bin/python" install --no-compile "${@:3}" -r "$2" >&2
    installed "$recipe"
fi
echo "$home/bin/python"
