#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Installs the Debian packages that pawl needs, and nothing else.
#   deploy/packages.sh SET…    SET: build, run, model (a local model server), test, chaos (builds a proxy for tests/chaos)
# Quick when all are there: nothing is asked of the network then. As root, or with sudo; without systemd too.
# A Redis that this script installs is not started and does not start at boot: `pawl up` runs a private one.
set -euo pipefail

packages_of() {
    case $1 in
    build) echo build-essential cmake ninja-build pkg-config libzmq3-dev libcurl4-openssl-dev libhiredis-dev \
                libjansson-dev libyaml-dev libzstd-dev libsodium-dev ;;
    run)   echo redis-server ca-certificates ;;
    model) echo python3 python3-venv ca-certificates ;;
    test)  echo libcmocka-dev python3 python3-venv python3-zmq python3-msgpack python3-zstandard clang libclang-rt-14-dev iproute2 ;;
    chaos) echo golang-go ca-certificates ;;
    *)     echo "packages.sh: $1: no such set; try build, run, model, test, chaos" >&2; return 64 ;;
    esac
}

missing_of() {
    local name
    for name in "$@"; do
        [ "$(dpkg-query -W -f '${db:Status-Status}' "$name" 2>/dev/null)" = installed ] || echo "$name"
    done
}

as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    elif command -v sudo >/dev/null; then
        sudo "$@"
    else
        echo "packages.sh: not root and no sudo here; as root, run: $*" >&2
        return 77
    fi
}

# Tells Debian's install scripts not to start services, unless the machine has an opinion of its own.
hold_services() {
    held=
    [ -e /usr/sbin/policy-rc.d ] && return
    held=yes
    as_root sh -c 'printf "#!/bin/sh\nexit 101\n" >/usr/sbin/policy-rc.d && chmod 755 /usr/sbin/policy-rc.d'
}

release_services() {
    [ -z "${held:-}" ] || as_root rm -f /usr/sbin/policy-rc.d
    held=
}

install_packages() {
    echo "installing: $*" >&2
    log=$(mktemp)
    trap 'release_services; rm -f "$log"' EXIT
    hold_services
    apt() { as_root env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 "$@" >"$log" 2>&1; }
    if ! apt update || ! apt install -y --no-install-recommends "$@"; then
        tail -n 20 "$log" >&2
        echo "packages.sh: apt-get failed; the lines above say why" >&2
        return 69
    fi
    case " $* " in
    *" redis-server "*)
        [ ! -d /run/systemd/system ] || as_root systemctl disable --now redis-server >/dev/null 2>&1 || true ;;
    esac
}

[ $# -gt 0 ] || { sed -n "3,6s,^# \\{0\,1\\},,p" "$0" >&2; exit 64; }
command -v dpkg-query >/dev/null || {
    echo "packages.sh: not a Debian system; install the equivalents of:" >&2
    for set in "$@"; do packages_of "$set"; done >&2
    exit 69
}
wanted=$(for set in "$@"; do packages_of "$set" || exit; done)
# shellcheck disable=SC2086 # names without blanks
missing=$(missing_of $wanted | sort -u)
# shellcheck disable=SC2086
[ -z "$missing" ] || install_packages $missing
