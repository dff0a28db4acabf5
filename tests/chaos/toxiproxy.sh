#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Prints the path of toxiproxy in the user's cache; builds it when it is not there, with a Go of this machine or Debian's.
# What is built is pinned in toxiproxy/go.mod and go.sum.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/pawl/toxiproxy
program=$cache/$(cat "$here"/toxiproxy/go.* | sha256sum | cut -c1-16)/toxiproxy-server
if [ ! -x "$program" ]; then
    command -v go >/dev/null || PATH=$PATH:/usr/local/go/bin
    command -v go >/dev/null || "$here/../../deploy/packages.sh" chaos
    mkdir -p "$(dirname "$program")"
    cp "$here"/toxiproxy/* "$(dirname "$program")"
    log=$cache/build.log
    (cd "$(dirname "$program")" &&
     GOTOOLCHAIN=local GOFLAGS=-mod=readonly CGO_ENABLED=0 go build -o toxiproxy-server.new github.com/Shopify/toxiproxy/v2/cmd/server) >"$log" 2>&1 ||
        { tail -n 20 "$log" >&2; echo "toxiproxy.sh: toxiproxy cannot be built; the lines above say why" >&2; exit 69; }
    mv "$(dirname "$program")/toxiproxy-server.new" "$program"
fi
echo "$program"
