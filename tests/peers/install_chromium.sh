#!/usr/bin/env bash
# Prints the path of a Chromium, which it installs from the system's own packages, as root, where there is none.
set -euo pipefail
found() { command -v chromium || command -v google-chrome || command -v chromium-browser; }
found >/dev/null || bash "$(dirname "$0")/apt.sh" install chromium fonts-dejavu-core >&2
found
