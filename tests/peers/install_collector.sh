#!/usr/bin/env bash
# Prints the path of an OpenTelemetry Collector, which its own builder makes in .cache/collector of what is in builder.yaml.
set -euo pipefail
. "$(dirname "$0")/once.sh"
manifest=$root/tests/peers/collector/builder.yaml
version=$(sed -n 's/^ *version: //p' "$manifest" | head -n 1)
recipe=$(cat "$manifest")
if once collector "$recipe"; then
    cd "$home"
    # As Loki is built, and for the same reason.
    export GOPATH="$root/.cache/go" GOCACHE="$root/.cache/go/build" GOFLAGS="-p=2 -modcacherw -gcflags=all=-l" GOWORK=off CGO_ENABLED=0
    export GOGC=off GOMEMLIMIT=1GiB
    go run "go.opentelemetry.io/collector/cmd/builder@v$version" --config "$manifest" >&2
    installed "$recipe"
fi
echo "$home/build/otelcol"
