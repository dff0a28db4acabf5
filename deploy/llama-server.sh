#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Runs llama.cpp's HTTP server on 127.0.0.1; installs it into the user's cache first. See llama_server.py.
#   deploy/llama-server.sh MODEL.gguf [--port N] [--parallel N] [--context N] [--threads N]
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
venv=$("$here/venv.sh" "$here/llama-requirements.txt")
exec "$venv/bin/python" "$here/llama_server.py" "$@"
