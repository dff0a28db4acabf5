#!/bin/sh
# check_generated.sh DESCRIBE SCHEMAS: the committed files must be what the lists say.
# With UPDATE=1 they are written anew.
set -eu
describe=$1
schemas=$2
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
"$describe" protocol "$schemas/protocol.md" >"$tmp/protocol.md"
"$describe" schema >"$tmp/documents.schema.json"
"$describe" vectors >"$tmp/messages.json"
status=0
check() {
  if [ "${UPDATE:-0}" = 1 ]; then
    cp "$tmp/$1" "$schemas/$2"
  elif ! cmp "$tmp/$1" "$schemas/$2"; then
    echo "$2 is not what schemas/*.def say: run UPDATE=1 $0 $describe $schemas" >&2
    status=1
  fi
}
check protocol.md protocol.md
check documents.schema.json documents.schema.json
check messages.json vectors/messages.json
exit $status
