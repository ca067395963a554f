#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""samples/hf_reference.py: one tensor per module and pass, the inputs beside them, the engine's own tokens."""
import json
import os
import sys
import tempfile

from traced import HERE, PYTHON, Failed, engine, main, require, run, run_plain

try:
    from safetensors import safe_open
except ImportError as missing:
    print(f"skipped: {missing}")
    sys.exit(77)

SCRIPT = os.path.join(HERE, "..", "..", "samples", "hf_reference.py")
PROMPT = "1,17,203,44,310,5,91,128,77,260,33"  # of hf_llama.py


def dump(folder, model, *options):
    """(what it printed, metadata, {name: tensor}) of a dump of `model`."""
    out = os.path.join(folder, "reference.safetensors")
    done = run([PYTHON, SCRIPT, model, "-o", out, *options])
    if done.returncode:
        raise Failed(done.stderr.decode())
    with safe_open(out, "pt") as file:
        return done.stdout.decode(), file.metadata(), {name: file.get_tensor(name) for name in file.keys()}


def llama():
    with tempfile.TemporaryDirectory() as folder:
        model = os.path.join(folder, "model")
        plain = run_plain(engine("hf_llama.py", model, "-n", "3"))
        printed, metadata, tensors = dump(folder, model, "--tokens", PROMPT, "-n", "3")
        require(printed == plain.stdout.decode(), f"generated {printed}, the engine {plain.stdout.decode()}")
        require(metadata["schema"] == "tensortap.hf/1" and metadata["passes"] == "3", f"metadata {metadata}")
        require(json.loads(metadata["tokens"]) == [int(t) for t in PROMPT.split(",")], f"metadata {metadata}")
        for number, tokens in enumerate((11, 1, 1)):
            q = tensors[f"p{number}/model.layers.0.self_attn.q_proj"]
            require(q.shape == (1, tokens, 192), f"q_proj of pass {number} has shape {q.shape}")
            for name in ("model.embed_tokens", "model.layers.2.mlp.down_proj", "model.norm", "lm_head"):
                require(f"p{number}/{name}" in tensors, f"{name} of pass {number} is missing")
            generated = int(tensors[f"p{number}/lm_head"][0, -1].argmax())
            require(generated == int(printed.split()[number]), f"lm_head of pass {number} says {generated}")
        require(tensors["p0/input_ids"].tolist() == [json.loads(metadata["tokens"])], "p0/input_ids")
        require(tensors["p2/position_ids"].tolist() == [[12]], f"p2/position_ids {tensors['p2/position_ids']}")
        require(tensors["p2/attention_mask"].tolist() == [[1] * 13], "p2/attention_mask")
        again = run([PYTHON, SCRIPT, model, "--tokens", "1", "-o", os.path.join(folder, "reference.safetensors")])
        require(again.returncode != 0 and b"not overwritten" in again.stderr, "overwrote a file")


def minilm():
    with tempfile.TemporaryDirectory() as folder:
        model = run_plain(engine("minilm.py", "--where")).stdout.decode().strip()
        _, metadata, tensors = dump(folder, model, "--prompt", "Oslo in winter", "--dtype", "bfloat16", "-n", "2")
        tokens = len(json.loads(metadata["tokens"]))
        require(metadata["passes"] == "1", f"an encoder has one pass: {metadata}")
        key = tensors["p0/encoder.layer.5.attention.self.key"]
        require(key.shape == (1, tokens, 384), f"key has shape {key.shape}, {tokens} tokens")


if __name__ == "__main__":
    main({"llama": llama, "minilm": minilm})
