#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""tensortap params: totals against the tensors of the files, a bare configuration against the file, replaced settings
against the published rule of the family that has them, caches against what transformers keeps."""
import json
import math
import os

from convert import safe_open
from files import convert, main, make, require, subprocess_of, tensortap, tiny_models


def parameters_in(folder):
    """Numbers in the file: transformers writes tied tensors once."""
    with safe_open(os.path.join(folder, "model.safetensors"), "np") as file:
        return sum(math.prod(file.get_slice(name).get_shape()) for name in file.keys())


def params(path, *options):
    status, document, done = tensortap("params", path, *options)
    require(status == 0, f"params {path}: exit {status}: {done.stderr}")
    require(document["schema"] == "tensortap.params/1", f"schema {document['schema']}")
    return document


def cached_values(family):
    """Values that one more token adds to transformers' cache, over all layers."""
    import torch
    model = tiny_models.model(family, **{"sliding_window": None} if family == "mistral" else {})
    with torch.no_grad():
        cache = model(input_ids=torch.arange(3, 8)[None], use_cache=True).past_key_values
    return sum(layer.keys[0, :, 0].numel() + layer.values[0, :, 0].numel() for layer in cache.layers)


def family(name):
    def case(folder):
        model = make(folder, name)
        document = params(model)
        count = parameters_in(model)
        require(document["parameters"] == count, f"{name}: {document['parameters']} parameters, the file has {count}")
        require(sum(row["parameters"] for row in document["components"]) == count, f"{name}: components do not add up")
        require(abs(sum(row["share"] for row in document["components"]) - 1) < 1e-9, f"{name}: shares do not add up")
        require([t["bytes"] for t in document["types"]] == [4 * count], f"{name}: types {document['types']}")
        bare = params(os.path.join(model, "config.json"))
        require(bare["parameters"] == count, f"{name}: {bare['parameters']} parameters by the configuration alone, {count}")
        require(bare["parameters_active"] == document["parameters_active"], f"{name}: active ones differ")
        require(bare["kv_cache"] == document["kv_cache"], f"{name}: caches differ")
        require(not bare["types"], "a configuration has no types")
    return name, case


def cache(folder):
    for name in ("llama", "mistral", "qwen3_moe", "gpt2", "gemma2"):
        document = params(make(folder, name))
        require(document["kv_cache"]["values_per_token"] == cached_values(name),
                f"{name}: {document['kv_cache']} a token, transformers keeps {cached_values(name)}")
    gemma = params(make(folder, "gemma2"), "--context", "100")["kv_cache"]
    each = gemma["values_per_token"] // 4  # every second of four layers keeps 16 tokens
    require(gemma["bytes_f16"] == 2 * each * (2 * 100 + 2 * 16), f"with windows: {gemma}")


def experts(folder):
    document = params(make(folder, "mixtral"))
    stacks = sum(r["parameters"] for r in document["components"] if r["component"].startswith("moe.expert."))
    require(stacks == 3 * 6 * 3 * 96 * 192, f"experts have {stacks} parameters")
    require(document["parameters"] - document["parameters_active"] == stacks * 4 // 6, "two of six experts are active")


def by_depth(depth, vocab):
    """nanochat: width 64 a layer, heads of 128, an MLP four times as wide, keys as many as queries, nothing tied."""
    width = 64 * depth
    return {"hidden": width, "heads": max(1, (width + 127) // 128), "total": 2 * vocab * width + depth * 12 * width * width}


def nanochat(folder):
    path = os.path.join(folder, "nanochat.json")
    with open(path, "w") as file:
        json.dump({"depth": 4, "sequence_len": 1024, "vocab_size": 50304}, file)
    for depth, vocab, options in ((4, 50304, ()), (20, 50304, ("--set", "depth=20")),
                                  (20, 65536, ("--set", "depth=20", "--set", "vocab=65536")),
                                  (12, 65536, ("--set", "depth=12", "--set", "vocab_size=65536"))):
        document, expected = params(path, *options), by_depth(depth, vocab)
        values = {entry["name"]: entry.get("value") for entry in document["configuration"]}
        require(document["parameters"] == expected["total"], f"depth {depth}: {document['parameters']}, {expected}")
        require(values["hidden"] == expected["hidden"] and values["heads"] == expected["heads"], f"depth {depth}: {values}")
    require(by_depth(20, 65536)["total"] == 560988160, "the configuration known as 561M")


def settings(folder):
    """What followed from a setting follows it, what was stated stays."""
    path = os.path.join(folder, "qwen2.json")
    stated = {"architectures": ["Qwen2ForCausalLM"], "hidden_size": 256, "num_attention_heads": 8, "num_key_value_heads": 2,
              "head_dim": 32, "intermediate_size": 512, "num_hidden_layers": 2, "vocab_size": 1000, "rms_norm_eps": 1e-6,
              "tie_word_embeddings": True}
    with open(path, "w") as file:
        json.dump(stated, file)
    before = params(path)
    layer = 256 * (256 + 2 * 64) + 256 + 2 * 64 + 256 * 256 + 3 * 256 * 512 + 2 * 256
    require(before["parameters"] == 1000 * 256 + 2 * layer + 256, f"{before['parameters']} parameters")
    require(before["parameters_tied"] == 1000 * 256, "the head is tied")
    after = {entry["name"]: entry for entry in params(path, "--set", "hidden_size=512")["configuration"]}
    require(after["head_dim"]["value"] == 64 and after["head_dim"]["source"] == "computed anew", f"{after['head_dim']}")
    require(after["kv_heads"]["value"] == 2 and after["ffn"]["value"] == 512, "stated sizes stay")


def quantised(folder):
    model = make(folder, "llama")
    path = convert.convert(model).write(os.path.join(folder, "llama.q8_0.gguf"), "q8_0")
    document = params(path)
    sizes = {t["dtype"]: t for t in document["types"]}
    require(document["parameters"] == parameters_in(model), "another number of parameters")
    require(sizes["q8_0"]["bytes"] * 32 == sizes["q8_0"]["parameters"] * 34, f"{sizes}")


def refused(folder):
    model = make(folder, "llama")
    for arguments, words in ((("--set", "hiden=3"), "hidden"), (("--set", "hidden"), "NAME=VALUE"),
                             (("--set", "hidden=-3"), "whole number"), (("--set", "layers=1e9"), "layers")):
        status, document, done = tensortap("params", model, *arguments)
        require(status == 2 and words in document["error"] and done.stderr.count("\n") == 1, f"{arguments}: {done}")
    empty = os.path.join(folder, "empty.json")
    with open(empty, "w") as file:
        file.write("{}")
    for path in (empty, os.path.join(folder, "none")):
        status, document, _ = tensortap("params", path)
        require(status == 2 and document["error"], f"{path}: {status}")


def readable(folder):
    text = subprocess_of("params", make(folder, "qwen3"))
    for words in ("tied to embed", "KV cache", "attn.q_proj", "total"):
        require(words in text, f"'{words}' is missing: {text}")


if __name__ == "__main__":
    known = [name for name in tiny_models.families() if name not in ("llada", "gemma3_vision")]  # of the latter the text alone
    main([*map(family, known), ("cache", cache), ("experts", experts), ("nanochat", nanochat), ("settings", settings),
          ("quantised", quantised), ("refused", refused), ("readable", readable)])
