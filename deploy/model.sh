#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Prints the path of a verified small model; fetches it when it is not on this machine. See model.py.
#   deploy/model.sh [--model auto|default|small|tiny]
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
command -v python3 >/dev/null || "$here/packages.sh" model
pip=()
for given in "$@"; do [[ $given == -h || $given == --help ]] && exec python3 "$here/model.py" --help; done
# pip of an environment of our own: a bare Debian's python3 has none.
python3 -m pip --version >/dev/null 2>&1 || pip=(--pip "$("$here/venv.sh")/bin/pip")
exec python3 "$here/model.py" ${pip+"${pip[@]}"} "$@"
