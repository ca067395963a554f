#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Faults in families: `tensortap verify` names what was planted, where, and nothing beside it.

Usage: family_faults.py [GROUP …]
"""
import os
import sys
import tempfile

from traced import SKIPPED, ask, engine, main, require, trace

# Fault of hf_family_faults.py: layer and component where it shows first, cause, and a word of what is found (or none).
GROUPS = {
    "rope": {
        "llama3 --set rope_parameters.factor=4.0": (0, "attn.q_rope", "rope.frequency_scale", "factor 4"),
        "llama3 --patch interleaved_rope": (0, "attn.q_rope", "rope.pairing", "interleaved"),
        "gpt_neox --set rope_parameters.partial_rotary_factor=0.5": (0, "attn.q_rope", "rope.partial_dims", "dims 16"),
        "gemma3 --set rope_parameters.sliding_attention.rope_theta=1000000.0":
            (0, "attn.q_rope", "rope.theta", "theta 1000000"),
        "gpt_oss --set rope_parameters.truncate=true": (0, "attn.q_rope", "rope.frequency_scale", "truncate 1"),
        "nanochat --patch rope_backwards": (0, "attn.q_rope", "rope.direction", None),
    },
    "latent": {  # keys are never read as such: their cache shows in the second pass only
        "deepseek_v2 --set rope_parameters.rope_theta=500.0": (0, "attn.q_rope", "rope.theta", "theta 500"),
        "deepseek_v3 --set rope_interleave=false": (0, "attn.q_rope", "rope.pairing", "half"),
        "deepseek_v3 --set rope_parameters.rope_theta=500.0": (0, "attn.q_rope", "rope.theta", "theta 500"),
    },
    "norms": {
        "gemma --patch norm_without_offset": (0, "attn_norm", "norm.offset_missing", None),
        "gemma3 --patch norm_without_offset": (0, "attn_norm", "norm.offset_missing", None),
        "gemma3 --patch norm_after_rope": (0, "attn.q_norm", "norm.order", "rotated before"),
        "qwen3 --patch norm_after_rope": (0, "attn.q_norm", "norm.order", "rotated before"),
        "qwen3 --patch q_norm_missing": (0, "attn.q_norm", "norm.skipped", None),
        "olmo2 --patch qk_norm_missing": (0, "attn.q_norm", "norm.skipped", None),
        "olmo2 --patch post_norm_missing": (0, "attn_post_norm", "norm.skipped", None),
        "cohere --patch mean_kept": (0, "attn_norm", "norm.rmsnorm_for_layernorm", None),
    },
    "wiring": {
        "gpt_neox --set use_parallel_residual=false": (0, "ffn_norm", "residual.sequential", None),
        "cohere --patch sequential_residual": (0, "ffn.gate_proj", "residual.sequential", None),
        "granite --set residual_multiplier=1.0": (0, "attn_residual", "residual.scale", "scale 1"),
        "granite --set embedding_multiplier=1.0": (None, "embed", "embed.scale_missing", "scale 1"),
        "gemma3 --patch embed_without_scale": (None, "embed", "embed.scale_missing", "scale 1"),
        "nanochat --patch relu": (0, "ffn.act", "mlp.activation", "relu"),
    },
    "attention": {
        "llama3 --patch wrong_key_head": (0, "attn.qk", "attn.head_map", None),
        "granite --set attention_multiplier=0.17677669529663687": (0, "attn.scores", "attn.scale", "factor 0.17677"),
        "gemma2 --set attn_logit_softcapping=null": (0, "attn.scores", "attn.softcap_missing", None),
        "gemma2 --set sliding_window=8": (0, "attn.probs", "attn.window", "window 8"),
        "mistral --set sliding_window=17": (0, "attn.probs", "attn.window", "window 17"),
        "gpt_oss --patch drop_sinks": (0, "attn.probs", "attn.sink", None),
    },
    "experts": {
        "mixtral --set num_experts_per_tok=1": (0, "moe.weights", "moe.top_k", "left_out 1"),
        "mixtral --patch expert_gate_up_swapped": (0, "moe.expert.act", "mlp.gate_up_swapped", None),
        "qwen3_moe --set norm_topk_prob=false": (0, "moe.weights", "moe.router_norm", None),
        "qwen2_moe --patch without_shared": (0, "moe.out", "moe.shared_missing", None),
        "deepseek_v2 --set routed_scaling_factor=2.0": (1, "moe.weights", "moe.scale", "scale 2"),
        "deepseek_v3 --patch without_shared": (1, "moe.out", "moe.shared_missing", None),
        "deepseek_v3 --set topk_group=4": (1, "moe.topk", "moe.groups", None),
    },
}


def judge(fault, planted, capture, model):
    layer, component, cause, found = planted
    faults = ask("verify", capture, "--model", model, status=1)["faults"]
    told = [(f["layer"], f["component"], f["cause"]) for f in faults]
    require(told == [(layer, component, cause)], f"{fault}: {told}, planted {planted}")
    require(found is None or found in faults[0]["found"], f"{fault}: found {faults[0]['found']}, planted {found}")


def group(name):
    faults = GROUPS[name]
    with tempfile.TemporaryDirectory() as folder:
        models = os.path.join(folder, "models")
        done, captures = trace(engine("hf_family_faults.py", models, *faults), os.path.join(folder, "captures"))
        if done.returncode == SKIPPED:
            print(done.stdout.decode(), end="")
            sys.exit(SKIPPED)
        ran = [line.split() for line in done.stdout.decode().splitlines()]
        require(done.returncode == 0 and len(ran) == len(faults) and all(status == "0" for _, status in ran),
                f"the engines ended with {done.returncode}, {ran}\n{done.stderr.decode()[-2000:]}")
        for (process, _), (fault, planted) in zip(ran, faults.items()):
            [capture] = [path for path in captures if path.endswith("." + process)]
            judge(fault, planted, capture, os.path.join(models, fault.split()[0]))


if __name__ == "__main__":
    main({name: (lambda name=name: group(name)) for name in GROUPS})
