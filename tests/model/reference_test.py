# SPDX-License-Identifier: Apache-2.0
"""`tensortap ref` on quantised, adapted and PyTorch models gives the logits that transformers computes from the same
weights written out in full. 77: torch, transformers or peft missing."""
import glob
import os
import subprocess
import sys

try:
    import numpy as np
    import peft
    import torch
    import transformers
    from safetensors.torch import load_file, save_file
except ImportError as missing:
    print(f"skipped: {missing}")
    sys.exit(77)

from quantised_test import gptq_layer
from reading import check, main

torch.manual_seed(11)
TENSORTAP = os.path.join(os.environ["TENSORTAP_BUILD"], "bin", "tensortap")
TOKENS = [1, 5, 9, 33, 5]


def llama():
    config = transformers.LlamaConfig(hidden_size=64, intermediate_size=96, num_hidden_layers=2, vocab_size=64,
                                      num_attention_heads=4, num_key_value_heads=2)
    return transformers.LlamaForCausalLM(config)


def logits_of(model, folder, *options):
    """The largest difference of any value that the reference run kept from these logits, over the largest logit."""
    with torch.no_grad():
        wanted = model.double()(torch.tensor([TOKENS])).logits[0].numpy()
    out = os.path.join(folder, "reference")
    done = subprocess.run([TENSORTAP, "ref", os.path.join(folder, "model"), "--tokens", ",".join(map(str, TOKENS)), "-o",
                           out, *options], capture_output=True, text=True, timeout=60)
    check(done.returncode == 0, done.stderr)
    kept = [value.double().numpy() for path in glob.glob(out + "/**/*.safetensors", recursive=True)
            for value in load_file(path).values() if value.is_floating_point() and value.numel() == wanted.size]
    check(kept, "the reference kept no logits")
    return min(np.abs(value.reshape(wanted.shape) - wanted).max() for value in kept) / np.abs(wanted).max()


def compare(folder, model, what, *options):
    error = logits_of(model, folder, *options)
    check(error < 1e-6, f"{what}: logits differ by {error:.2g} of the largest")  # kept in f32


def quantised(folder, quantise):
    """The model with every matrix of its layers stored as `quantise` gives it: tensors by suffix, weight in full."""
    model, place = llama(), os.path.join(folder, "model")
    model.save_pretrained(place)
    state, tensors = model.state_dict(), load_file(os.path.join(place, "model.safetensors"))
    for name in [name for name, value in tensors.items() if value.dim() == 2 and "layers" in name]:
        parts, weight = quantise(tensors.pop(name))
        state[name].copy_(weight)
        tensors.update({name.removesuffix("weight") + suffix: value for suffix, value in parts.items()})
    save_file(tensors, os.path.join(place, "model.safetensors"))
    return model


def test_fp8(folder):
    def quantise(weight):
        scale = weight.abs().amax(1, keepdim=True) / 400
        codes = (weight / scale).to(torch.float8_e4m3fn)
        return {"weight": codes, "weight_scale": scale}, codes.double() * scale.double()
    compare(folder, quantised(folder, quantise).double(), "fp8")


def test_gptq(folder):
    def quantise(weight):
        layer, _ = gptq_layer(4, 32, True, weight.shape[1], weight.shape[0])
        layer["scales"] = layer["scales"] * np.float16(0.004)  # about as large as a model's
        spread = layer["scales"][layer["g_idx"]].astype(np.float32).T
        full = gptq_values(layer, weight.shape) * spread
        return {key: torch.from_numpy(value.copy()) for key, value in layer.items()}, torch.from_numpy(full)
    compare(folder, quantised(folder, quantise), "gptq")


def gptq_values(layer, shape):
    """code - zero of 4-bit tensors, [out, in]"""
    lanes = np.arange(0, 32, 4)
    codes = (layer["qweight"].T[:, :, None] >> lanes & 15).reshape(shape)
    zeros = (layer["qzeros"][:, :, None] >> lanes & 15).reshape(len(layer["qzeros"]), -1) + 1
    return (codes - zeros[layer["g_idx"]].T).astype(np.float32)


def test_adapter(folder):
    base = llama()
    base.save_pretrained(os.path.join(folder, "model"))
    adapted = peft.get_peft_model(base, peft.LoraConfig(r=4, lora_alpha=8, target_modules=["q_proj", "up_proj"]))
    for name, parameter in adapted.named_parameters():
        if "lora_" in name:
            torch.nn.init.normal_(parameter, std=0.1)
    adapter = os.path.join(folder, "adapter")
    adapted.save_pretrained(adapter)
    compare(folder, adapted.double().merge_and_unload(), "adapter", "--lora", adapter)


def test_pytorch(folder):
    model, place = llama(), os.path.join(folder, "model")
    model.save_pretrained(place)
    os.remove(os.path.join(place, "model.safetensors"))
    torch.save(model.state_dict(), os.path.join(place, "pytorch_model.bin"))
    compare(folder, model, "pytorch_model.bin")


main([test_fp8, test_gptq, test_adapter, test_pytorch])
