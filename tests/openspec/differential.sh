#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Runs the differential fuzzer against the real OpenSpec.
#   PAWL_NODE_MODULES: the node_modules that holds @fission-ai/openspec (default: beside the sources)
#   PAWL_NODE: the node to run it with (default: node)
#   PAWL_DIFF_COUNT, PAWL_DIFF_SEED, PAWL_DIFF_CORPUS: see diff.c
here=$(cd "$(dirname "$0")" && pwd)
modules=${PAWL_NODE_MODULES:-$here/../../node_modules}
want=1.13.2
skip() {
    echo "skipped: $1"
    exit 77
}
node=${PAWL_NODE:-node}
command -v "$node" >/dev/null || skip "node is not installed"
package=$modules/@fission-ai/openspec
[ -f "$package/package.json" ] || skip "no @fission-ai/openspec in $modules (set PAWL_NODE_MODULES)"
have=$("$node" -p 'require(process.argv[1]).version' "$package/package.json")
[ "$have" = "$want" ] || skip "@fission-ai/openspec is $have, the reference is $want"
OPENSPEC_DIST=$package/dist exec "$1" --node "$node" --oracle "$here/oracle.mjs" --count "${PAWL_DIFF_COUNT:-2000}" \
    --seed "${PAWL_DIFF_SEED:-1}" ${PAWL_DIFF_CORPUS:+--corpus "$PAWL_DIFF_CORPUS"}
