#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Every planted fault really changes what the sample engine computes, and the right engine repeats itself.
# Usage: engine_faults.sh ENGINE MAKER
set -eu
engine=$1 maker=$2
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
export OMP_NUM_THREADS=1
tokens=1,17,99,203,5,330,42,8
failures=0

fail() {
    echo "FAIL $*"
    failures=$((failures + 1))
}

# Logits of a run: header cut off, one number a line.
run() { # MODEL OUT [options]
    file=$1 out=$2
    shift 2
    "$engine" -m "$file" -t $tokens -n 6 --logits "$out.npy" "$@" >"$out.tokens" || return 1
    tail -c +129 "$out.npy" | od -An -v -w4 -tf4 >"$out.values"
}

# Energy of the difference over the energy of the right logits; 1 where either is not a number.
distance() { # RIGHT FOUND
    paste "$1.values" "$2.values" | awk '
        $1 !~ /^-?[0-9]/ || $2 !~ /^-?[0-9]/ { print 1; found = 1; exit }
        { d += ($1 - $2) ^ 2; e += $1 ^ 2 }
        END { if (!found) printf "%.3g\n", d / e }'
}

model_for() { # NEEDS
    case $1 in
    gemma-hf) echo gemma ;;
    gemma) echo gemma.gguf ;;
    bias) echo bias.gguf ;;
    *) echo llama.gguf ;;
    esac
}

check() { # NAME NEEDS [options]
    name=$1 model=$(model_for "$2")
    shift 2
    if ! run "$folder/$model" "$folder/found" --fault "$name" "$@"; then
        fail "$name: did not run"
        return
    fi
    moved=$(distance "$folder/$model.right" "$folder/found")
    if awk "BEGIN { exit !($moved > 1e-6) }"; then
        echo "ok   $name $* ($model): logits moved by $moved"
    else
        fail "$name $* ($model): logits moved by $moved only"
    fi
}

"$maker" -o "$folder/llama.gguf"
"$maker" -o "$folder/bias.gguf" --bias
"$maker" -o "$folder/gemma.gguf" --arch gemma
"$maker" -o "$folder/gemma" --arch gemma
for model in llama.gguf bias.gguf gemma.gguf gemma; do
    run "$folder/$model" "$folder/$model.right"
    run "$folder/$model" "$folder/found"
    cmp -s "$folder/$model.right.npy" "$folder/found.npy" || fail "$model: two right runs differ"
done

"$engine" --list-faults >"$folder/faults"
[ "$(wc -l <"$folder/faults")" -ge 40 ] || fail "the list of faults is short"
while IFS='	' read -r name component cause needs traffic layer what; do
    check "$name" "$needs"
done <"$folder/faults"

# A fault hits the layer and component that it is told to.
check norm.skipped any --fault-component final_norm
check linear.zero_weight any --fault-component attn.v_proj --fault-layer 0
check residual.missing any --fault-component ffn_residual --fault-layer 2
check rope.skipped any --fault-layer -1

# Decode faults leave prefill alone.
for name in rope.position_stuck kv.stale kv.overwritten; do
    "$engine" -m "$folder/llama.gguf" -t $tokens -n 1 --fault $name --logits "$folder/found.npy" >/dev/null
    "$engine" -m "$folder/llama.gguf" -t $tokens -n 1 --logits "$folder/right.npy" >/dev/null
    cmp -s "$folder/right.npy" "$folder/found.npy" || fail "$name: changes prefill"
done
[ $failures -eq 0 ]
