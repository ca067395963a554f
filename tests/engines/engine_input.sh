#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Wrong use and bad files: exit status 2, one line on stderr, nothing on stdout.
# Usage: engine_input.sh ENGINE MAKER
set -eu
engine=$1 maker=$2
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
failures=0

refused() { # options of the engine
    status=0
    "$engine" "$@" >"$folder/out" 2>"$folder/err" || status=$?
    if [ $status -eq 2 ] && [ "$(wc -l <"$folder/err")" -eq 1 ] && [ ! -s "$folder/out" ]; then
        echo "ok   $(cut -c1-140 "$folder/err")"
    else
        echo "FAIL exit $status: $*"
        cat "$folder/err"
        failures=$((failures + 1))
    fi
}

"$maker" -o "$folder/llama.gguf"
"$maker" -o "$folder/llama"
good=$folder/llama.gguf

refused
refused -m "$good"
refused -m "$good" -t 1,2 extra
refused -m "$good" -t 1,,2
refused -m "$good" -t 1,331
refused -m "$good" -t -1
refused -m "$good" -t 1 -n x
refused -m "$good" -t 1 -n
refused -m "$good" -t 1 --chunk 0
refused -m "$good" -t 1 --dtype f64
refused -m "$good" -t 1 --unknown
refused -m "$good" -t 1 --fault no.such
refused -m "$good" -t 1 --fault norm.offset_missing
refused -m "$good" -t 1 --fault linear.bias_missing
refused -m "$good" -t 1 --fault linear.transposed --fault-component attn.k_proj
refused -m "$good" -t 1 --fault norm.eps --fault-component attn.q_proj
refused -m "$good" -t 1 --fault rope.theta --fault-layer 3
refused -m "$good" -t 1 --logits "$folder/none/logits.npy"
refused -m "$folder/none.gguf" -t 1
refused -m "$0" -t 1
refused -m "$folder" -t 1

# Cut anywhere, the files are refused: in the header, in the tables, in the data.
size=$(wc -c <"$good")
for keep in 4 20 100 700 5000 20000 $((size / 2)) $((size - 32)); do
    head -c "$keep" "$good" >"$folder/cut.gguf"
    refused -m "$folder/cut.gguf" -t 1
done
mkdir "$folder/cut"
cp "$folder/llama/config.json" "$folder/cut"
size=$(wc -c <"$folder/llama/model.safetensors")
for keep in 4 20 1000 $((size / 2)) $((size - 1)); do
    head -c "$keep" "$folder/llama/model.safetensors" >"$folder/cut/model.safetensors"
    refused -m "$folder/cut" -t 1
done

# A header of 2^60 bytes; sizes that do not fit the weights; not JSON.
{ printf '\000\000\000\000\000\000\000\020'; head -c 100 /dev/zero; } >"$folder/cut/model.safetensors"
refused -m "$folder/cut" -t 1
cp "$folder/llama/model.safetensors" "$folder/cut"
sed 's/"hidden_size": 192/"hidden_size": 193/' "$folder/llama/config.json" >"$folder/cut/config.json"
refused -m "$folder/cut" -t 1
sed 's/"model_type": "llama"/"model_type": "other"/' "$folder/llama/config.json" >"$folder/cut/config.json"
refused -m "$folder/cut" -t 1
echo '{"model_type": ' >"$folder/cut/config.json"
refused -m "$folder/cut" -t 1
[ $failures -eq 0 ]
