#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Dump what every module of a Hugging Face model computes, as a reference for `tensortap compare CAPTURE REF`.

    hf_reference.py MODEL --tokens 1,17,203 -n 4 -o reference.safetensors
    tensortap compare CAPTURE reference.safetensors

The model runs under PyTorch's forward hooks with eager attention: one pass over the prompt, then N - 1 passes of
one token each, always the likeliest one. The file holds for pass P the output of each module, named by its path:

    pP/model.layers.0.self_attn.q_proj      [sequences, tokens, channels]
    pP/input_ids  pP/position_ids           [sequences, tokens]      what went in
    pP/attention_mask                       [sequences, tokens so far]

and the metadata schema (tensortap.hf/1), model, tokens (of the prompt), passes, dtype, torch and transformers.
A module that runs several times in one pass is pP/PATH#1, #2 … from its second time on.
"""
import argparse
import contextlib
import inspect
import json
import os
import sys

import torch
import transformers
from safetensors.torch import save_file

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16, "float64": torch.float64}


def first_tensor(output):
    """The tensor that a module's output is about: modules return tensors, tuples or named outputs."""
    if isinstance(output, torch.Tensor):
        return output
    if isinstance(output, dict):
        output = list(output.values())
    if isinstance(output, (tuple, list)):
        return next((item for item in output if isinstance(item, torch.Tensor)), None)
    return None


class Recorder:
    """Collects the outputs of a model's modules, pass by pass."""

    def __init__(self):
        self.tensors = {}
        self.prefix = "p0"

    def keep(self, name, tensor):
        """A copy: the model may overwrite its own, and safetensors wants no two names for one memory."""
        key, times = f"{self.prefix}/{name}", 0
        while key in self.tensors:
            times += 1
            key = f"{self.prefix}/{name}#{times}"
        self.tensors[key] = tensor.detach().to("cpu", copy=True).contiguous()

    def hook(self, path):
        def after_forward(module, inputs, output):
            tensor = first_tensor(output)
            if tensor is not None:
                self.keep(path, tensor)
        return after_forward

    @contextlib.contextmanager
    def listening(self, model):
        handles = [module.register_forward_hook(self.hook(path)) for path, module in model.named_modules() if path]
        try:
            yield self
        finally:
            for handle in handles:
                handle.remove()


def load(folder, dtype):
    """The model with the head that its config names, else (an encoder) the bare one."""
    config = transformers.AutoConfig.from_pretrained(folder)
    generates = any(name.endswith(("ForCausalLM", "LMHeadModel")) for name in config.architectures or [])
    kind = transformers.AutoModelForCausalLM if generates else transformers.AutoModel
    return kind.from_pretrained(folder, dtype=dtype, attn_implementation="eager").eval(), generates


def run_passes(model, generates, tokens, passes, recorder):
    """The prompt, then one cached token at a time. Returns the generated ids."""
    ids, cache, generated = torch.tensor([tokens]), None, []
    accepted = inspect.signature(model.forward).parameters
    for number in range(passes):
        recorder.prefix = f"p{number}"
        seen = len(tokens) + number  # tokens so far, those of this pass included
        given = {"input_ids": ids, "attention_mask": torch.ones(1, seen, dtype=torch.long),
                 "position_ids": torch.arange(seen - ids.shape[1], seen)[None]}
        for name, tensor in given.items():
            recorder.keep(name, tensor)
        if generates:
            given.update(past_key_values=cache, use_cache=True)
        output = model(**{name: value for name, value in given.items() if name in accepted})
        if not generates:
            break
        cache = output.past_key_values
        ids = output.logits[:, -1:].argmax(-1)
        generated.append(int(ids))
    return generated


def prompt_tokens(arguments):
    if arguments.tokens:
        return [int(word) for word in arguments.tokens.split(",")]
    return transformers.AutoTokenizer.from_pretrained(arguments.model)(arguments.prompt)["input_ids"]


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", metavar="MODEL", help="folder with config.json and weights")
    prompt = parser.add_mutually_exclusive_group(required=True)
    prompt.add_argument("--tokens", metavar="I,I,…", help="token ids of the prompt")
    prompt.add_argument("--prompt", metavar="TEXT", help="for the model's own tokenizer")
    parser.add_argument("-n", type=int, default=1, metavar="N", help="tokens to generate, the first by the prompt's pass (1)")
    parser.add_argument("--dtype", choices=DTYPES, default="float32")
    parser.add_argument("-o", "--output", metavar="FILE", required=True, help="the .safetensors to write; must not exist")
    return parser.parse_args()


def main():
    arguments = parse_arguments()
    if os.path.exists(arguments.output):
        sys.exit(f"{arguments.output} exists and is not overwritten: choose another -o")
    if not os.path.isdir(arguments.model):
        sys.exit(f"{arguments.model} is no folder: give the one that holds config.json")
    tokens = prompt_tokens(arguments)
    model, generates = load(arguments.model, DTYPES[arguments.dtype])
    recorder = Recorder()
    with torch.no_grad(), recorder.listening(model):
        generated = run_passes(model, generates, tokens, max(arguments.n, 1), recorder)
    passes = 1 + max(int(name[1:].split("/")[0]) for name in recorder.tensors)
    save_file(recorder.tensors, arguments.output, metadata={
        "schema": "tensortap.hf/1", "model": os.path.abspath(arguments.model), "tokens": json.dumps(tokens),
        "passes": str(passes), "dtype": arguments.dtype, "torch": torch.__version__,
        "transformers": transformers.__version__})
    if generated:
        print(*generated)


if __name__ == "__main__":
    main()
