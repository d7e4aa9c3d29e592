#!/usr/bin/env bash
# Prints .cache/browser, the folder with the modules of tests/browser that drive a browser.
set -euo pipefail
. "$(dirname "$0")/once.sh"
recipe=$(cat "$root"/tests/browser/package.json "$root"/tests/browser/package-lock.json)
if once browser "$recipe"; then
    cp "$root"/tests/browser/package{,-lock}.json "$home"
    (cd "$home" && npm ci --no-audit --no-fund) >&2
    installed "$recipe"
fi
echo "$home"
