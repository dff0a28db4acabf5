#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# From a fresh Debian 12 to a reviewed OpenSpec change: installs packages, builds pawl, starts it on this machine, gives
# it the sample problem over the sample project, shows the rounds, and prints the path of the finished change.
# Usage: deploy/quickstart.sh [--model auto|default|small|tiny] [--keep] [--again]
#   --model   which small model to run when no model server is found; auto takes the small one below 4 GB of free memory
#   --keep    leave pawl and the model server running, and say how to go on and how to stop them
#   --again   a new job, although the sample problem was finished before
# Model server, in this order: PAWL_LLM_URL (with PAWL_MODEL_NAME, if it has several models); LM Studio, llama.cpp,
# Ollama or vLLM on their usual ports; otherwise llama.cpp's server and a small model, both fetched into the cache.
# Everything it starts is stopped at the end. A second run shows the finished job and changes nothing.
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
build=$root/build/release
state=${XDG_STATE_HOME:-$HOME/.local/state}/pawl-quickstart
model=auto keep='' again='' pawl_is_up='' model_pid='' watch_pid=''

say() { printf '\n\033[1m%s\033[0m\n' "$*" | if [ -t 1 ]; then cat; else sed 's/\x1b\[[01]m//g'; fi; }
fail() { local code=$1; shift; echo "quickstart: $*" >&2; exit "$code"; }

arguments() {
    while [ $# -gt 0 ]; do
        case $1 in
        --model) [ $# -gt 1 ] || fail 64 "--model: which one? auto, default, small or tiny"; model=$2; shift ;;
        --model=*) model=${1#*=} ;;
        --keep) keep=yes ;;
        --again) again=yes ;;
        -h|--help) sed -n '3,12s/^# \{0,1\}//p' "$0"; exit 0 ;;
        *) fail 64 "$1: unknown option; see --help" ;;
        esac
        shift
    done
    case $model in auto|default|small|tiny) ;; *) fail 64 "--model $model: auto, default, small or tiny" ;; esac
}

build_pawl() {
    local log=$state/build.log
    [ -x "$build/bin/pawl" ] || say "Building pawl"
    if ! { cmake -S "$root" -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=RelWithDebInfo -DBUILD_TESTING=OFF &&
           cmake --build "$build" && cmake --install "$build" --prefix "$build/install"; } >"$log" 2>&1; then
        tail -n 30 "$log" >&2
        fail 70 "the build failed, see $log"
    fi
    PATH=$build/install/bin:$PATH
}

# The ids of the models that a server lists, by plain HTTP: a fresh machine has no curl.
models_at() {
    timeout 3 bash -c '
        exec 3<>"/dev/tcp/$1/$2" || exit 1
        printf "GET /v1/models HTTP/1.0\r\nHost: %s:%s\r\nAccept: application/json\r\n\r\n" "$1" "$2" >&3
        cat <&3' _ "$1" "$2" 2>/dev/null | tr -d '\0' | grep -o '"id" *: *"[^"]*"' | sed 's/.*: *"//; s/"$//' || true
}

# Sets model_url and model_said when somebody else's model server is there.
find_model_server() {
    if [ -n "${PAWL_LLM_URL:-}" ]; then
        model_url=$PAWL_LLM_URL model_said="PAWL_LLM_URL: $PAWL_LLM_URL"
        return 0
    fi
    local name port first
    while read -r port name; do
        first=$(models_at 127.0.0.1 "$port" | head -n 1)
        if [ -n "$first" ]; then
            model_url=http://127.0.0.1:$port/v1 model_said="$name on port $port, which offers ${PAWL_MODEL_NAME:-$first}"
            return 0
        fi
    done <<'PORTS'
1234 LM Studio
8080 llama.cpp
9931 llama.cpp
11434 Ollama
8000 vLLM
PORTS
    return 1
}

# A small real model, run by llama.cpp's server.
start_model_server() {
    local file log=$state/model.log
    file=$("$root/deploy/model.sh" --model "$model")
    setsid "$root/deploy/llama-server.sh" "$file" >"$log" 2>"$log.err" </dev/null 9>&- &
    model_pid=$!
    echo "$model_pid" >"$state/model.pid"
    until model_url=$(sed -n 's/^ready //p' "$log") && [ -n "$model_url" ]; do
        if ! kill -0 "$model_pid" 2>/dev/null; then
            tail -n 15 "$log.err" >&2
            fail 69 "llama.cpp's server ended, see $log.err"
        fi
        sleep 0.2
    done
    model_url=$model_url/v1
    model_said="$(basename "$file" .gguf), run here by llama.cpp's server at $model_url"
}

start_pawl() {
    pawl_is_up=yes  # also when it came up halfway
    pawl up --detach >"$state/up.log" 2>&1 9>&- || { cat "$state/up.log" >&2; fail 69 "pawl did not start"; }
}

stop_all() {
    local code=$?
    trap '' INT TERM
    [ -z "$watch_pid" ] || { kill "$watch_pid" 2>/dev/null; wait "$watch_pid" 2>/dev/null; } || true
    if [ -n "$keep" ] && [ "$code" -le 1 ]; then
        return
    fi
    [ -z "$pawl_is_up" ] || pawl down >>"$state/up.log" 2>&1 || pawl down --force >>"$state/up.log" 2>&1 || true
    if [ -n "$model_pid" ]; then
        kill "$model_pid" 2>/dev/null || true
        wait "$model_pid" 2>/dev/null || true
        rm -f "$state/model.pid"
    fi
}

# What an earlier run left behind when it was killed.
stop_leftovers() {
    local pid
    pid=$(cat "$state/model.pid" 2>/dev/null || true)
    if [ -n "$pid" ] && tr '\0' ' ' <"/proc/$pid/cmdline" 2>/dev/null | grep -q 'llama[_-]server'; then
        kill "$pid" 2>/dev/null || true
    fi
    rm -f "$state/model.pid"
    pawl down --force >/dev/null 2>&1 || true
}

# One directory and one job for each problem, tree of specs and model: the same again is the same job.
work_of() {
    local sample=$root/bench/samples/library
    (cd "$sample" && find . -type f -print0 | sort -z | xargs -0 sha256sum; echo "${PAWL_LLM_URL:-} $model") | sha256sum | cut -c1-12
}

prepare_work() {
    key=$(work_of)
    [ -z "$again" ] || key=$key-$(date +%Y%m%d-%H%M%S)
    work=$state/work/$key
    project=$work/library
    if [ ! -e "$project/openspec" ]; then
        mkdir -p "$work"
        cp -r "$root/bench/samples/library" "$work/copying.$$"
        mv "$work/copying.$$" "$project"
    fi
}

show_finished() {
    local job path
    { read -r job; read -r path; } <"$work/finished"
    start_pawl
    say "Finished before; --again makes a new job"
    pawl show "$job"
    say "The change: $path"
}

run_sample() {
    local job code=0 path
    say "The problem (bench/samples/library/problem.md):"
    sed 's/^/    /' "$project/problem.md"
    job=$(pawl submit "$project/problem.md" --project-dir "$project" --key "quickstart-$key" -o id -q)
    say "Job $job"
    # Beside us, so that a signal is answered at once and not when the job has ended.
    pawl watch "$job" <&0 &
    watch_pid=$!
    wait "$watch_pid" || code=$?
    watch_pid=''
    [ "$code" -le 1 ] || { pawl show "$job" || true; fail "$code" "job $job delivered no change; its log: $state"; }
    say "Putting it into a copy of the sample project"
    path=$(pawl apply "$job" --project-dir "$project")
    find "$path" -type f | sort | sed 's/^/    /'
    say "What it demands:"
    find "$path/specs" -name spec.md -exec sed 's/^/    /' {} +
    printf '%s\n%s\n' "$job" "$path" >"$work/finished.$$"
    mv "$work/finished.$$" "$work/finished"
    say "The change: $path"
}

how_to_go_on() {
    cat <<EOF

pawl and the model server are still running. To go on:
    export PATH=$build/install/bin:\$PATH PAWL_STATE_DIR=$PAWL_STATE_DIR
    cd YOUR-REPOSITORY && pawl submit "what is wrong" --watch
To stop them:
    pawl down${model_pid:+; kill $model_pid}
EOF
}

main() {
    arguments "$@"
    mkdir -p "$state"
    exec 9>"$state/lock"
    flock -n 9 || fail 75 "another quickstart is running"
    unset PAWL_BROKER_ENDPOINT PAWL_REDIS_URL
    export PAWL_STATE_DIR=$state/pawl
    "$root/deploy/packages.sh" build run
    build_pawl
    trap stop_all EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM
    stop_leftovers
    prepare_work
    if [ -e "$work/finished" ]; then
        show_finished
    else
        find_model_server || start_model_server
        export PAWL_MODEL_URL=$model_url
        say "Model: $model_said"
        start_pawl
        run_sample
    fi
    [ -z "$keep" ] || how_to_go_on
}

main "$@"
