#!/usr/bin/env bash
# Prints the path of a Chromium, which it installs from the system's own packages, as root, where there is none.
set -euo pipefail
found() { command -v chromium || command -v google-chrome || command -v chromium-browser; }
if ! found >/dev/null; then
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -q >&2
    apt-get install -qy --no-install-recommends chromium fonts-dejavu-core >&2
fi
found
