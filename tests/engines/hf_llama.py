#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""An engine to be traced: a small random Llama under transformers in float32, prefill and cached greedy decode.

The model is made in FOLDER on first use (config.json, model.safetensors), always with the same weights. Printed
are the generated token ids of each sequence, and nothing that depends on time, threads or addresses. Exit 77:
torch or transformers is missing.
"""
import argparse
import os
import sys
import tempfile

try:
    import torch
    import transformers
except ImportError as missing:
    print(f"skipped: {missing}")
    sys.exit(77)

# Sizes that cannot be taken for one another: no two axes alike, more query heads than key heads, a head size
# whose square root is no integer.
SHAPE = dict(vocab_size=331, hidden_size=192, intermediate_size=352, num_hidden_layers=3, num_attention_heads=6,
             num_key_value_heads=2, head_dim=32, max_position_embeddings=512, rms_norm_eps=1e-5,
             tie_word_embeddings=False, bos_token_id=1, eos_token_id=None, pad_token_id=0)
PROMPT = [1, 17, 203, 44, 310, 5, 91, 128, 77, 260, 33]
SHORTER_PROMPT = [1, 300, 12, 45, 199, 8]  # the second sequence of a batch, padded on the left


def make_model(folder):
    """Writes the model, whole or not at all: several tests may start at once."""
    if os.path.exists(os.path.join(folder, "config.json")):
        return
    torch.manual_seed(7)
    model = transformers.LlamaForCausalLM(transformers.LlamaConfig(**SHAPE))
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith("norm.weight"):  # ones would hide a norm that lost its weight
                parameter.copy_(1 + 0.3 * torch.randn_like(parameter))
            elif name.endswith("proj.weight"):  # so that attention looks at something
                parameter.mul_(4)
            else:
                parameter.mul_(3)
    parent = os.path.dirname(os.path.abspath(folder))
    os.makedirs(parent, exist_ok=True)
    made = tempfile.mkdtemp(dir=parent)
    model.save_pretrained(made)
    try:
        os.rename(made, folder)
    except OSError:
        if not os.path.exists(os.path.join(folder, "config.json")):
            raise


def make_batch(prompts):
    """Token ids [sequences, longest] and mask, shorter prompts padded on the left."""
    longest = max(map(len, prompts))
    ids = [[SHAPE["pad_token_id"]] * (longest - len(p)) + p for p in prompts]
    mask = [[0] * (longest - len(p)) + [1] * len(p) for p in prompts]
    return torch.tensor(ids), torch.tensor(mask)


def generate(model, prompts, steps):
    """The generated ids [sequences, steps]: one pass over the prompts, then steps - 1 passes of one token each."""
    ids, mask = make_batch(prompts)
    positions = (mask.cumsum(-1) - 1).clamp(min=0)
    cache, chosen = None, []
    for _ in range(steps):
        output = model(input_ids=ids, attention_mask=mask, position_ids=positions, past_key_values=cache,
                       use_cache=True)
        cache = output.past_key_values
        ids = output.logits[:, -1].argmax(-1, keepdim=True)
        mask = torch.cat([mask, torch.ones_like(ids)], dim=-1)
        positions = positions[:, -1:] + 1
        chosen.append(ids)
    return torch.cat(chosen, dim=-1).tolist()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", help="of the model; made when it is not there")
    parser.add_argument("--make-only", action="store_true", help="make the model and end")
    parser.add_argument("--attention", choices=("eager", "sdpa"), default="eager")
    parser.add_argument("--batch", action="store_true", help="two sequences, the second padded on the left")
    parser.add_argument("-n", type=int, default=4, help="tokens to generate, the first by the prefill (4)")
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    make_model(arguments.folder)
    if arguments.make_only:
        return
    model = transformers.AutoModelForCausalLM.from_pretrained(
        arguments.folder, dtype=torch.float32, attn_implementation=arguments.attention)
    prompts = [PROMPT, SHORTER_PROMPT] if arguments.batch else [PROMPT]
    with torch.no_grad():
        for sequence in generate(model, prompts, arguments.n):
            print(*sequence)


if __name__ == "__main__":
    main()
