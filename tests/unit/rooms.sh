#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Arrows between the rooms run one way: each room includes only what its line here names (and itself). Families are
# data: no C file of the analyzer names one.
set -u
cd "$(dirname "$0")/../.." || exit 2
failed=0

check() { # FOLDER ALLOWED…
    local folder=$1 file target
    shift
    while IFS=: read -r file target; do
        case " $* " in *" $target "*) ;; *)
            echo "$file includes from $target, which $folder must not know"
            failed=1 ;;
        esac
    done < <(grep -rnoE --include='*.[ch]' '^#include "[a-z]+/' "$folder" |
             sed -E 's|^([^:]+):[0-9]+:#include "([a-z]+)/|\1:\2|' | grep -v ":$(basename "$folder")$")
}

check analyzer/base tensortap
check analyzer/model base tensortap
check analyzer/tokenizer base model
check analyzer/ops base
check analyzer/graph base model ops
check analyzer/capture base model tensortap
check analyzer/verify base graph model ops tensortap
check analyzer/naming base graph model ops verify tensortap
check analyzer/diagnose base graph model ops verify tensortap
check analyzer/compare base graph model ops verify diagnose
check analyzer/inspect base diagnose graph model ops tensortap
check analyzer/report base graph model verify tensortap
check preload tensortap blas record
check samples/engine
check samples/make_model

families=$(sed -nE 's/.*"family": "([a-z0-9_]+)".*/\1/p' analyzer/architectures/*.json)
for family in $families; do
    if grep -rnE --include='*.[ch]' "\"$family\"" analyzer; then
        echo "C code names the family $family"
        failed=1
    fi
done
exit $failed
