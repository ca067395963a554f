#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Engines to be traced that are wrong on purpose: tiny models of families under transformers, one fault each.

Usage: hf_family_faults.py FOLDER 'FAMILY [--set KEY=VALUE] [--patch NAME]' …

A fault is another setting than the model's (a dot in KEY goes into a member) or a changed step of the computation
(PATCHES, below). Each runs in a process of its own, forked when everything is imported; its id is printed, then its
exit status. Models lie in FOLDER/FAMILY, made on first use. Exit 77: torch or transformers is missing.
"""
import argparse
import json
import os
import shlex
import sys
import traceback

from hf_family import generate, tiny_models, torch, transformers


def code_of(model):
    """The module of transformers that computes this model."""
    return sys.modules[type(model).__module__]


def modules(model, ending):
    return [module for module in model.modules() if type(module).__name__.endswith(ending)]


def without(*names):
    """These members of every module that has them do nothing."""
    def patch(model):
        for module in list(model.modules()):
            for name in set(names) & set(dict(module.named_children())):
                setattr(module, name, torch.nn.Identity())
    return patch


def interleaved_rope(model):
    """Pairs of neighbours rotate, where halves of the head do."""
    def rotate(x):
        return torch.stack((-x[..., 1::2], x[..., ::2]), -1).flatten(-2)

    def apply(q, k, cos, sin, *_, **__):
        cos, sin = (table[..., :table.shape[-1] // 2].repeat_interleave(2, -1).unsqueeze(1) for table in (cos, sin))
        return q * cos + rotate(q) * sin, k * cos + rotate(k) * sin
    code_of(model).apply_rotary_pos_emb = apply


def rope_backwards(model):
    right = code_of(model).apply_rotary_pos_emb
    code_of(model).apply_rotary_pos_emb = lambda q, k, cos, sin, *rest, **more: right(q, k, cos, -sin, *rest, **more)


def norm_after_rope(model):
    """q and k are rotated before their norms."""
    code = code_of(model)
    right = code.apply_rotary_pos_emb
    for attention in modules(model, "Attention"):
        q_norm, k_norm, forward = attention.q_norm, attention.k_norm, attention.forward
        attention.q_norm = attention.k_norm = torch.nn.Identity()

        def late(*inputs, forward=forward, q_norm=q_norm, k_norm=k_norm, **named):
            def rotate_then_norm(q, k, *rest, **more):
                q, k = right(q, k, *rest, **more)
                return q_norm(q), k_norm(k)
            code.apply_rotary_pos_emb = rotate_then_norm
            return forward(*inputs, **named)
        attention.forward = late


def norm_without_offset(model):
    """w where w + 1 is meant."""
    for norm in modules(model, "RMSNorm"):
        norm.weight.data -= 1


def mean_kept(model):
    """rmsnorm in place of layernorm, in front of attention."""
    for path, norm in model.named_modules():
        if not path.endswith("input_layernorm"):
            continue

        def forward(x, norm=norm):
            eps = getattr(norm, "eps", getattr(norm, "variance_epsilon", 1e-5))
            scaled = x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + eps) * norm.weight
            return scaled if getattr(norm, "bias", None) is None else scaled + norm.bias
        norm.forward = forward


def sequential_residual(model):
    """The feed-forward part reads what attention has been added to."""
    for layer in modules(model, "DecoderLayer"):
        def forward(x, layer=layer, **named):
            attended, _ = layer.self_attn(hidden_states=layer.input_layernorm(x), **named)
            x = x + attended
            return x + layer.mlp(layer.input_layernorm(x))
        layer.forward = forward


def wrong_key_head(model):
    """Query heads take turns at the key heads, where groups of neighbours share one."""
    code_of(model).repeat_kv = lambda x, n: x.repeat(1, n, 1, 1)


def embed_without_scale(model):
    for table in modules(model, "ScaledWordEmbedding"):
        table.embed_scale.data[...] = 1


def drop_sinks(model):
    for attention in modules(model, "Attention"):
        attention.sinks.data[:] = -1e30


def without_shared(model):
    for path, module in model.named_modules():
        if path.endswith(("shared_expert", "shared_experts")):
            module.forward = torch.zeros_like


def expert_gate_up_swapped(model):
    for experts in modules(model, "Experts"):
        gate, up = experts.gate_up_proj.data.chunk(2, dim=1)
        experts.gate_up_proj.data = torch.cat((up, gate), dim=1)


def relu(model):
    for mlp in modules(model, "MLP"):
        mlp.activation_fn = torch.nn.ReLU()


PATCHES = {
    "drop_sinks": drop_sinks,
    "embed_without_scale": embed_without_scale,
    "expert_gate_up_swapped": expert_gate_up_swapped,
    "interleaved_rope": interleaved_rope,
    "mean_kept": mean_kept,
    "norm_after_rope": norm_after_rope,
    "norm_without_offset": norm_without_offset,
    "post_norm_missing": without("post_attention_layernorm"),
    "q_norm_missing": without("q_norm"),
    "qk_norm_missing": without("q_norm", "k_norm"),
    "relu": relu,
    "rope_backwards": rope_backwards,
    "sequential_residual": sequential_residual,
    "without_shared": without_shared,
    "wrong_key_head": wrong_key_head,
}


def set_member(config, key, value):
    *path, last = key.split(".")
    for step in path:
        config = config[step] if isinstance(config, dict) else getattr(config, step)
    if isinstance(config, dict):
        config[last] = value
    else:
        setattr(config, last, value)


def fault_of(text):
    parser = argparse.ArgumentParser(prog="fault")
    parser.add_argument("family")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--patch", action="append", default=[], choices=sorted(PATCHES))
    return parser.parse_args(shlex.split(text))


def run(fault, folder):
    model = os.path.join(folder, fault.family)
    config = transformers.AutoConfig.from_pretrained(model)
    for setting in fault.set:
        key, _, value = setting.partition("=")
        set_member(config, key, json.loads(value))
    kind = getattr(transformers, config.architectures[0])
    model = kind.from_pretrained(model, config=config, dtype=torch.float32, attn_implementation="eager").eval()
    with torch.no_grad():
        for patch in fault.patch:
            PATCHES[patch](model)
        generate(model, 24, 2)


def in_child(fault, folder):
    """(process id, exit status)"""
    child = os.fork()
    if child:
        return child, os.waitpid(child, 0)[1]
    try:
        run(fault, folder)
    except BaseException:
        traceback.print_exc()
        sys.exit(1)
    sys.exit(0)


def main():
    folder, *texts = sys.argv[1:]
    torch.set_num_threads(1)
    for fault in [fault_of(text) for text in texts]:
        tiny_models.make(fault.family, os.path.join(folder, fault.family))
        print(*in_child(fault, folder), flush=True)


if __name__ == "__main__":
    main()
