#!/usr/bin/env bash
# What is built in: licences, sources and unwanted crates by deny.toml, and the known vulnerabilities of RustSec. Their database
# is on GitHub; where that cannot be reached the check says so and goes on, unless CI_ADVISORIES=required is set.
set -euo pipefail
cd "$(dirname "$0")/.."
version=0.20.2
deny=.cache/cargo-deny/bin/cargo-deny
if [[ $("$deny" --version 2>/dev/null || true) != "cargo-deny $version" ]]; then
    # Not optimised and without debug information: built in a minute, and it runs for a second.
    CARGO_PROFILE_DEV_DEBUG=0 cargo install --quiet --debug --locked --root .cache/cargo-deny "cargo-deny@$version"
fi
"$deny" --locked check --hide-inclusion-graph --allow duplicate bans licenses sources
if said=$("$deny" --locked check advisories 2>&1); then
    echo "$said"
elif [[ $said == *"failed to fetch advisory database"* && ${CI_ADVISORIES:-} != required ]]; then
    echo "SKIPPED: known vulnerabilities were not looked for: https://github.com/RustSec/advisory-db cannot be reached from here"
else
    echo "$said" >&2
    exit 1
fi
