#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Right ways of computing a llama are no faults, and a fault is the same one whatever the engine's habits are.

The engine is numpy_llama.py. Needs numpy; without it all are skipped (77).
"""
import contextlib
import os
import tempfile

import traced

MAKER = os.path.join(traced.BUILD, "bin", "tensortap-make-model")
MODELS = {"plain": [], "tied": ["--tied", "--dtype", "bf16", "--kv-heads", "6", "--theta", "500000"],
          "biased": ["--arch", "qwen2"]}

LAYOUTS = ["", "--layout transposed", "--layout left", "--double", "--quantise f16",
           "--qkv fused --mlp fused", "--qkv kv --layout left", "--qkv fused --layout transposed",
           "tied: --qkv fused --scale q --attention groups", "biased: --qkv fused --mlp fused --attention batched"]
ATTENTION = ["--scale q", "--scale both", "--attention groups", "--attention batched --scale q", "--attention einsum",
             "--cache transposed", "--cache keys_first", "--cache keys_first --scale both",
             "--attention groups --cache transposed"]
ORDERS = ["--prefill token", "--prefill chunks", "--head all", "--two after", "--two after --attention einsum",
          "--two interleaved", "--two interleaved --attention batched --scale q", "--two threads"]

# Habits, fault, component and causes of the first entry; "unknown" is honest where it is listed.
FAULTS = [("--scale q", "rope_theta", "attn.q_rope", "rope.theta"),
          ("--scale q", "scale_missing", "attn.scores", "attn.scale"),
          ("--scale q", "scale_twice", "attn.q_rope", "rope.magnitude_scale attn.scale"),
          ("--scale both", "kv_stale", "attn.k_cache", "kv.stale"),
          ("--cache keys_first", "rope_interleaved", "attn.q_rope", "rope.pairing"),
          ("--cache keys_first", "mask_missing", "attn.probs", "attn.mask_missing"),
          ("--qkv fused --scale q", "rope_theta", "attn.q_rope", "rope.theta"),
          ("--qkv fused", "v_is_k", "attn.v_proj", "linear.wrong_weight"),
          ("--mlp fused", "gate_up_swapped", "ffn.act", "mlp.gate_up_swapped"),
          ("--two interleaved", "kv_stale", "attn.k_cache", "kv.stale"),
          ("--two interleaved", "mask_missing", "attn.probs", "attn.mask_missing"),
          ("", "softmax_axis", "attn.probs", "attn.softmax_axis"),
          ("", "head_scaled", "final_norm", "unknown logits.scale"),
          ("", "embed_scaled", "attn_residual", "embed.scale_twice"),
          ("", "norm_order", "ffn_norm", "unknown norm.order"),
          ("", "head_map", "attn.qk", "attn.head_map")]


@contextlib.contextmanager
def captured(model, habits, fault=None):
    """(folder of the model, capture) of one run that printed the same with and without the tap."""
    with tempfile.TemporaryDirectory(prefix="tensortap-habits-") as folder:
        path = os.path.join(folder, "model")
        made = traced.run([MAKER, "-o", path, *MODELS[model]])
        traced.require(made.returncode == 0, made.stderr.decode())
        command = traced.engine("numpy_llama.py", path, *habits.split())
        if fault:
            command += ["--fault", fault]
        yield path, traced.trace_alike(command, os.path.join(folder, "captures"))


def silent(line):
    model, _, habits = line.rpartition(":")
    with captured(model or "plain", habits) as (path, capture):
        verdict = traced.ask("verify", capture, "--model", path)
        traced.require(not verdict["faults"], f"'{line}' is right, told: {verdict['faults'][:1]}")
        # Threads take turns as they like: of some passes the recorder may keep less.
        whole = verdict["verdict"] == "match" or "--two" in habits and verdict["verdict"] == "partial"
        traced.require(whole, f"'{line}': {verdict['verdict']}, {verdict['coverage']}")


def named(habits, fault, component, causes):
    with captured("plain", habits, fault) as (path, capture):
        verdict = traced.ask("verify", capture, "--model", path, status=1)
        first = verdict["faults"][0]
        told = {first["cause"], *first["ties"]}
        traced.require(first["component"] == component and told & set(causes.split()),
                       f"{fault} with '{habits}': {component} {causes} expected, told: {first}")
        wrong = [f for f in verdict["faults"] if f["confidence"] == "certain" and f["cause"] not in causes.split()
                 and not (fault == "scale_twice" and f["cause"] == "attn.scale")]
        traced.require(not wrong, f"{fault} with '{habits}': certain of something else: {wrong[:1]}")


def each(function, rows):
    def case():
        for row in rows:
            function(*row) if isinstance(row, tuple) else function(row)
    return case


traced.main({"layouts": each(silent, LAYOUTS), "attention": each(silent, ATTENTION), "orders": each(silent, ORDERS),
             "faults": each(named, FAULTS)})
