# SPDX-License-Identifier: Apache-2.0
"""LoRA adapters against PEFT's own merge, and GGUF adapters against the definition of their format in NumPy.
77: torch, transformers or safetensors missing."""
import json
import os
import sys

try:
    import gguf
    import numpy as np
    import torch
    import transformers
    from safetensors.torch import load_file, save_file
except ImportError as missing:
    print(f"skipped: {missing}")
    sys.exit(77)
try:
    import peft
except ImportError as missing:
    print(f"skipped: {missing}")
    sys.exit(77)

from reading import check, dump, main, near, refused

torch.manual_seed(3)
RANDOM = np.random.default_rng(3)


def llama():
    config = transformers.LlamaConfig(hidden_size=32, intermediate_size=48, num_hidden_layers=2, vocab_size=64,
                                      num_attention_heads=4, num_key_value_heads=2)
    return transformers.LlamaForCausalLM(config)


def gpt2():
    return transformers.GPT2LMHeadModel(transformers.GPT2Config(n_embd=32, n_layer=1, n_head=4, vocab_size=64,
                                                                n_positions=16))


def adapt(folder, base, **settings):
    """Saves base and a random adapter of it; the folders, and PEFT's merged weights."""
    model_folder, adapter_folder = os.path.join(folder, "base"), os.path.join(folder, "adapter")
    base.save_pretrained(model_folder)
    adapted = peft.get_peft_model(base, peft.LoraConfig(**settings))
    for name, parameter in adapted.named_parameters():
        if "lora_" in name or "modules_to_save" in name:
            torch.nn.init.normal_(parameter, std=0.2)
    adapted.save_pretrained(adapter_folder)
    merged = {name: value.double() for name, value in adapted.double().merge_and_unload().state_dict().items()}
    return model_folder, adapter_folder, merged


def compare(folder, base, changed, **settings):
    """`changed`: how many weights have the form of an adapter."""
    model_folder, adapter_folder, merged = adapt(folder, base, **settings)
    plain = dump(model_folder)
    found = dump(f"{model_folder}+{adapter_folder}")
    names = {name: next((known for known in (name, name.removeprefix("transformer.")) if known in found), None)
             for name in merged}
    for name, known in names.items():
        if known:
            near(found, known, merged[name], found[known][1], 1e-12, "peft")
    forms = [name for name, (_, form, _) in found.items() if form == "lora"]
    check(len(forms) == changed, f"{settings}: {len(forms)} weights changed: {forms}")
    differ = [name for name in found if not np.array_equal(found[name][2], plain[name][2])]
    check(set(forms) <= set(differ), f"{settings}: {set(forms) - set(differ)} stay as they are")
    half = dump(f"{model_folder}+{adapter_folder}=0.5")
    for name in forms:
        near(half, name, (plain[name][2] + found[name][2]) / 2, "lora", 1e-12, "half of it")
    return model_folder, adapter_folder


def test_peft(folder):
    compare(folder, llama(), 8, r=4, lora_alpha=12, target_modules=["q_proj", "v_proj", "up_proj", "o_proj"])


def test_peft_rslora(folder):
    compare(folder, llama(), 4, r=4, lora_alpha=3, use_rslora=True, target_modules=["q_proj", "down_proj"],
            rank_pattern={"down_proj": 2}, alpha_pattern={"layers.1.self_attn.q_proj": 5, ".*down.*": 7})


def test_peft_embedding(folder):
    """Embeddings have factors of their own; a head trained whole takes the model's place."""
    model, adapter = compare(folder, llama(), 2, r=4, lora_alpha=4, target_modules=["embed_tokens", "layers.0.mlp.up_proj"],
                             modules_to_save=["lm_head"])
    whole = load_file(os.path.join(adapter, "adapter_model.safetensors"))["base_model.model.lm_head.weight"]
    near(dump(f"{model}+{adapter}"), "lm_head.weight", whole, None, 0, "lm_head")


def test_peft_fan_in(folder):
    compare(folder, gpt2(), 2, r=4, lora_alpha=8, target_modules=["c_attn", "c_fc"], fan_in_fan_out=True)


def test_two_adapters(folder):
    model, adapter, _ = adapt(folder, llama(), r=4, lora_alpha=12, target_modules=["q_proj"])
    name = "model.layers.0.self_attn.q_proj.weight"
    plain, one = dump(model)[name][2], dump(f"{model}+{adapter}")[name][2]
    near(dump(f"{model}+{adapter}+{adapter}=-2.5"), name, plain - 1.5 * (one - plain), "lora", 1e-12, "two adapters")


def test_quantised_base(folder):
    """Values of the base are computed themselves."""
    model, adapter, _ = adapt(folder, llama(), r=4, lora_alpha=12, target_modules=["q_proj"])
    name = "model.layers.0.self_attn.q_proj.weight"
    update = dump(f"{model}+{adapter}")[name][2] - dump(model)[name][2]
    tensors = load_file(os.path.join(model, "model.safetensors"))
    codes = tensors[name].to(torch.float8_e4m3fn)
    tensors.update({name: codes, name + "_scale": torch.tensor(0.5)})
    save_file(tensors, os.path.join(model, "model.safetensors"))
    near(dump(f"{model}+{adapter}"), name, codes.double().numpy() * 0.5 + update, "lora", 1e-12, "fp8 base")


def test_refusals(folder):
    model, adapter, _ = adapt(folder, llama(), r=4, lora_alpha=12, target_modules=["q_proj"])
    weights, settings = os.path.join(adapter, "adapter_model.safetensors"), os.path.join(adapter, "adapter_config.json")
    tensors, config = load_file(weights), json.load(open(settings))
    first = next(name for name in tensors if "lora_A" in name)

    def try_out(words, tensors=tensors, **changes):
        save_file(tensors, weights)
        with open(settings, "w") as file:
            json.dump({**config, **changes}, file)
        refused(f"{model}+{adapter}", words)

    try_out("DoRA", use_dora=True)
    try_out("LOHA", peft_type="LOHA")
    try_out("lacks lora_B", {name: value for name, value in tensors.items() if name != first.replace("_A", "_B")})
    try_out("do not fit", {**tensors, first: torch.zeros(4, 31)})
    try_out("do not fit", {**tensors, first: torch.zeros(3, 32)})
    try_out("adapter of another model", {**tensors, "base_model.model.model.layers.7.x.weight": torch.zeros(4)})
    os.remove(settings)
    refused(f"{model}+{adapter}", "adapter_config.json")


# ---- GGUF ----

def write(path, tensors, **metadata):
    writer = gguf.GGUFWriter(path, "llama")
    for key, value in metadata.items():
        key = key.replace("__", ".")
        writer.add_string(key, value) if isinstance(value, str) else writer.add_float32(key, value)
    for name, value in tensors.items():
        writer.add_tensor(name, value)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def normal(*shape):
    return RANDOM.standard_normal(shape).astype(np.float32)


def test_gguf(folder):
    base = {"blk.0.attn_q.weight": normal(24, 32), "token_embd.weight": normal(50, 32)}
    model = write(os.path.join(folder, "base.gguf"), base)
    pairs = {"blk.0.attn_q.weight.lora_a": normal(4, 32), "blk.0.attn_q.weight.lora_b": normal(24, 4),
             "token_embd.weight.lora_a": normal(50, 4), "token_embd.weight.lora_b": normal(32, 4)}
    updates = {"blk.0.attn_q.weight": pairs["blk.0.attn_q.weight.lora_b"].astype(float) @
               pairs["blk.0.attn_q.weight.lora_a"],
               "token_embd.weight": pairs["token_embd.weight.lora_a"].astype(float) @
               pairs["token_embd.weight.lora_b"].T}
    path = os.path.join(folder, "adapter.gguf")
    for alpha, factor in ((10.0, 2.5), (0.0, 1.0)):
        write(path, pairs, general__type="adapter", adapter__type="lora", adapter__lora__alpha=alpha)
        for scale in (1, -0.25):
            found = dump(f"{model}+{path}={scale}")
            for name, update in updates.items():
                near(found, name, base[name] + scale * factor * update, "lora", 1e-12, f"gguf alpha {alpha}")
    write(path, pairs, general__type="adapter", adapter__type="control_vector")
    refused(f"{model}+{path}", "control_vector")
    refused(f"{model}+{model}", "no adapter")
    write(path, {**pairs, "blk.0.attn_q.bias": normal(24)}, general__type="adapter", adapter__type="lora")
    refused(f"{model}+{path}", "attn_q.bias")


main([test_peft, test_peft_rslora, test_peft_embedding, test_peft_fan_in, test_two_adapters, test_quantised_base,
      test_refusals, test_gguf])
