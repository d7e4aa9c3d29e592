#!/usr/bin/env bash
# Writes into containers/*.def the digest that each base image's version has in its registry today: From: NAME:VERSION becomes
# From: NAME:VERSION@sha256:…, and a registry that gives anything else later is refused. What has a digest keeps it.
#
# Usage: containers/pin_digests.sh [REGISTRY]
#   REGISTRY   address of a registry that has the images under their names, without a login [default: Docker Hub]
#
# Exit status: 0 all have a digest; 1 one was not found, and nothing was written for it; 64 usage.
set -uo pipefail
# shellcheck source=containers/stack.sh
source "$(dirname "$0")/stack.sh"
if [[ ${1:-} == --help ]]; then usage && exit 0; fi
[[ $# -lt 2 && ${1:-} != -* ]] || fail "see $0 --help" 64
registry=${1:-https://registry-1.docker.io}

# The digest of an image's index, which names the images of all architectures.
digest_of() {
    local name=$1 version=$2 kinds token login=()
    [[ $name == */* ]] || name=library/$name
    if [[ $registry == https://registry-1.docker.io ]]; then
        token=$(curl --silent --fail --max-time 30 \
            "https://auth.docker.io/token?service=registry.docker.io&scope=repository:$name:pull" |
            sed -n 's/.*"token" *: *"\([^"]*\)".*/\1/p')
        login=(--header "Authorization: Bearer $token")
    fi
    kinds=application/vnd.oci.image.index.v1+json,application/vnd.docker.distribution.manifest.list.v2+json
    kinds+=,application/vnd.oci.image.manifest.v1+json,application/vnd.docker.distribution.manifest.v2+json
    curl --silent --fail --max-time 30 --head --header "Accept: $kinds" "${login[@]}" \
        "$registry/v2/$name/manifests/$version" |
        tr -d '\r' | sed -n 's/^[Dd]ocker-[Cc]ontent-[Dd]igest: \(sha256:[0-9a-f]\{64\}\)$/\1/p'
}

code=0
mapfile -t images < <(sed -n 's/^From: \([^@]*\)$/\1/p' "$containers"/*.def | sort -u)
for image in "${images[@]}"; do
    digest=$(digest_of "${image%:*}" "${image##*:}")
    if [[ -z $digest ]]; then
        echo "error: no digest of $image at $registry" >&2
        code=1
        continue
    fi
    sed -i "s|^From: $image\$|From: $image@$digest|" "$containers"/*.def
    echo "$image@$digest"
done
exit $code
