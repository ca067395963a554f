#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A Hugging Face folder as GGUF: the published rules of each family, with gguf's own names and writer.

convert(folder) gives an Image: metadata and tensors as they belong into the file, in numpy's axis order and f32.
Tests damage an image before image.write(path, type) rounds and writes it. What the rules are:
 - interleaved ropes: families whose engines rotate (2i, 2i + 1) get the rows of q and k of each head reordered from
   (i, i + n/2), those of biases too;
 - norms stored as w - 1 get one added;
 - Conv1D weights are transposed, fused projections get the order [q; k; v], experts are stacked along a first axis.

Also a program: convert.py FOLDER OUT.gguf [--type q8_0].
"""
import argparse
import json
import os
import re
import statistics
import sys

import numpy as np

try:
    import gguf
    from safetensors import safe_open
except ImportError as missing:
    print(f"skipped: {missing}")
    sys.exit(77)

QUANTISED = {name: getattr(gguf.GGMLQuantizationType, name.upper())
             for name in ("f32", "f16", "bf16", "q8_0", "q4_0", "q4_1", "q5_0", "q5_1")}


# ---- k-quants: gguf reads them only ----

def quantise_q4_k(x):
    """[.., 256 n] -> bytes [.., 144 n]: superblocks of 256 with f16 d and dmin, 8 six-bit scales and minima."""
    blocks = x.reshape(-1, 8, 32).astype(np.float64)
    low = np.minimum(blocks.min(-1), 0)
    steps = (blocks.max(-1) - low) / 15
    d = (steps.max(-1) / 63).astype(np.float16)
    dmin = ((-low).max(-1) / 63).astype(np.float16)
    divide = lambda a, b: np.divide(a, b, out=np.zeros_like(a), where=b > 0)
    scale = np.clip(np.rint(divide(steps, d.astype(np.float64)[:, None])), 0, 63).astype(np.uint8)
    least = np.clip(np.rint(divide(-low, dmin.astype(np.float64)[:, None])), 0, 63).astype(np.uint8)
    used = d.astype(np.float64)[:, None] * scale
    shifted = blocks + (dmin.astype(np.float64)[:, None] * least)[..., None]
    q = np.clip(np.rint(divide(shifted, np.broadcast_to(used[..., None], shifted.shape))), 0, 15).astype(np.uint8)
    packed = np.zeros((len(blocks), 12), np.uint8)
    packed[:, 0:4] = scale[:, 0:4] | (scale[:, 4:8] >> 4) << 6
    packed[:, 4:8] = least[:, 0:4] | (least[:, 4:8] >> 4) << 6
    packed[:, 8:12] = (scale[:, 4:8] & 15) | (least[:, 4:8] & 15) << 4
    nibbles = q[:, 0::2] | q[:, 1::2] << 4  # [blocks, 4, 32]
    out = np.concatenate([d[:, None].view(np.uint8), dmin[:, None].view(np.uint8), packed, nibbles.reshape(-1, 128)], -1)
    return out.reshape(*x.shape[:-1], -1)


class Image:
    """Metadata {key: value} and tensors {name: f32 array} of a GGUF file that is not written yet."""

    def __init__(self, arch):
        self.arch, self.metadata, self.tensors, self.stored = arch, {}, {}, {}

    def __setitem__(self, key, value):
        """Of the family's own metadata; None leaves it out."""
        if value is not None:
            self.metadata[f"{self.arch}.{key}"] = value

    def add(self, name, array):
        self.tensors[name] = np.ascontiguousarray(array, np.float32)

    def quantise(self, kind):
        """{name: (bytes, type)} of the matrices that `kind` can hold; tests damage these bytes."""
        for name, array in self.tensors.items():
            if name in self.stored or array.ndim < 2 or kind == "f32":
                continue
            if kind == "q4_k" and array.shape[-1] % 256 == 0:
                self.stored[name] = (quantise_q4_k(array), gguf.GGMLQuantizationType.Q4_K)
            elif kind in QUANTISED and array.shape[-1] % 32 == 0:
                self.stored[name] = (gguf.quants.quantize(array, QUANTISED[kind]), QUANTISED[kind])
        return self.stored

    def write(self, path, kind="f32"):
        self.quantise(kind)
        writer = gguf.GGUFWriter(path, self.arch)
        for key, value in self.metadata.items():
            self.write_value(writer, key, value)
        for name, array in self.tensors.items():
            if name in self.stored:
                writer.add_tensor(name, self.stored[name][0], raw_dtype=self.stored[name][1])
            else:
                writer.add_tensor(name, array)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        return path

    @staticmethod
    def write_value(writer, key, value):
        add = {bool: writer.add_bool, int: writer.add_uint32, float: writer.add_float32, str: writer.add_string,
               list: writer.add_array}
        add[type(value)](key, value)


class Source:
    """config.json and the tensors of a folder."""

    def __init__(self, folder):
        with open(os.path.join(folder, "config.json")) as file:
            self.config = json.load(file)
        with safe_open(os.path.join(folder, "model.safetensors"), "np") as file:
            self.tensors = {name: file.get_tensor(name).astype(np.float32) for name in file.keys()}

    def get(self, *keys, default=None):
        for key in keys:
            if self.config.get(key) is not None:
                return self.config[key]
        return default

    def rope(self, key, default=None, kind=None):
        rope = self.get("rope_parameters", default={})
        rope = rope.get(kind, rope) if kind else rope
        return rope.get(key, default)


# ---- moves ----

def to_pairs(array, heads):
    """Rows of each head from (i, i + n/2) to (2i, 2i + 1)."""
    half = array.shape[0] // heads // 2
    return array.reshape(heads, 2, half, *array.shape[1:]).swapaxes(1, 2).reshape(array.shape)


def split_by_head(array, heads):
    """[heads * 3 * n, ..] with q, k, v of each head together -> [q; k; v]."""
    parts = array.reshape(heads, 3, array.shape[0] // heads // 3, *array.shape[1:])
    return np.concatenate([parts[:, i].reshape(-1, *array.shape[1:]) for i in range(3)])


# ---- metadata ----

def common(source, image):
    layers = source.get("num_hidden_layers", "n_layer")
    heads = source.get("num_attention_heads", "n_head")
    hidden = source.get("hidden_size", "n_embd")
    image["block_count"] = layers
    image["context_length"] = source.get("max_position_embeddings", "n_positions", default=2048)
    image["embedding_length"] = hidden
    image["feed_forward_length"] = source.get("intermediate_size", "n_inner", default=4 * hidden)
    image["attention.head_count"] = heads
    image["attention.head_count_kv"] = source.get("num_key_value_heads", default=heads)
    image["attention.layer_norm_rms_epsilon"] = source.get("rms_norm_eps")
    image["attention.layer_norm_epsilon"] = source.get("layer_norm_eps", "layer_norm_epsilon", "layer_norm_eps")
    image["rope.freq_base"] = source.rope("rope_theta")
    image["vocab_size"] = source.get("vocab_size")
    if source.rope("rope_type") in ("linear", "yarn"):
        image["rope.scaling.type"] = source.rope("rope_type")
        image["rope.scaling.factor"] = source.rope("factor")
        image["rope.scaling.original_context_length"] = source.rope("original_max_position_embeddings")
    return layers, heads


def head_sizes(source, image, rope=True):
    size = source.get("head_dim", default=source.get("hidden_size") // source.get("num_attention_heads"))
    image["attention.key_length"] = image["attention.value_length"] = size
    if rope:
        image["rope.dimension_count"] = size


def experts(source, image):
    image["expert_count"] = source.get("num_local_experts", "num_experts", "n_routed_experts")
    image["expert_used_count"] = source.get("num_experts_per_tok")
    image["expert_feed_forward_length"] = source.get("moe_intermediate_size")


Image.__getitem__ = lambda self, key: self.metadata[f"{self.arch}.{key}"]


# ---- tensors ----

def names_of(arch, layers):
    number = next(a for a, name in gguf.MODEL_ARCH_NAMES.items() if name == arch)
    return gguf.get_tensor_name_map(number, layers)


def gguf_name(names, name):
    found = names.get_name(name, try_suffixes=(".weight", ".bias"))
    if found is None:
        raise KeyError(f"gguf has no name for {name}")
    return found


def stack_experts(tensors):
    """{name with experts' numbers taken out: stack} of the numbered ones, removed from `tensors`."""
    groups = {}
    for name in list(tensors):
        match = re.search(r"\.experts\.(\d+)\.", name)
        if match:
            groups.setdefault(name.replace(match[0], ".experts."), {})[int(match[1])] = tensors.pop(name)
    return {name: np.stack([parts[i] for i in sorted(parts)]) for name, parts in groups.items()}


PARTS = {"w1": "gate", "w2": "down", "w3": "up", "gate_proj": "gate", "down_proj": "down", "up_proj": "up"}


def plain(source, image, change=lambda name, array: array, skip=()):
    """Every tensor under gguf's name, changed by a rule of the family."""
    tensors = {n: a for n, a in source.tensors.items() if not any(re.search(s, n) for s in skip)}
    for name, array in stack_experts(tensors).items():
        layer, part = re.search(r"layers\.(\d+)\..*\.experts\.(\w+)\.weight", name).groups()
        image.add(f"blk.{layer}.ffn_{PARTS[part]}_exps.weight", array)
    names = names_of(image.arch, image["block_count"])
    for name, array in tensors.items():
        array = change(name, array)
        if name.endswith("shared_expert_gate.weight"):
            array = array.reshape(-1)
        image.add(gguf_name(names, name), array)


def pairs(source):
    heads, kv_heads = source.get("num_attention_heads"), source.get("num_key_value_heads")

    def change(name, array):
        if re.search(r"q_proj\.(weight|bias)", name):
            return to_pairs(array, heads)
        return to_pairs(array, kv_heads) if re.search(r"k_proj\.(weight|bias)", name) else array
    return change


def plus_one(name, array):
    return array + 1 if name.endswith("norm.weight") else array


# ---- families ----

def llama3_factors(source, size):
    """Of each frequency, as the published scaling rule has them: 1 above, `factor` below, between them blended."""
    theta, factor = source.rope("rope_theta"), source.rope("factor")
    low, high = source.rope("low_freq_factor"), source.rope("high_freq_factor")
    context = source.rope("original_max_position_embeddings")
    wavelength = 2 * np.pi * theta ** (np.arange(0, size, 2) / size)
    smooth = (context / wavelength - low) / (high - low)
    between = 1 / ((1 - smooth) / factor + smooth)
    return np.where(wavelength < context / high, 1, np.where(wavelength > context / low, factor, between))


def llama(source, image):
    common(source, image)
    head_sizes(source, image)
    image["attention.sliding_window"] = source.get("sliding_window")
    if source.get("num_local_experts"):
        experts(source, image)
    if source.rope("rope_type") == "llama3":
        image.add("rope_freqs.weight", llama3_factors(source, image["rope.dimension_count"]))
    plain(source, image, pairs(source))


def qwen(source, image):
    common(source, image)
    if source.get("head_dim"):
        head_sizes(source, image, rope=False)
    if source.get("num_experts", "num_local_experts"):
        experts(source, image)
        image["expert_shared_feed_forward_length"] = source.get("shared_expert_intermediate_size")
    plain(source, image)


def olmo3(source, image):
    qwen(source, image)
    image["attention.sliding_window"] = source.get("sliding_window")
    image["rope.freq_base"] = source.rope("rope_theta", kind="full_attention")
    image["rope.scaling.type"] = source.rope("rope_type", kind="full_attention")
    image["rope.scaling.factor"] = source.rope("factor", kind="full_attention")
    image["rope.scaling.original_context_length"] = source.rope("original_max_position_embeddings", kind="full_attention")


def glm4(source, image):
    common(source, image)
    head_sizes(source, image, rope=False)
    image["rope.dimension_count"] = int(source.get("head_dim") * source.rope("partial_rotary_factor", 0.5))
    plain(source, image)


def gemma(source, image):
    common(source, image)
    head_sizes(source, image, rope=False)
    image["attention.sliding_window"] = source.get("sliding_window")
    image["attn_logit_softcapping"] = source.get("attn_logit_softcapping")
    image["final_logit_softcapping"] = source.get("final_logit_softcapping")
    if source.get("model_type").startswith("gemma3"):
        image["rope.freq_base"] = source.rope("rope_theta", kind="full_attention")
        image["rope.freq_base_swa"] = source.rope("rope_theta", kind="sliding_attention")
        if source.rope("rope_type", kind="full_attention") == "linear":
            image["rope.scaling.type"] = "linear"
            image["rope.scaling.factor"] = source.rope("factor", kind="full_attention")
    plain(source, image, plus_one)


def gemma3n(source, image):
    common(source, image)
    head_sizes(source, image, rope=False)
    image["rope.freq_base"] = source.rope("rope_theta", kind="full_attention")
    image["rope.freq_base_swa"] = source.rope("rope_theta", kind="sliding_attention")
    image["attention.sliding_window"] = source.get("sliding_window")
    image["attention.sliding_window_pattern"] = [kind == "sliding_attention" for kind in source.get("layer_types")]
    image["attention.shared_kv_layers"] = source.get("num_kv_shared_layers")
    image["final_logit_softcapping"] = source.get("final_logit_softcapping")
    image["altup.active_idx"] = source.get("altup_active_idx")
    image["altup.num_inputs"] = source.get("altup_num_inputs")
    image["embedding_length_per_layer_input"] = source.get("hidden_size_per_layer_input")
    image["activation_sparsity_scale"] = [statistics.NormalDist().inv_cdf(s) if s else -np.inf
                                          for s in source.get("activation_sparsity_pattern")]
    for ours, theirs in (("altup_projections", "altup_proj"), ("altup_unembed_projections", "altup_unembd_proj")):
        stack = [source.tensors[n] for n in sorted(source.tensors) if f".{ours}." in n]
        image.add(f"{theirs}.weight", np.stack(stack))
    renamed = {n.replace("correct_output_scale", "correct_output_scale.weight"): a for n, a in source.tensors.items()}
    source.tensors = renamed
    plain(source, image, skip=(r"altup_projections", r"altup_unembed_projections"))


def phi3(source, image):
    common(source, image)
    size = source.get("hidden_size") // source.get("num_attention_heads")
    image["rope.dimension_count"] = int(size * source.rope("partial_rotary_factor", 1.0))
    image["attention.sliding_window"] = source.get("sliding_window")
    original = source.get("original_max_position_embeddings")
    image["rope.scaling.original_context_length"] = original
    if source.rope("rope_type") == "longrope":
        longer = source.get("max_position_embeddings") / original
        image["rope.scaling.attn_factor"] = float(np.sqrt(1 + np.log(longer) / np.log(original))) if longer > 1 else 1.0
        image.add("rope_factors_long.weight", source.rope("long_factor"))
        image.add("rope_factors_short.weight", source.rope("short_factor"))
    plain(source, image)


def gpt2(source, image):
    common(source, image)
    conv = re.compile(r"(c_attn|c_proj|c_fc)\.weight$")
    plain(source, image, lambda name, array: array.T if conv.search(name) else array, skip=(r"\.attn\.bias$", r"masked_bias"))


def gpt_neox(source, image):
    _, heads = common(source, image)
    size = source.get("hidden_size") // heads
    image["rope.dimension_count"] = int(size * source.rope("partial_rotary_factor", source.get("rotary_pct", default=0.25)))
    image["use_parallel_residual"] = source.get("use_parallel_residual", default=True)
    plain(source, image, lambda name, array: split_by_head(array, heads) if "query_key_value" in name else array,
          skip=(r"attention\.bias$", r"masked_bias", r"inv_freq"))


def bloom(source, image):
    _, heads = common(source, image)
    source.tensors = {name.removeprefix("transformer."): array for name, array in source.tensors.items()}
    plain(source, image, lambda name, array: split_by_head(array, heads) if "query_key_value" in name else array)


def bert(source, image):
    common(source, image)
    image["attention.causal"] = False
    plain(source, image, skip=(r"pooler", r"position_ids"))


def granite(source, image):
    llama(source, image)
    image["attention.scale"] = source.get("attention_multiplier")
    image["embedding_scale"] = source.get("embedding_multiplier")
    image["residual_scale"] = source.get("residual_multiplier")
    image["logit_scale"] = source.get("logits_scaling")


def granite_moe(source, image):
    experts(source, image)
    image["expert_feed_forward_length"] = None
    for name in [n for n in source.tensors if "block_sparse_moe" in n and "_linear" in n]:
        layer, array = re.search(r"layers\.(\d+)", name)[1], source.tensors.pop(name)
        if "output_linear" in name:
            image.add(f"blk.{layer}.ffn_down_exps.weight", array)
        else:
            half = array.shape[1] // 2  # gate over up
            image.add(f"blk.{layer}.ffn_gate_exps.weight", array[:, :half])
            image.add(f"blk.{layer}.ffn_up_exps.weight", array[:, half:])
    granite(source, image)


def mpt(source, image):
    attention = source.get("attn_config")
    image["block_count"], image["context_length"] = source.get("n_layers"), source.get("max_seq_len")
    image["embedding_length"] = source.get("d_model")
    image["feed_forward_length"] = source.get("expansion_ratio") * source.get("d_model")
    image["attention.head_count"] = source.get("n_heads")
    image["attention.layer_norm_epsilon"] = 1e-5
    image["attention.clamp_kqv"] = attention.get("clip_qkv")
    image["attention.max_alibi_bias"] = float(attention.get("alibi_bias_max") if attention.get("alibi") else 0)
    plain(source, image)


def cohere(source, image):
    common(source, image)
    if source.get("sliding_window"):
        head_sizes(source, image)
        image["attention.sliding_window"] = source.get("sliding_window")
    image["logit_scale"] = source.get("logit_scale")
    image["rope.scaling.type"] = "none"
    plain(source, image)


def gpt_oss(source, image):
    common(source, image)
    head_sizes(source, image, rope=False)
    experts(source, image)
    image["attention.sliding_window"] = source.get("sliding_window")
    image["expert_feed_forward_length"] = source.get("intermediate_size")
    image["rope.scaling.type"] = "yarn"
    image["rope.scaling.factor"] = source.rope("factor")
    image["rope.scaling.original_context_length"] = source.rope("original_max_position_embeddings")
    for name, array in source.tensors.items():
        match = re.match(r"model\.layers\.(\d+)\.mlp\.experts\.(gate_up|down)_proj(_bias)?$", name)
        if not match:
            continue
        layer, part, bias = match.groups()
        rows = array if bias else array.swapaxes(-1, -2)  # stored [experts, in, out]
        kind, axis = "bias" if bias else "weight", -1 if bias else -2
        if part == "down":
            image.add(f"blk.{layer}.ffn_down_exps.{kind}", rows)
        else:  # gate and up by turns
            for i, half in enumerate(("gate", "up")):
                image.add(f"blk.{layer}.ffn_{half}_exps.{kind}", np.take(rows, range(i, rows.shape[axis], 2), axis))
    names = names_of(image.arch, image["block_count"])
    for name, array in source.tensors.items():
        if ".mlp.experts." not in name:
            ours = gguf_name(names, name)
            image.add(ours + (".weight" if name.endswith("sinks") and not ours.endswith(".weight") else ""), array)


def deepseek(source, image):
    _, heads = common(source, image)
    nope, turned, value = (source.get(k) for k in ("qk_nope_head_dim", "qk_rope_head_dim", "v_head_dim"))
    latent = source.get("kv_lora_rank")
    experts(source, image)
    image["attention.head_count_kv"] = 1
    image["attention.q_lora_rank"] = source.get("q_lora_rank")
    image["attention.kv_lora_rank"] = latent
    image["attention.key_length"], image["attention.value_length"] = latent + turned, latent
    image["attention.key_length_mla"], image["attention.value_length_mla"] = nope + turned, value
    image["rope.dimension_count"] = turned
    image["leading_dense_block_count"] = source.get("first_k_dense_replace")
    image["expert_shared_count"] = source.get("n_shared_experts")
    image["expert_weights_scale"] = float(source.get("routed_scaling_factor"))
    image["expert_weights_norm"] = bool(source.get("norm_topk_prob"))
    scored = source.get("model_type") == "deepseek_v3"
    image["expert_gating_func"] = 2 if scored else 1
    if scored:
        image["expert_group_count"], image["expert_group_used_count"] = source.get("n_group"), source.get("topk_group")
    for name, array in source.tensors.items():
        if "kv_b_proj" in name:  # [heads * (nope + value), latent]: keys go to the other side of the product
            layer = re.search(r"layers\.(\d+)", name)[1]
            both = array.reshape(heads, nope + value, latent)
            image.add(f"blk.{layer}.attn_k_b.weight", both[:, :nope].swapaxes(1, 2))
            image.add(f"blk.{layer}.attn_v_b.weight", both[:, nope:])
    rename = {n.replace("e_score_correction_bias", "e_score_correction.bias"): a for n, a in source.tensors.items()}
    source.tensors = rename
    plain(source, image, skip=(r"kv_b_proj",))


RULES = {  # model_type of config.json: (gguf's name of the family, its rules)
    "llama": ("llama", llama), "mistral": ("llama", llama), "mixtral": ("llama", llama),
    "qwen2": ("qwen2", qwen), "qwen2_moe": ("qwen2moe", qwen), "qwen3": ("qwen3", qwen), "qwen3_moe": ("qwen3moe", qwen),
    "gemma": ("gemma", gemma), "gemma2": ("gemma2", gemma), "gemma3_text": ("gemma3", gemma),
    "gemma3n_text": ("gemma3n", gemma3n), "phi3": ("phi3", phi3), "gpt2": ("gpt2", gpt2), "gpt_neox": ("gptneox", gpt_neox),
    "bert": ("bert", bert), "olmo2": ("olmo2", qwen), "granite": ("granite", granite), "cohere": ("command-r", cohere),
    "gpt_oss": ("gpt-oss", gpt_oss), "deepseek_v2": ("deepseek2", deepseek), "deepseek_v3": ("deepseek2", deepseek),
    "bloom": ("bloom", bloom), "olmoe": ("olmoe", qwen), "granitemoe": ("granitemoe", granite_moe), "mpt": ("mpt", mpt),
    "cohere2": ("cohere2", cohere), "olmo3": ("olmo2", olmo3), "smollm3": ("smollm3", llama), "glm4": ("glm4", glm4),
}


def convert(folder):
    source = Source(folder)
    arch, rules = RULES[source.get("model_type")]
    image = Image(arch)
    rules(source, image)
    if "output.weight" in image.tensors and source.get("tie_word_embeddings"):
        del image.tensors["output.weight"]
    return image


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder")
    parser.add_argument("out")
    parser.add_argument("--type", default="f32", choices=[*QUANTISED, "q4_k"])
    arguments = parser.parse_args()
    convert(arguments.folder).write(arguments.out, arguments.type)


if __name__ == "__main__":
    main()
