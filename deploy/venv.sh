#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Prints the path of pawl's own Python environment in the user's cache; makes it when it is not there.
#   deploy/venv.sh [REQUIREMENTS…]   and installs what the files pin, hash by hash
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
venv=${XDG_CACHE_HOME:-$HOME/.cache}/pawl/venv
if [ ! -e "$venv/.complete" ] || ! "$venv/bin/python" -c '' 2>/dev/null; then
    python=$(command -v /usr/bin/python3 || command -v python3 || true)
    # ensurepip is what Debian leaves out without python3-venv.
    if [ -z "$python" ] || ! "$python" -c 'import venv, ensurepip' 2>/dev/null; then
        "$here/packages.sh" model
        python=/usr/bin/python3
    fi
    rm -rf "$venv"
    mkdir -p "$(dirname "$venv")"
    "$python" -m venv "$venv"
    touch "$venv/.complete"
fi
for file in "$@"; do
    mark=$venv/$(basename "$file").installed
    cmp -s "$file" "$mark" && continue
    "$venv/bin/pip" install --quiet --disable-pip-version-check --no-deps --only-binary=:all: --require-hashes -r "$file" >&2
    cp "$file" "$mark"
done
echo "$venv"
