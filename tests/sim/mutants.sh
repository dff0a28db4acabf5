#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# mutants.sh [worlds] [name …]: apply each patch of tests/sim/mutants to a copy of the tree, build the
# simulator and show that it finds the bug. Prints one line a mutant; exit code 1 if one survives.
# A line `# run: …` in a patch adds options: the weather in which that bug is not too rare.
# A line `# test: NAME` names the unit test that finds what the simulator cannot see: Redis itself.
# Environment: RUN (a command before each command, such as nice), JOBS, WORK (directory, kept).
set -u
root=$(cd "$(dirname "$0")/../.." && pwd)
worlds=${1:-3000}
shift
work=${WORK:-$(mktemp -d)}
run=${RUN:-}
mkdir -p "$work/tree"
(cd "$root" && git ls-files -z | tar --null -T - -c) | tar -x -m -C "$work/tree"
$run cmake -S "$work/tree" -B "$work/build" -G Ninja >/dev/null || exit 2
names=${*:-$(cd "$root/tests/sim/mutants" && ls ./*.patch | sed 's|^\./||; s|\.patch$||')}
survived=0
for name in $names; do
    patch="$root/tests/sim/mutants/$name.patch"
    if ! patch -s -d "$work/tree" -p1 <"$patch"; then
        echo "STALE     $name"
        survived=1
        (cd "$root" && git ls-files -z broker | tar --null -T - -c) | tar -x -m -C "$work/tree"
        continue
    fi
    test=$(sed -n 's/^# test: //p' "$patch")
    if ! $run ninja -C "$work/build" -j"${JOBS:-2}" "${test:-pawl-sim}" >"$work/build.log" 2>&1; then
        echo "NOT BUILT $name: $(grep -m1 error "$work/build.log")"
        survived=1
    elif [ -n "$test" ]; then
        if $run timeout 300 "$work/build/tests/$test" >"$work/test.log" 2>&1; then
            echo "SURVIVED  $name ($test)"
            survived=1
        else
            echo "found     $name: $test, $(grep -m1 -oE 'FAILED +\] [a-z0-9_]+' "$work/test.log" | sed 's/.*] //')"
        fi
    else
        out=$($run timeout 300 "$work/build/bin/pawl-sim" --quiet --no-shrink --from 1 \
            --worlds "$worlds" --steps 5000 $(sed -n 's/^# run: //p' "$patch") 2>&1)
        if [ $? -eq 0 ]; then
            echo "SURVIVED  $name ($worlds worlds)"
            survived=1
        else
            echo "found     $name: $(grep -m1 -E 'pawl-sim: seed|ssertion' <<<"$out" | cut -c1-150)"
        fi
    fi
    patch -s -R -d "$work/tree" -p1 <"$patch"
done
[ -n "${WORK:-}" ] || rm -rf "$work"
exit $survived
