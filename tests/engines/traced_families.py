#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What `tensortap verify` says of each family under PyTorch and transformers: nothing of right models, and a weight in
the wrong place by its name.

Usage: traced_families.py [FAMILY | FAMILY.swapped | FAMILY.batch …]
"""
import os
import sys
import tempfile

from traced import SKIPPED, ask, engine, main, require, trace, trace_alike

PASSES = 3  # one prefill, two of decode
# A module of each family for the fault, and the component that it is.
FAMILIES = {
    "llama3": ("self_attn.k_proj", "attn.k_proj"),
    "mistral": ("mlp.up_proj", "ffn.up_proj"),
    "qwen2": ("self_attn.q_proj", "attn.q_proj"),
    "qwen3": ("self_attn.v_proj", "attn.v_proj"),
    "gemma": ("mlp.gate_proj", "ffn.gate_proj"),
    "gemma2": ("self_attn.o_proj", "attn.o_proj"),
    "gemma3": ("mlp.down_proj", "ffn.down_proj"),
    "gemma3n": ("laurel.linear_left", "laurel.left"),
    "olmo2": ("self_attn.q_proj", "attn.q_proj"),
    "olmo3": ("mlp.up_proj", "ffn.up_proj"),
    "smollm3": ("self_attn.k_proj", "attn.k_proj"),
    "glm4": ("self_attn.o_proj", "attn.o_proj"),
    "granite": ("mlp.down_proj", "ffn.down_proj"),
    "cohere": ("self_attn.v_proj", "attn.v_proj"),
    "cohere2": ("mlp.up_proj", "ffn.up_proj"),
    "phi3": ("mlp.down_proj", "ffn.down_proj"),
    "gpt2": ("mlp.c_fc", "ffn.up_proj"),
    "gpt_neox": ("attention.dense", "attn.o_proj"),
    "bloom": ("mlp.dense_4h_to_h", "ffn.down_proj"),
    "mpt": ("attn.out_proj", "attn.o_proj"),
    "nanochat": ("self_attn.o_proj", "attn.o_proj"),
    "mixtral": ("self_attn.o_proj", "attn.o_proj"),
    "qwen2_moe": ("shared_expert.down_proj", "moe.shared.down_proj"),
    "qwen3_moe": ("self_attn.v_proj", "attn.v_proj"),
    "gpt_oss": ("self_attn.o_proj", "attn.o_proj"),
    "deepseek_v2": ("self_attn.o_proj", "attn.o_proj"),
    "deepseek_v3": ("self_attn.kv_b_proj", "attn.k_proj"),
}


def right(family, *options):
    with tempfile.TemporaryDirectory() as folder:
        model = os.path.join(folder, "model")
        command = engine("hf_family.py", family, model, "-n", str(PASSES), *options)
        capture = trace_alike(command, os.path.join(folder, "captures"))
        verdict = ask("verify", capture, "--model", model, status=0)
        require(verdict["verdict"] == "match" and not verdict["faults"], f"verdict {verdict['verdict']}")
        seen = verdict["coverage"]
        require(seen["covered"] == seen["components"], f"coverage {seen}")
        passes = {row["pass"] for row in verdict["components"] if row["pass"] is not None}
        require(passes == set(range(PASSES)), f"passes {passes}")


def swapped(family):
    suffix, component = FAMILIES[family]
    with tempfile.TemporaryDirectory() as folder:
        model = os.path.join(folder, "model")
        done, captures = trace(engine("hf_family.py", family, model, "-n", "2", "--swap", suffix),
                               os.path.join(folder, "captures"))
        if done.returncode == SKIPPED:
            print(done.stdout.decode(), end="")
            sys.exit(SKIPPED)
        require(done.returncode == 0 and len(captures) == 1, f"status {done.returncode}, captures {captures}")
        [capture] = captures
        verdict = ask("verify", capture, "--model", model, status=1)
        first = verdict["faults"][0]
        told = (first["layer"], first["component"], first["cause"])
        require(told == (0, component, "linear.wrong_weight"), f"found {told}")
        others = [fault["component"] for fault in verdict["faults"] if fault["component"] != component]
        require(not others, f"more faults than planted: {others}")


CASES = {name: (lambda family=name: right(family)) for name in FAMILIES}
CASES.update({f"{name}.swapped": (lambda family=name: swapped(family)) for name in FAMILIES})
# Windows shorter than the prompt: keys that late queries do not see are not padding.
CASES.update({f"{name}.batch": (lambda family=name: right(family, "--batch")) for name in FAMILIES})

if __name__ == "__main__":
    main(CASES)
