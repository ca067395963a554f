#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Installs what the tests need, builds into build/test, runs the tests.
#
# usage: tests/run.sh [--long] [ctest options]       e.g. tests/run.sh -L short, tests/run.sh -R engines
#   --long   also the tests that take many minutes
# With CI=true (or TENSORTAP_REQUIRE_ENGINES=1) an engine that cannot be installed is a failure; elsewhere
# its tests are skipped, visibly.
set -o pipefail
cd "$(dirname "$0")/.." || exit 2
case ${1:-} in -h | --help) sed -n '3,9s/^# \{0,1\}//p' tests/run.sh; exit 0 ;; esac
. samples/setup.sh

required=OFF
if [ "${CI:-}" = true ] || [ "${TENSORTAP_REQUIRE_ENGINES:-0}" = 1 ]; then
    required=ON
fi

: >"$LOG"
install_needs "$BUILD_NEEDS$TEST_NEEDS"
python=$CACHE/venv/bin/python3
if ! install_python tests/requirements.txt tests/requirements-models.txt; then
    [ $required = OFF ] || die "the engines could not be installed, and here they must be"
    say "the Python engines could not be installed: their tests will be skipped"
    "$python" -c '' 2>/dev/null || python=$(find_python)
fi

# Warnings are errors with the compiler that the project is developed with, not with everybody's.
strict=OFF
if ${CC:-cc} --version 2>/dev/null | grep -q 'Free Software Foundation'; then
    strict=ON
fi
# Optimised as for users, with the assertions that their build leaves out.
build build/test -DTENSORTAP_WERROR=$strict -DCMAKE_C_FLAGS_RELWITHDEBINFO="-O2 -g" -DTENSORTAP_PYTHON="$python" \
    -DTENSORTAP_REQUIRE_ENGINES=$required || exit 1

choice=(-LE '^long$')
options=()
for option; do
    case $option in
    --long) choice=() ;;
    -L | --label-regex) choice=(); options+=("$option") ;;
    *) options+=("$option") ;;
    esac
done

# Models come from the packages installed above, never over the network. One BLAS thread a test: tests run
# side by side, and the order of sums must not depend on the machine.
export HF_HUB_OFFLINE=1 TRANSFORMERS_VERBOSITY=error TOKENIZERS_PARALLELISM=false OMP_NUM_THREADS=1 \
    OPENBLAS_NUM_THREADS=1
unset LD_PRELOAD ${!TENSORTAP_*}
exec ctest --test-dir build/test --output-on-failure --no-label-summary --no-tests=error --timeout 900 \
    -j "$(getconf _NPROCESSORS_ONLN)" "${choice[@]}" "${options[@]}" </dev/null
