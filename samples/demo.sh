#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The main job in two minutes: a healthy run of a small engine, then one with a planted fault.
#
# usage: samples/demo.sh [FAULT]     FAULT: a name from `tensortap-engine --list-faults`, default rope.theta
# Installs what the build needs, builds into build/demo, and works in build/demo/run. Exit status 0: both runs
# were judged as they should be.
case ${1:-} in -h | --help) sed -n '3,7s/^# \{0,1\}//p' "$0"; exit 0 ;; esac
. "$(dirname "$0")/setup.sh" || exit 2
fault=${1:-rope.theta}

: >"$LOG"
install_needs "$BUILD_NEEDS"
build build/demo -DTENSORTAP_TESTS=OFF || exit 1

# A folder of its own, so that the names below are short and nothing of the user's is in the way.
export PATH=$ROOT/build/demo/bin:$PATH
unset LD_PRELOAD ${!TENSORTAP_*}
rm -rf "$ROOT/build/demo/run"
mkdir -p "$ROOT/build/demo/run" && cd "$ROOT/build/demo/run" || exit 2

bold= plain=
if [ -t 1 ] && [ -z "${NO_COLOR:-}" ]; then
    bold=$'\e[1m' plain=$'\e[0m'
fi
problems=0

tell() { printf '\n%s\n' "$*"; }

# show STATUS COMMAND…: prints the command and what it says, and holds it to the exit status.
show() {
    local expected=$1 status
    shift
    printf '\n%s$ %s%s\n' "$bold" "$*" "$plain"
    "$@" </dev/null 2>&1 | tee last.txt
    status=${PIPESTATUS[0]}
    [ "$status" = 0 ] || printf '(exit status %s)\n' "$status"
    if [ "$status" != "$expected" ]; then
        printf '%s: exit status %s was expected here\n' "${0##*/}" "$expected" >&2
        problems=$((problems + 1))
    fi
}

# The last command must have said this.
expect() {
    grep -qF -- "$1" last.txt && return
    printf '%s: "%s" was expected here\n' "${0##*/}" "$1" >&2
    problems=$((problems + 1))
}

tell "A small random model, and an engine that runs it. The engine knows nothing of LibTensorTap."
show 0 tensortap-make-model -o tiny.gguf
engine=(tensortap-engine -m tiny.gguf -t 1,17,203,44,310,5,91,128 -n 4)
show 0 "${engine[@]}"

tell "The same under the tap: the tokens are the same, and what the engine computed is in a capture."
show 0 tensortap run -o healthy -- "${engine[@]}"

tell "Every step done again from the operands that the engine itself had:"
show 0 tensortap verify healthy

tell "And against a reference run, made from the model file for the same tokens:"
show 0 tensortap ref tiny.gguf --like healthy -o healthy-reference
show 0 tensortap compare healthy healthy-reference

tell "Now the engine has a fault, $fault."
show 0 tensortap run -o faulty -- "${engine[@]}" --fault "$fault"
show 0 tensortap ref tiny.gguf --like faulty -o faulty-reference
tell "Which component is the first to be wrong, and why?"
show 1 tensortap compare faulty faulty-reference
# `tensortap-engine --list-faults`: name, component, cause.
while IFS=$'\t' read -r name component cause _; do
    [ "$name" != "$fault" ] || { expect "$component"; expect "$cause"; }
done < <(tensortap-engine --list-faults)

if [ $problems != 0 ]; then
    tell "$problems of the steps above did not end as they should; the captures are in $PWD"
    exit 1
fi
tell "All of this is in $PWD. Next: 'tensortap help', or your own engine after 'tensortap run --'."
