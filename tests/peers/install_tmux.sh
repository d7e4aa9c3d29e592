#!/usr/bin/env bash
# Installs tmux and man from the system's own packages, as root.
set -euo pipefail
if command -v tmux >/dev/null && command -v man >/dev/null; then
    exit 0
fi
export DEBIAN_FRONTEND=noninteractive
apt-get update -q
apt-get install -qy --no-install-recommends tmux man-db
