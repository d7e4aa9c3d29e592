#!/usr/bin/env bash
# Installs tmux and man from the system's own packages, as root.
set -euo pipefail
found() { command -v tmux >/dev/null && command -v man >/dev/null; }
found || bash "$(dirname "$0")/apt.sh" install tmux man-db
found
