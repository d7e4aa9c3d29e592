#!/usr/bin/env bash
# Prints the path of a Loki, which is built in .cache/loki from its Go module, in the version of the stack. The module replaces one
# of its requirements by a folder that is a module of its own and not in it; that one is put there, in the version required.
set -euo pipefail
. "$(dirname "$0")/once.sh"
version=$(sed -n 's/^LOKI_VERSION=//p' "$root/configs/versions.env")
recipe="$(cat "$0")"$'\n'"# $version"
if once loki "$recipe"; then
    cd "$home"
    export GOPATH="$root/.cache/go" GOCACHE="$root/.cache/go/build" GOFLAGS="-p=2 -modcacherw -mod=mod -gcflags=all=-l" GOWORK=off CGO_ENABLED=0
    # Without inlining and without collecting garbage the compiler needs two thirds of the time; the limit is for small machines.
    export GOGC=off GOMEMLIMIT=1GiB
    rm -rf source
    {
        go mod download "github.com/grafana/loki/v3@v$version"
        cp -r "$GOPATH/pkg/mod/github.com/grafana/loki/v3@v$version" source
        chmod -R u+w source
        push=$(awk '$1 == "github.com/grafana/loki/pkg/push" && $2 ~ /^v/ { print $1 "@" $2 }' source/go.mod)
        go mod download "$push"
        cp -r "$GOPATH/pkg/mod/$push" source/pkg/push
        chmod -R u+w source/pkg/push
        (cd source && go build -trimpath -ldflags "-s -w" -o ../loki ./cmd/loki)
        rm -rf source
        ./loki -version
    } >&2
    installed "$recipe"
fi
echo "$home/loki"
