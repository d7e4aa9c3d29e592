#!/usr/bin/env bash
# Pushes an image without layers into the registry at $1, under each of the names NAME:VERSION that follow, one of its own
# for each, and prints NAME:VERSION DIGEST.
set -euo pipefail
registry=$1
shift
digest_of() { printf 'sha256:%s' "$(printf %s "$1" | sha256sum | cut -d' ' -f1)"; }
for image in "$@"; do
    name=${image%:*}
    [[ $name == */* ]] || name=library/$name
    config="{\"architecture\":\"amd64\",\"os\":\"linux\",\"author\":\"$image\"}"
    upload=$(curl --silent --fail --dump-header - -X POST "$registry/v2/$name/blobs/uploads/" | tr -d '\r' | sed -n 's/^[Ll]ocation: //p')
    curl --silent --fail -X PUT --header 'Content-Type: application/octet-stream' --data-binary "$config" \
        "$upload&digest=$(digest_of "$config")"
    kind=application/vnd.oci.image.manifest.v1+json
    manifest="{\"schemaVersion\":2,\"mediaType\":\"$kind\",\"config\":{\"mediaType\":\"application/vnd.oci.image.config.v1+json\",\"digest\":\"$(digest_of "$config")\",\"size\":${#config}},\"layers\":[]}"
    curl --silent --fail -X PUT --header "Content-Type: $kind" --data-binary "$manifest" "$registry/v2/$name/manifests/${image##*:}"
    echo "$image $(digest_of "$manifest")"
done
