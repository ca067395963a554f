#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Fuzzes the readers of model files, with address and undefined-behaviour sanitizers.
#
# usage: tests/fuzz/run.sh [MINUTES [TARGET]]      10 minutes and every target without
#
# Builds into build/fuzz. The corpus stays there between runs (build/fuzz/corpus, cases with a fault in
# corpus/crashes); each run appends a line for each target to build/fuzz/executions.log: date, target, executions,
# opened, crashes. Exit status 1 after any fault.
set -o pipefail
cd "$(dirname "$0")/../.." || exit 2
case ${1:-} in -h | --help) sed -n '3,10s/^# \{0,1\}//p' tests/fuzz/run.sh; exit 0 ;; esac
minutes=${1:-10} target=${2:-}
folder=build/fuzz

python=.cache/venv/bin/python3
[ -x $python ] || python=python3
cmake -S . -B $folder -DCMAKE_BUILD_TYPE=RelWithDebInfo >/dev/null || exit 2
cmake --build $folder --target model_fuzz -j "$(nproc)" || exit 2
$python tests/fuzz/seeds.py $folder/seeds || echo "without seeds from other libraries: the built-in ones alone"

ulimit -c 0
export UBSAN_OPTIONS=print_stacktrace=1
exec $folder/bin/model_fuzz --seconds "$((minutes * 60))" --seed "$(date +%s)" --seeds $folder/seeds \
    --corpus $folder/corpus --log $folder/executions.log ${target:+--target "$target"}
