#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# check_generated PAWL DOCS [--update]: the generated parts of DOCS/cli.md and DOCS/configuration.md
# are what PAWL's tables say, and the completion script is good bash. --update writes them anew.
set -eu
pawl=$1 docs=$2 update=${3:-}
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

# file, then the command that makes what is between its markers
check() {
    file=$docs/$1
    shift
    "$pawl" "$@" > "$tmp/made"
    awk -v made="$tmp/made" '
        /<!-- begin generated -->/ { print; while ((getline line < made) > 0) print line; skip = 1; next }
        /<!-- end generated -->/ { skip = 0 }
        !skip { print }' "$file" > "$tmp/whole"
    if [ "$update" = --update ]; then
        cp "$tmp/whole" "$file"
    elif ! diff -u "$file" "$tmp/whole"; then
        echo "$file is not what the tables say: run $0 $pawl $docs --update" >&2
        exit 1
    fi
}

check cli.md help --markdown
check configuration.md help configuration --markdown
"$pawl" completion bash > "$tmp/completion"
bash -n "$tmp/completion"
bash -c ". '$tmp/completion'; COMP_WORDS=(pawl su); COMP_CWORD=1; _pawl; [ \"\${COMPREPLY[*]}\" = submit ]"
bash -c ". '$tmp/completion'; COMP_WORDS=(pawl submit --wat); COMP_CWORD=2; _pawl; [ \"\${COMPREPLY[*]}\" = --watch ]"
