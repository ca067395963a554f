#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""An engine to be traced: a tiny model of any family under transformers in float32, prefill and cached greedy decode.

The model is made in FOLDER on first use (tests/support/tiny_models.py). Printed are the generated token ids. Exit 77:
torch or transformers is missing.
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


def prompt(length):
    """Ids that differ from each other and stay below the smallest vocabulary."""
    return (torch.arange(1, length + 1) * 37 % 300 + 3)[None]


def generate(model, length, steps):
    """Ids [steps]: one pass over the prompt, then steps - 1 passes of one token each."""
    ids, cache, chosen = prompt(length), None, []
    for _ in range(steps):
        output = model(input_ids=ids, past_key_values=cache, use_cache=True)
        cache = output.past_key_values
        ids = output.logits[:, -1].argmax(-1, keepdim=True)
        chosen.append(int(ids))
    return chosen


def generate_batch(model, length, steps):
    """Ids of two sequences, the second five tokens shorter and padded on the left, by the model's own loop."""
    ids, mask = prompt(length).repeat(2, 1), torch.ones(2, length, dtype=torch.long)
    ids[1, 5:], ids[1, :5], mask[1, :5] = prompt(length)[0, 5:].flip(0), 0, 0
    made = model.generate(ids, attention_mask=mask, max_new_tokens=steps, min_new_tokens=steps, do_sample=False,
                          pad_token_id=0)
    return made[:, length:].flatten().tolist()


def swap(model, suffix):
    """Gives the modules whose path ends so, of the first two layers that have one, each other's weight."""
    found = [module for path, module in model.named_modules() if path.endswith(suffix)][:2]
    first, second = (module.weight for module in found)
    first.data, second.data = second.data, first.data


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("family")
    parser.add_argument("folder", help="of the model; made when it is not there")
    parser.add_argument("--make-only", action="store_true", help="make the model and end")
    parser.add_argument("--attention", choices=("eager", "sdpa"), default="eager")
    parser.add_argument("--swap", metavar="SUFFIX", help="a fault: these modules of two layers have each other's weight")
    parser.add_argument("--batch", action="store_true", help="two sequences, one padded on the left")
    parser.add_argument("--length", type=int, default=24, help="tokens of the prompt (24)")
    parser.add_argument("-n", type=int, default=3, help="tokens to generate, the first by the prefill (3)")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if not os.path.exists(os.path.join(arguments.folder, "config.json")):
        tiny_models.make(arguments.family, arguments.folder)
    if arguments.make_only:
        return
    config = transformers.AutoConfig.from_pretrained(arguments.folder)
    kind = getattr(transformers, config.architectures[0])
    model = kind.from_pretrained(arguments.folder, dtype=torch.float32, attn_implementation=arguments.attention).eval()
    if arguments.swap:
        swap(model, arguments.swap)
    with torch.no_grad():
        run = generate_batch if arguments.batch else generate
        print(*run(model, arguments.length, arguments.n))


if __name__ == "__main__":
    main()
