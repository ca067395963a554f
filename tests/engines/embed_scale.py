#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Embeddings of checkpoints in bf16 are scaled as transformers scales them: by a factor in the checkpoint's own type.

√192 is 13.856…, in bf16 13.875: rounded to bf16 the reference's rows are transformers', bit for bit, and those scaled by
the exact root are not.
"""
import math
import os
import tempfile

from families import prompt, reference  # skips (77) where something is missing
from traced import main, require

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


if __name__ == "__main__":
    transformers.logging.set_verbosity_error()
    main({family: lambda family=family: check(family) for family in ("gemma", "gemma2", "gemma3")})
