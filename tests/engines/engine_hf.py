#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The sample engine's logits against transformers in float32 with eager attention.

Usage: engine_hf.py ENGINE MAKER [CASE …]
For every case a model is made in both kinds of file; both must give transformers' logits in prefill, with
a chunked prefill, and over cached decode steps. Exit 77 (skipped) when torch or transformers is missing.
"""
import os
import subprocess
import sys
import tempfile

try:
    import numpy
    import safetensors
    import torch
    import transformers
except ImportError as error:
    print(f"skipped: {error}")
    sys.exit(77)

# Name: what the maker is told. `long` looks at late positions too.
CASES = {
    "llama": [],
    "llama-tied-f16": ["--tied", "--dtype", "f16"],
    "llama-bf16": ["--dtype", "bf16", "--seed", "11"],
    "llama-bias": ["--bias"],
    "llama-shape": ["--hidden", "160", "--heads", "4", "--kv-heads", "4", "--head-dim", "24", "--theta", "5e5"],
    "qwen2": ["--arch", "qwen2", "--eps", "1e-6"],
    "gemma": ["--arch", "gemma", "--kv-heads", "1"],
    "gemma-bf16": ["--arch", "gemma", "--dtype", "bf16", "--head-dim", "48"],
    "long": ["--layers", "2"],
}
LONG_PROMPT = 3000
BF16_CASES = ("llama-bf16", "gemma-bf16")
NMSE_LIMIT = 1e-10  # relative 1e-5


def prompt_tokens(count, vocab):
    return [1] + [(i * 7919 + i * i * 31) % vocab for i in range(1, count)]


def engine_logits(engine, model, tokens, generate, folder, *options):
    out = os.path.join(folder, "logits.npy")
    ids = ",".join(map(str, tokens))
    command = [engine, "-m", model, "-t", ids, "-n", str(generate), "--all-logits", "--logits", out, *options]
    printed = subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout.decode()
    return numpy.load(out), [int(word) for word in printed.split()]


def reference_logits(folder, tokens, decode, dtype=torch.float32):
    """Prefill of `tokens`, then one cached step per token of `decode`."""
    model = transformers.AutoModelForCausalLM.from_pretrained(
        folder, dtype=dtype, attn_implementation="eager"
    )
    rows = []
    with torch.no_grad():
        output = model(torch.tensor([tokens]), use_cache=True)
        rows.append(output.logits[0])
        for token in decode:
            output = model(torch.tensor([[token]]), past_key_values=output.past_key_values, use_cache=True)
            rows.append(output.logits[0])
    return torch.cat(rows).float().numpy()


def nmse(found, expected):
    difference = found.astype(numpy.float64) - expected
    return float((difference**2).sum() / (expected.astype(numpy.float64) ** 2).sum())


def check(name, what, found, expected):
    whole = nmse(found, expected) if found.shape == expected.shape else float("inf")
    last = nmse(found[-1], expected[-1]) if found.shape == expected.shape else float("inf")
    good = whole < NMSE_LIMIT and last < NMSE_LIMIT
    print(f"{'ok  ' if good else 'FAIL'} {name:16} {what:28} nmse {whole:.2e}, last row {last:.2e}")
    return good


def run_case(engine, maker, name, options, folder):
    hf, gguf = os.path.join(folder, name), os.path.join(folder, name + ".gguf")
    for out in (hf, gguf):
        subprocess.run([maker, "-o", out, *options], check=True)
    tokens = prompt_tokens(LONG_PROMPT if name == "long" else 40, 331)
    generate = 6
    variants = {
        "safetensors": (hf, []),
        "gguf": (gguf, []),
        "gguf, own attention": (gguf, ["--attention", "own"]),
        "safetensors, chunks of 7": (hf, ["--chunk", "7"]),
    }
    if name == "long":
        variants = {"gguf": (gguf, []), "safetensors, one chunk": (hf, ["--chunk", str(LONG_PROMPT)])}
    results = {what: engine_logits(engine, model, tokens, generate, folder, *extra)
               for what, (model, extra) in variants.items()}
    generated = next(iter(results.values()))[1]
    expected = reference_logits(hf, tokens, generated[:-1])
    with safetensors.safe_open(os.path.join(hf, "model.safetensors"), "numpy") as file:
        good = check_gguf_package(gguf, len(file.keys()))
    for what, (logits, ids) in results.items():
        good &= check(name, what, logits, expected)
        if ids != generated or len(ids) != generate:
            print(f"FAIL {name}: {what} generated {ids}, not {generated}")
            good = False
    if name in BF16_CASES:
        good &= check_bf16(engine, name, hf, folder, tokens)
    return good


def check_bf16(engine, name, hf, folder, tokens):
    """bfloat16 storage costs the engine what it costs transformers: not much more, and not nothing."""
    exact = engine_logits(engine, hf, tokens, 1, folder)[0]
    rounded = engine_logits(engine, hf, tokens, 1, folder, "--dtype", "bf16")[0]
    theirs = nmse(reference_logits(hf, tokens, [], torch.bfloat16), exact)
    ours = nmse(rounded, exact)
    good = theirs / 5 < ours < theirs * 5
    print(f"{'ok  ' if good else 'FAIL'} {name:16} bf16 storage: nmse {ours:.2e}, transformers' {theirs:.2e}")
    return good


def check_gguf_package(path, tensors):
    """PyPI's gguf reads the file: all tensors, the vocabulary."""
    try:
        import gguf
    except ImportError:
        return True
    reader = gguf.GGUFReader(path)
    good = len(reader.tensors) == tensors and len(reader.fields["tokenizer.ggml.tokens"].data) == 331
    print(f"{'ok  ' if good else 'FAIL'} {os.path.basename(path)}: read by the gguf package")
    return good


def main():
    engine, maker = sys.argv[1:3]
    names = sys.argv[3:] or list(CASES)
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        failed = [name for name in names if not run_case(engine, maker, name, CASES[name], folder)]
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
