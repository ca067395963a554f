#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Embeddings of checkpoints in bf16 are scaled as transformers scales them: by a factor in the checkpoint's own type.

The same checkpoint run in float32 has the exact root: other numbers, and nobody's fault.

√192 is 13.856…, in bf16 13.875: rounded to bf16 the reference's rows are transformers', bit for bit, and those scaled by
the exact root are not.
"""
import math
import os
import tempfile

from families import prompt, reference  # skips (77) where something is missing
from traced import ask, engine, main, require, trace_alike

import torch
import transformers
import tiny_models

TOKENS = 32


def rounded(array):
    return torch.tensor(array).bfloat16()


def check(family):
    with tempfile.TemporaryDirectory() as folder:
        model = os.path.join(folder, "model")
        tiny_models.model(family).bfloat16().save_pretrained(model)
        module = getattr(transformers, transformers.AutoConfig.from_pretrained(model).architectures[0])
        module = module.from_pretrained(model, dtype=torch.bfloat16, attn_implementation="eager").eval()
        tokens = prompt(TOKENS, module.config.vocab_size)
        with torch.no_grad():
            states = module(input_ids=torch.tensor([tokens]), output_hidden_states=True).hidden_states
        ours = reference(model, os.path.join(folder, "reference"), tokens)[0]["embed"]
        require(torch.equal(rounded(ours), states[0][0]), "the scaled embedding is not transformers' in bf16")
        exact = module.get_input_embeddings().weight[tokens].detach().double() * math.sqrt(module.config.hidden_size)
        require(not torch.equal(exact.bfloat16(), states[0][0]), "these rows cannot tell a rounded scale from the exact")


def run_in_float32(family):
    with tempfile.TemporaryDirectory() as folder:
        model = os.path.join(folder, "model")
        tiny_models.model(family).bfloat16().save_pretrained(model)
        capture = trace_alike(engine("hf_family.py", family, model), os.path.join(folder, "captures"))
        verdict = ask("verify", capture, "--model", model, status=0)
        require(verdict["verdict"] == "match", f"verdict {verdict['verdict']}")
        drifting = {row["component"] for row in verdict["components"] if row["status"] == "drift"}
        require(drifting, "the other rounding of the scale was not noticed")


if __name__ == "__main__":
    transformers.logging.set_verbosity_error()
    cases = {family: lambda family=family: check(family) for family in ("gemma", "gemma2", "gemma3")}
    for family in ("gemma2", "gemma3n"):
        cases[family + ".float32"] = lambda family=family: run_in_float32(family)
    main(cases)
