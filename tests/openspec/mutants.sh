#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Plants each bug of mutants.txt into a copy of the library and lets the differential fuzzer look for it.
# Usage: mutants.sh   (PAWL_NODE, PAWL_NODE_MODULES as for differential.sh; ends with 1 when one survives)
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
mkdir "$work/tests"
cp -r "$root/common" "$root/schemas" "$work"
cp -r "$root/tests/openspec" "$work/tests"
libs=$(pkg-config --cflags --libs jansson libsodium libzstd yaml-0.1)
base='status buf arena hash mp js doc linediff'
build() {
    # shellcheck disable=SC2046,SC2086 # lists of words
    (cd "$work" && cc -std=c17 -D_GNU_SOURCE -O1 -w -I. -o diff $(for f in $base; do echo "common/$f.c"; done) \
        common/openspec/*.c tests/openspec/peer.c tests/openspec/answers.c tests/openspec/gen.c tests/openspec/diff.c $libs)
}
if ! build; then
    echo "the library as it is does not build"
    exit 1
fi
survivors=0
while IFS='~' read -r file expression what; do
    case $file in '#'*|'') continue ;; esac
    sed -i "$expression" "$work/common/openspec/$file"
    if cmp -s "$root/common/openspec/$file" "$work/common/openspec/$file" || ! build; then
        echo "NOT PLANTED: $what"
        survivors=$((survivors + 1))
    else
        found=$(PAWL_DIFF_COUNT=30000 "$here/differential.sh" "$work/diff")
        case $? in
        1) echo "found: $what ($(echo "$found" | sed -n 's/ (state.*//p'))" ;;
        0)
            echo "SURVIVED: $what"
            survivors=$((survivors + 1))
            ;;
        *) # skipped, or it could not run: nothing was looked for
            echo "NOT RUN: $what ($found)"
            survivors=$((survivors + 1))
            ;;
        esac
    fi
    cp "$root/common/openspec/$file" "$work/common/openspec/$file"
done <"$here/mutants.txt"
exit $((survivors > 0))
