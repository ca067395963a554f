#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Tiny models of transformers with random weights, one per family: what tests of families start from.

make(family, folder, seed) writes config.json and safetensors; model(family, seed) gives the module. No two axes
of a model are alike where the family allows it, windows are shorter than a test's prompt, and every parameter is
random: norms of ones, biases of zeros and scales of one, as transformers initialises them, would hide an error in
just those. Anything of a configuration can be given otherwise: make("llama", folder, hidden_size=256).

Also a program: tiny_models.py FAMILY FOLDER [--seed N] [--set key=value …].
"""
import argparse
import json
import math
import os
import sys
import tempfile

# Sizes of most decoders. Products of head size and heads differ from the hidden size, a head's root is no integer.
DECODER = dict(vocab_size=331, hidden_size=192, intermediate_size=352, num_hidden_layers=3, num_attention_heads=6,
               num_key_value_heads=2, head_dim=32, max_position_embeddings=2048, rms_norm_eps=1e-5,
               tie_word_embeddings=False, bos_token_id=1, eos_token_id=2, pad_token_id=0)
EXPERTS = dict(num_experts=6, num_experts_per_tok=2, moe_intermediate_size=96)
ALTERNATING = ["sliding_attention", "full_attention"]


def rope(theta, **scaling):
    return {"rope_theta": theta, "rope_type": "default", **scaling}


# family: (class of the model, class of its configuration, members of the configuration beside their defaults)
FAMILIES = {
    "llama": ("LlamaForCausalLM", "LlamaConfig", {**DECODER, "rope_parameters": rope(10000.0)}),
    "llama3": ("LlamaForCausalLM", "LlamaConfig", {
        **DECODER, "rope_parameters": rope(500000.0, rope_type="llama3", factor=8.0, low_freq_factor=1.0,
                                           high_freq_factor=4.0, original_max_position_embeddings=128)}),
    "mistral": ("MistralForCausalLM", "MistralConfig", {
        **DECODER, "sliding_window": 16, "rope_parameters": rope(20000.0)}),
    "mixtral": ("MixtralForCausalLM", "MixtralConfig", {
        **DECODER, "num_local_experts": 6, "num_experts_per_tok": 2, "intermediate_size": 96,
        "rope_parameters": rope(1000000.0)}),
    "qwen2": ("Qwen2ForCausalLM", "Qwen2Config", {**DECODER, "rope_parameters": rope(1000000.0)}),
    "qwen2_moe": ("Qwen2MoeForCausalLM", "Qwen2MoeConfig", {
        **DECODER, **EXPERTS, "shared_expert_intermediate_size": 160, "decoder_sparse_step": 1,
        "norm_topk_prob": False, "rope_parameters": rope(1000000.0)}),
    "qwen3": ("Qwen3ForCausalLM", "Qwen3Config", {
        **DECODER, "tie_word_embeddings": True, "rope_parameters": rope(1000000.0)}),
    "qwen3_moe": ("Qwen3MoeForCausalLM", "Qwen3MoeConfig", {
        **DECODER, **EXPERTS, "decoder_sparse_step": 1, "norm_topk_prob": True,
        "rope_parameters": rope(1000000.0)}),
    "gemma": ("GemmaForCausalLM", "GemmaConfig", {
        **DECODER, "tie_word_embeddings": True, "hidden_act": "gelu_pytorch_tanh",
        "hidden_activation": "gelu_pytorch_tanh", "rope_parameters": rope(10000.0)}),
    "gemma2": ("Gemma2ForCausalLM", "Gemma2Config", {
        **DECODER, "num_hidden_layers": 4, "tie_word_embeddings": True, "sliding_window": 16,
        "query_pre_attn_scalar": 48, "attn_logit_softcapping": 5.0, "final_logit_softcapping": 3.0,
        "layer_types": ALTERNATING * 2, "rope_parameters": rope(10000.0)}),
    "gemma3": ("Gemma3ForCausalLM", "Gemma3TextConfig", {
        **DECODER, "num_hidden_layers": 6, "tie_word_embeddings": True, "sliding_window": 16,
        "query_pre_attn_scalar": 48, "layer_types": ["sliding_attention"] * 5 + ["full_attention"],
        "rope_parameters": {"full_attention": rope(1000000.0, rope_type="linear", factor=8.0),
                            "sliding_attention": rope(10000.0)}}),
    "gemma3_vision": ("Gemma3ForConditionalGeneration", "Gemma3Config", {
        "text_config": {**DECODER, "num_hidden_layers": 6, "tie_word_embeddings": True, "sliding_window": 16,
                        "query_pre_attn_scalar": 48, "layer_types": ["sliding_attention"] * 5 + ["full_attention"]},
        "vision_config": {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 1, "num_attention_heads": 2,
                          "image_size": 28, "patch_size": 14, "vision_use_head": False},
        "mm_tokens_per_image": 4, "image_token_index": 330, "boi_token_index": 328, "eoi_token_index": 329}),
    "gemma3n": ("Gemma3nForCausalLM", "Gemma3nTextConfig", {
        **DECODER, "num_hidden_layers": 6, "intermediate_size": [352] * 6, "tie_word_embeddings": True,
        "sliding_window": 16, "layer_types": (["sliding_attention"] * 2 + ["full_attention"]) * 2,
        "vocab_size_per_layer_input": 323, "hidden_size_per_layer_input": 24, "laurel_rank": 16,
        "num_kv_shared_layers": 2, "activation_sparsity_pattern": [0.9, 0.9, 0.0, 0.0, 0.0, 0.0],
        "final_logit_softcapping": 3.0, "altup_num_inputs": 4, "altup_active_idx": 0,
        "rope_parameters": {"full_attention": rope(1000000.0), "sliding_attention": rope(10000.0)}}),
    "phi3": ("Phi3ForCausalLM", "Phi3Config", {
        **{k: v for k, v in DECODER.items() if k != "head_dim"}, "hidden_size": 192, "sliding_window": 16,
        "original_max_position_embeddings": 2048, "rope_parameters": rope(10000.0)}),
    "phi3_long": ("Phi3ForCausalLM", "Phi3Config", {
        **{k: v for k, v in DECODER.items() if k != "head_dim"}, "hidden_size": 192, "sliding_window": None,
        "max_position_embeddings": 2048, "original_max_position_embeddings": 64,
        "rope_parameters": rope(10000.0, rope_type="longrope", short_factor=[1 + 0.05 * i for i in range(16)],
                                long_factor=[1.5 + 0.4 * i for i in range(16)],
                                original_max_position_embeddings=64)}),
    "gpt2": ("GPT2LMHeadModel", "GPT2Config", {
        "vocab_size": 331, "n_positions": 1024, "n_embd": 192, "n_layer": 3, "n_head": 6, "n_inner": 352,
        "bos_token_id": 1, "eos_token_id": 2}),
    "gpt_neox": ("GPTNeoXForCausalLM", "GPTNeoXConfig", {
        "vocab_size": 331, "hidden_size": 192, "intermediate_size": 352, "num_hidden_layers": 3,
        "num_attention_heads": 6, "max_position_embeddings": 2048, "use_parallel_residual": True,
        "rope_parameters": rope(10000.0, partial_rotary_factor=0.25), "bos_token_id": 1, "eos_token_id": 2}),
    "bert": ("BertModel", "BertConfig", {
        "vocab_size": 331, "hidden_size": 192, "intermediate_size": 352, "num_hidden_layers": 3,
        "num_attention_heads": 6, "max_position_embeddings": 512}),
    "olmo2": ("Olmo2ForCausalLM", "Olmo2Config", {
        **{k: v for k, v in DECODER.items() if k != "head_dim"}, "rope_parameters": rope(500000.0)}),
    "olmo3": ("Olmo3ForCausalLM", "Olmo3Config", {
        **{k: v for k, v in DECODER.items() if k != "head_dim"}, "num_hidden_layers": 4, "sliding_window": 16,
        "layer_types": ["sliding_attention"] * 3 + ["full_attention"],
        "rope_parameters": {"sliding_attention": rope(500000.0), "full_attention": rope(
            500000.0, rope_type="yarn", factor=8.0, original_max_position_embeddings=256, beta_fast=32.0,
            beta_slow=1.0, attention_factor=1.2079441541679836)}}),
    "smollm3": ("SmolLM3ForCausalLM", "SmolLM3Config", {
        **{k: v for k, v in DECODER.items() if k != "head_dim"}, "num_hidden_layers": 4, "tie_word_embeddings": True,
        "rope_parameters": rope(5000000.0)}),
    "glm4": ("Glm4ForCausalLM", "Glm4Config", {
        **DECODER, "attention_bias": True, "rope_parameters": rope(10000.0, partial_rotary_factor=0.5)}),
    "granite": ("GraniteForCausalLM", "GraniteConfig", {
        **{k: v for k, v in DECODER.items() if k != "head_dim"}, "embedding_multiplier": 12.0,
        "logits_scaling": 8.0, "residual_multiplier": 0.22, "attention_multiplier": 0.05,
        "rope_parameters": rope(10000.0)}),
    "cohere": ("CohereForCausalLM", "CohereConfig", {
        **{k: v for k, v in DECODER.items() if k not in ("head_dim", "rms_norm_eps")}, "layer_norm_eps": 1e-5,
        "tie_word_embeddings": True, "logit_scale": 0.0625, "use_qk_norm": False,
        "rope_parameters": rope(10000.0)}),
    "olmoe": ("OlmoeForCausalLM", "OlmoeConfig", {
        **{k: v for k, v in DECODER.items() if k != "head_dim"}, "num_experts": 6, "num_experts_per_tok": 2,
        "intermediate_size": 96, "norm_topk_prob": False, "rope_parameters": rope(10000.0)}),
    "granite_moe": ("GraniteMoeForCausalLM", "GraniteMoeConfig", {
        **{k: v for k, v in DECODER.items() if k != "head_dim"}, "num_local_experts": 6, "num_experts_per_tok": 2,
        "intermediate_size": 96, "embedding_multiplier": 12.0, "logits_scaling": 8.0, "residual_multiplier": 0.22,
        "attention_multiplier": 0.05, "rope_parameters": rope(10000.0)}),
    "cohere2": ("Cohere2ForCausalLM", "Cohere2Config", {
        **{k: v for k, v in DECODER.items() if k not in ("head_dim", "rms_norm_eps")}, "layer_norm_eps": 1e-5,
        "num_hidden_layers": 4, "tie_word_embeddings": True, "logit_scale": 0.0625, "sliding_window": 16,
        "layer_types": ["sliding_attention"] * 3 + ["full_attention"], "rope_parameters": rope(10000.0)}),
    "gpt_oss": ("GptOssForCausalLM", "GptOssConfig", {
        **DECODER, "num_hidden_layers": 4, "num_local_experts": 6, "num_experts_per_tok": 2,
        "intermediate_size": 96, "sliding_window": 16, "layer_types": ALTERNATING * 2,
        "rope_parameters": rope(150000.0, rope_type="yarn", factor=32.0, beta_fast=32.0, beta_slow=1.0,
                                truncate=False, original_max_position_embeddings=64)}),
    "deepseek_v2": ("DeepseekV2ForCausalLM", "DeepseekV2Config", {
        **{k: v for k, v in DECODER.items() if k != "head_dim"}, "num_key_value_heads": 6, "n_routed_experts": 6,
        "num_experts_per_tok": 2, "n_shared_experts": 2, "moe_intermediate_size": 96, "first_k_dense_replace": 1,
        "q_lora_rank": None, "kv_lora_rank": 64, "qk_nope_head_dim": 32, "qk_rope_head_dim": 16, "v_head_dim": 24,
        "topk_method": "greedy", "n_group": 1, "topk_group": 1, "norm_topk_prob": False,
        "routed_scaling_factor": 1.0, "rope_parameters": rope(10000.0)}),
    "deepseek_v3": ("DeepseekV3ForCausalLM", "DeepseekV3Config", {
        **{k: v for k, v in DECODER.items() if k != "head_dim"}, "num_key_value_heads": 6, "n_routed_experts": 8,
        "num_experts_per_tok": 3, "n_shared_experts": 1, "moe_intermediate_size": 96, "first_k_dense_replace": 1,
        "q_lora_rank": 96, "kv_lora_rank": 64, "qk_nope_head_dim": 32, "qk_rope_head_dim": 16, "v_head_dim": 24,
        "n_group": 4, "topk_group": 2, "norm_topk_prob": True, "routed_scaling_factor": 2.5,
        "rope_parameters": rope(10000.0)}),
    "bloom": ("BloomForCausalLM", "BloomConfig", {
        "vocab_size": 331, "hidden_size": 192, "n_layer": 3, "n_head": 6, "bos_token_id": 1, "eos_token_id": 2}),
    "nanochat": ("NanoChatForCausalLM", "NanoChatConfig", {
        "vocab_size": 331, "hidden_size": 192, "intermediate_size": 352, "num_hidden_layers": 3,
        "num_attention_heads": 6, "num_key_value_heads": 2, "max_position_embeddings": 2048, "rms_norm_eps": 1e-5,
        "final_logit_softcapping": 3.0, "tie_word_embeddings": False, "bos_token_id": 1, "eos_token_id": 2,
        "pad_token_id": 0, "rope_parameters": rope(10000.0)}),
    "mpt": ("MptForCausalLM", "MptConfig", {
        "vocab_size": 331, "d_model": 192, "n_layers": 3, "n_heads": 6, "expansion_ratio": 4, "max_seq_len": 2048}),
    "whisper": ("WhisperForConditionalGeneration", "WhisperConfig", {
        "vocab_size": 331, "num_mel_bins": 20, "d_model": 192, "encoder_layers": 2, "decoder_layers": 3,
        "encoder_attention_heads": 6, "decoder_attention_heads": 6, "encoder_ffn_dim": 352,
        "decoder_ffn_dim": 320, "max_source_positions": 50, "max_target_positions": 128, "pad_token_id": 0,
        "bos_token_id": 1, "eos_token_id": 2, "decoder_start_token_id": 3, "suppress_tokens": None,
        "begin_suppress_tokens": None}),
}


def families():
    return tuple(FAMILIES)


def configuration(family, **members):
    import transformers
    _, name, own = FAMILIES[family]
    return getattr(transformers, name)(**{**own, **members})


def spread(name, tensor, torch):
    """Random values of a size that makes each kind of parameter matter."""
    noise = torch.randn(tensor.shape, dtype=torch.float64)
    if tensor.dim() >= 2:
        rows = "embed" in name or name.rsplit(".", 2)[-2] in ("wte", "wpe")
        inputs = math.prod(tensor.shape[1:]) if "conv" in name else tensor.shape[-1]
        return noise * (0.6 if rows else 1.6 / math.sqrt(inputs))
    if name.endswith("bias") or tensor.dim() == 0:
        return 0.2 * noise
    # Norms, and vectors of a channel's scale: near what transformers starts from, 0 for norms stored as w - 1.
    return tensor.double() + 0.3 * noise


def randomise(module, seed):
    import torch
    torch.manual_seed(seed)
    seen = set()  # tied parameters are one
    with torch.no_grad():
        tensors = list(module.named_parameters())
        tensors += [(n, b) for n, b in module.named_buffers() if n.endswith("e_score_correction_bias")]
        for name, tensor in tensors:
            if tensor.data_ptr() in seen:
                continue
            seen.add(tensor.data_ptr())
            tensor.copy_(spread(name, tensor, torch))
    return module


def model(family, seed=7, **members):
    """The module, float32, in evaluation mode, with eager attention."""
    import torch
    import transformers
    transformers.utils.logging.disable_progress_bar()
    torch.manual_seed(seed)
    config = configuration(family, **members)
    config._attn_implementation = "eager"
    return randomise(getattr(transformers, FAMILIES[family][0])(config), seed).eval()


def make(family, folder, seed=7, **members):
    """Writes the model, whole or not at all: several tests may start at once. Gives the folder back."""
    if os.path.exists(os.path.join(folder, "config.json")):
        return folder
    parent = os.path.dirname(os.path.abspath(folder))
    os.makedirs(parent, exist_ok=True)
    made = tempfile.mkdtemp(dir=parent)
    model(family, seed, **members).save_pretrained(made)
    try:
        os.rename(made, folder)
    except OSError:
        if not os.path.exists(os.path.join(folder, "config.json")):
            raise
    return folder


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("family", choices=families())
    parser.add_argument("folder")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    arguments = parser.parse_args()
    members = {}
    for setting in arguments.set:
        key, _, value = setting.partition("=")
        try:
            members[key] = json.loads(value)
        except ValueError:
            members[key] = value
    make(arguments.family, arguments.folder, arguments.seed, **members)


if __name__ == "__main__":
    try:
        main()
    except ImportError as missing:
        print(f"skipped: {missing}")
        sys.exit(77)
