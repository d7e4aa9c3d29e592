#!/bin/sh
# Builds Loki, version $2, from its Go module below the folder $1. The module replaces one of its requirements by a folder
# that is a module of its own and not in it; that one is put there, in the version required.
set -eu
cd "$1"
export GOPATH="$PWD/go" GOCACHE="$PWD/gocache" GOFLAGS="-p=2 -modcacherw -mod=mod -gcflags=all=-l" GOWORK=off CGO_ENABLED=0
# Without inlining and without collecting garbage the compiler needs two thirds of the time; the limit is for small machines.
export GOGC=off GOMEMLIMIT=1GiB
rm -rf source
go mod download "github.com/grafana/loki/v3@v$2"
cp -r "go/pkg/mod/github.com/grafana/loki/v3@v$2" source
chmod -R u+w source
push=$(awk '$1 == "github.com/grafana/loki/pkg/push" && $2 ~ /^v/ { print $1 "@" $2 }' source/go.mod)
go mod download "$push"
cp -r "go/pkg/mod/$push" source/pkg/push
chmod -R u+w source/pkg/push
(cd source && go build -trimpath -ldflags "-s -w" -o ../loki ./cmd/loki)
rm -rf source go gocache
./loki -version
