#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Models with experts in all the forms in which files hold them: the reference run of each form is that of the plain
Hugging Face folder, which families.py holds against transformers.

GGUF with stacked experts (tests/models/convert.py); one tensor an expert, as old GGUF files have; gate and up as one
tensor; MXFP4 blocks, unpacked by transformers; keys and values of a latent as one tensor or two.

Usage: expert_files.py [CASE …]
"""
import os
import sys
import tempfile

from traced import COMMAND, HERE, main, require, run

sys.path[:0] = [os.path.join(HERE, "..", "support"), os.path.join(HERE, "..", "models")]
try:
    import numpy
    import torch
    import transformers
    from safetensors.torch import load_file, save_file
    from transformers.integrations.mxfp4 import convert_moe_packed_tensors
    import convert
    import reference_capture
    import tiny_models
except ImportError as missing:
    print(f"skipped: {missing}")
    sys.exit(77)

SAME = 1e-20  # NMSE of two f64 computations
TOKENS = ",".join(str(3 + (i * i * 31 + i * 17 + 5) % 320) for i in range(24))
# What metadata in f32 or by other rules would round is a power of two, or what all published models have.
SETTINGS = {
    "granite_moe": dict(residual_multiplier=0.25, attention_multiplier=0.0625),
    "deepseek_v2": dict(rms_norm_eps=1e-6),
    "deepseek_v3": dict(rms_norm_eps=1e-6),
}
FAMILIES = ("mixtral", "qwen2_moe", "qwen3_moe", "olmoe", "granite_moe", "gpt_oss", "deepseek_v2", "deepseek_v3")


def logits(model, folder):
    """[tokens, vocabulary] of a reference run."""
    out = os.path.join(tempfile.mkdtemp(dir=folder), "reference")
    made = run([COMMAND, "ref", model, "--tokens", TOKENS, "-o", out])
    require(made.returncode == 0, f"tensortap ref {model}: status {made.returncode}\n{made.stderr.decode()[-800:]}")
    [values] = reference_capture.read(out)
    return values[-1, "logits"] if (-1, "logits") in values else values[-1, "lm_head"]


def same(form, plain, folder, what):
    found, wanted = logits(form, folder), logits(plain, folder)
    error = ((found - wanted) ** 2).sum() / (wanted ** 2).sum()
    require(error <= SAME, f"{what}: NMSE {error:.3g} from the plain model")


def made(family, folder):
    return tiny_models.make(family, os.path.join(folder, family), **SETTINGS.get(family, {}))


def gguf_files(folder):
    for family in FAMILIES:
        plain = made(family, folder)
        same(convert.convert(plain).write(os.path.join(folder, family + ".gguf")), plain, folder, family)


def apart_in_gguf(folder):
    plain = made("mixtral", folder)
    image = convert.convert(plain)
    for name in [name for name in image.tensors if "_exps." in name]:
        for expert, array in enumerate(image.tensors.pop(name)):
            image.add(name.replace("_exps.", f".{expert}."), array)
    same(image.write(os.path.join(folder, "apart.gguf")), plain, folder, "one tensor an expert")


def latent_in_one(folder):
    plain = made("deepseek_v2", folder)
    image = convert.convert(plain)
    for name in [name for name in image.tensors if "attn_k_b" in name]:
        keys, values = image.tensors.pop(name).swapaxes(1, 2), image.tensors.pop(name.replace("attn_k_b", "attn_v_b"))
        joined = numpy.concatenate([keys, values], 1)
        image.add(name.replace("attn_k_b", "attn_kv_b"), joined.reshape(-1, joined.shape[-1]))
    same(image.write(os.path.join(folder, "joined.gguf")), plain, folder, "keys and values of the latent in one tensor")


def rewritten(plain, other, change):
    """A copy of the folder with other tensors."""
    os.makedirs(other)
    with open(os.path.join(plain, "config.json")) as old, open(os.path.join(other, "config.json"), "w") as new:
        new.write(old.read())
    tensors = load_file(os.path.join(plain, "model.safetensors"))
    save_file(change(tensors), os.path.join(other, "model.safetensors"), {"format": "pt"})
    return other


def fused(tensors):
    """As the module holds them: gate over up, stacked."""
    taken = {}
    for name in [name for name in tensors if ".experts." in name]:
        head, _, rest = name.partition(".experts.")
        number, part, _ = rest.split(".")
        taken.setdefault(head, {})[int(number), part] = tensors.pop(name)
    for head, parts in taken.items():
        numbers = sorted({number for number, _ in parts})
        stack = [torch.cat([parts[n, "gate_proj"], parts[n, "up_proj"]]) for n in numbers]
        tensors[head + ".experts.gate_up_proj"] = torch.stack(stack)
        tensors[head + ".experts.down_proj"] = torch.stack([parts[n, "down_proj"] for n in numbers])
    return tensors


def fused_in_folder(folder):
    for family in ("qwen3_moe", "deepseek_v3"):
        plain = made(family, folder)
        same(rewritten(plain, os.path.join(folder, family + "_fused"), fused), plain, folder, f"{family}, gate over up")


def mxfp4_blocks(folder):
    generator = torch.Generator().manual_seed(5)

    def packed(tensors):
        for name in [name for name in tensors if name.endswith(("experts.gate_up_proj", "experts.down_proj"))]:
            experts, inputs, outputs = tensors.pop(name).shape
            shape = experts, outputs, inputs // 32
            tensors[name + "_blocks"] = torch.randint(0, 256, (*shape, 16), generator=generator, dtype=torch.uint8)
            tensors[name + "_scales"] = torch.randint(121, 126, shape, generator=generator, dtype=torch.uint8)
        return tensors

    def unpacked(tensors):
        for name in [name for name in tensors if name.endswith("_blocks")]:
            scales = tensors.pop(name.replace("_blocks", "_scales"))
            values = convert_moe_packed_tensors(tensors.pop(name), scales, dtype=torch.float32)
            tensors[name.removesuffix("_blocks")] = values.contiguous()
        return tensors

    blocks = rewritten(made("gpt_oss", folder), os.path.join(folder, "blocks"), packed)
    same(blocks, rewritten(blocks, os.path.join(folder, "unpacked"), unpacked), folder, "MXFP4")


CASES = {case.__name__: case for case in (gguf_files, apart_in_gguf, latent_in_one, fused_in_folder, mxfp4_blocks)}


def in_folder(case):
    def run_case():
        with tempfile.TemporaryDirectory() as folder:
            case(folder)
    return run_case


if __name__ == "__main__":
    transformers.logging.set_verbosity_error()
    main({name: in_folder(case) for name, case in CASES.items()})
