#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""An engine to be traced: a tiny model with experts under transformers in float32, right or with a fault in its routing.

The model is made in FOLDER on first use. The faults are what goes wrong in engines' own routers; each is planted in all
layers that have experts. Printed are the token ids of prefill and one step of decode. Exit 77: torch or transformers is
missing.
"""
import argparse
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
try:
    import torch
    import transformers
    import tiny_models
except ImportError as missing:
    print(f"skipped: {missing}")
    sys.exit(77)


def on_router(change):
    """A fault in what the router hands on: change(logits, weights, indices) -> (weights, indices)."""
    def plant(model):
        for path, module in model.named_modules():
            if path.endswith((".gate", ".router")):
                module.register_forward_hook(lambda _, given, out: (out[0], *change(*out)))
    return plant


def not_normalised(logits, weights, indices):
    return torch.softmax(logits, -1).gather(1, indices), indices


def normalised(logits, weights, indices):
    return weights / weights.sum(-1, keepdim=True), indices


def each_module(suffix, change):
    """change(module) for the modules whose path ends so."""
    def plant(model):
        for path, module in model.named_modules():
            if path.endswith(suffix):
                change(module)
    return plant


def silence(module):
    module.register_forward_hook(lambda _, given, out: torch.zeros_like(out))


FAULTS = {
    "none": lambda model: None,
    "not_normalised": on_router(not_normalised),
    "normalised": on_router(normalised),
    "reversed": on_router(lambda logits, weights, indices: (weights.flip(-1), indices)),
    "alike": on_router(lambda logits, weights, indices: (torch.ones_like(weights), indices)),
    "next_expert": on_router(lambda logits, weights, indices: (weights, (indices + 1) % logits.shape[-1])),
    "scale_missing": each_module(".gate", lambda module: setattr(module, "routed_scaling_factor", 1.0)),
    "groups_ignored": each_module(".gate", lambda module: setattr(module, "topk_group", module.num_group)),
    "bias_ignored": each_module(".gate", lambda module: module.e_score_correction_bias.zero_()),
    "shared_missing": each_module("shared_expert", silence),
    "limit_missing": each_module(".experts", lambda module: setattr(module, "limit", 1e9)),
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("family")
    parser.add_argument("folder", help="of the model; made when it is not there")
    parser.add_argument("--fault", choices=FAULTS, default="none")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=NUMBER", help="of the model's configuration")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    members = {key: float(value) for key, value in (setting.split("=") for setting in arguments.set)}
    tiny_models.make(arguments.family, arguments.folder, **members)
    config = transformers.AutoConfig.from_pretrained(arguments.folder)
    model = getattr(transformers, config.architectures[0]).from_pretrained(
        arguments.folder, dtype=torch.float32, attn_implementation="eager", experts_implementation="eager").eval()
    ids, cache = (torch.arange(1, 17) * 37 % 300 + 3)[None], None
    with torch.no_grad():
        FAULTS[arguments.fault](model)
        for _ in range(2):
            output = model(input_ids=ids, past_key_values=cache, use_cache=True)
            cache, ids = output.past_key_values, output.logits[:, -1].argmax(-1, keepdim=True)
            print(int(ids))


if __name__ == "__main__":
    main()
