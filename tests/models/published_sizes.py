#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`tensortap params` of published configurations, without any weights, against the number of parameters that each model is
published with."""
import json
import os
import subprocess
import sys
import tempfile

COMMAND = os.path.join(os.environ["TENSORTAP_BUILD"], "bin", "tensortap")

MODELS = {  # name: (parameters, configuration)
    "llama-3.2-1b": (1_235_814_400, dict(
        architectures=["LlamaForCausalLM"], hidden_size=2048, intermediate_size=8192, num_hidden_layers=16,
        num_attention_heads=32, num_key_value_heads=8, head_dim=64, vocab_size=128256, tie_word_embeddings=True,
        rms_norm_eps=1e-05, rope_theta=500000.0, hidden_act="silu", max_position_embeddings=131072,
        attention_bias=False, mlp_bias=False, model_type="llama", rope_scaling={"factor": 32.0,
        "high_freq_factor": 4.0, "low_freq_factor": 1.0, "original_max_position_embeddings": 8192, "rope_type":
        "llama3"})),
    "mistral-7b": (7_241_732_096, dict(
        architectures=["MistralForCausalLM"], hidden_size=4096, intermediate_size=14336, num_hidden_layers=32,
        num_attention_heads=32, num_key_value_heads=8, vocab_size=32000, tie_word_embeddings=False,
        rms_norm_eps=1e-05, rope_theta=10000.0, sliding_window=4096, hidden_act="silu", model_type="mistral")),
    "mixtral-8x7b": (46_702_792_704, dict(
        architectures=["MixtralForCausalLM"], hidden_size=4096, intermediate_size=14336, num_hidden_layers=32,
        num_attention_heads=32, num_key_value_heads=8, vocab_size=32000, tie_word_embeddings=False,
        rms_norm_eps=1e-05, rope_theta=1000000.0, num_local_experts=8, num_experts_per_tok=2,
        sliding_window=None, hidden_act="silu", model_type="mixtral")),
    "qwen2.5-0.5b": (494_032_768, dict(
        architectures=["Qwen2ForCausalLM"], hidden_size=896, intermediate_size=4864, num_hidden_layers=24,
        num_attention_heads=14, num_key_value_heads=2, vocab_size=151936, tie_word_embeddings=True,
        rms_norm_eps=1e-06, rope_theta=1000000.0, hidden_act="silu", model_type="qwen2",
        use_sliding_window=False, sliding_window=32768, max_window_layers=21)),
    "qwen3-30b-a3b": (30_532_122_624, dict(
        architectures=["Qwen3MoeForCausalLM"], hidden_size=2048, intermediate_size=6144,
        moe_intermediate_size=768, num_hidden_layers=48, num_attention_heads=32, num_key_value_heads=4,
        head_dim=128, vocab_size=151936, tie_word_embeddings=False, rms_norm_eps=1e-06, rope_theta=1000000.0,
        num_experts=128, num_experts_per_tok=8, norm_topk_prob=True, decoder_sparse_step=1, mlp_only_layers=[],
        hidden_act="silu", model_type="qwen3_moe", sliding_window=None, use_sliding_window=False,
        attention_bias=False)),
    "gemma-2-2b": (2_614_341_888, dict(
        architectures=["Gemma2ForCausalLM"], hidden_size=2304, intermediate_size=9216, num_hidden_layers=26,
        num_attention_heads=8, num_key_value_heads=4, head_dim=256, vocab_size=256000, rms_norm_eps=1e-06,
        rope_theta=10000.0, query_pre_attn_scalar=256, sliding_window=4096, attn_logit_softcapping=50.0,
        final_logit_softcapping=30.0, hidden_activation="gelu_pytorch_tanh", hidden_act="gelu_pytorch_tanh",
        model_type="gemma2")),
    "gemma-3-1b": (999_885_952, dict(
        architectures=["Gemma3ForCausalLM"], hidden_size=1152, intermediate_size=6912, num_hidden_layers=26,
        num_attention_heads=4, num_key_value_heads=1, head_dim=256, vocab_size=262144, rms_norm_eps=1e-06,
        rope_theta=1000000, rope_local_base_freq=10000, query_pre_attn_scalar=256, sliding_window=512,
        sliding_window_pattern=6, hidden_activation="gelu_pytorch_tanh", model_type="gemma3_text")),
    "phi-3-mini": (3_821_079_552, dict(
        architectures=["Phi3ForCausalLM"], hidden_size=3072, intermediate_size=8192, num_hidden_layers=32,
        num_attention_heads=32, num_key_value_heads=32, vocab_size=32064, tie_word_embeddings=False,
        rms_norm_eps=1e-05, rope_theta=10000.0, sliding_window=2047, hidden_act="silu", model_type="phi3",
        rope_scaling=None, original_max_position_embeddings=4096, max_position_embeddings=4096)),
    "gpt2": (124_439_808, dict(
        architectures=["GPT2LMHeadModel"], n_embd=768, n_layer=12, n_head=12, n_positions=1024, n_ctx=1024,
        vocab_size=50257, layer_norm_epsilon=1e-05, activation_function="gelu_new", model_type="gpt2")),
    "pythia-70m": (70_426_624, dict(
        architectures=["GPTNeoXForCausalLM"], hidden_size=512, intermediate_size=2048, num_hidden_layers=6,
        num_attention_heads=8, vocab_size=50304, rotary_pct=0.25, rotary_emb_base=10000, layer_norm_eps=1e-05,
        use_parallel_residual=True, tie_word_embeddings=False, hidden_act="gelu", model_type="gpt_neox",
        max_position_embeddings=2048)),
    "bloom-560m": (559_214_592, dict(
        architectures=["BloomForCausalLM"], n_embed=1024, hidden_size=1024, n_layer=24, n_head=16,
        num_attention_heads=16, num_hidden_layers=24, vocab_size=250880, layer_norm_epsilon=1e-05,
        model_type="bloom")),
    "gpt-oss-20b": (20_914_757_184, dict(
        architectures=["GptOssForCausalLM"], hidden_size=2880, intermediate_size=2880, num_hidden_layers=24,
        num_attention_heads=64, num_key_value_heads=8, head_dim=64, vocab_size=201088, num_local_experts=32,
        num_experts_per_tok=4, experts_per_token=4, tie_word_embeddings=False, rms_norm_eps=1e-05,
        rope_theta=150000, sliding_window=128, swiglu_limit=7.0, attention_bias=True, model_type="gpt_oss",
        layer_types=["sliding_attention", "full_attention", "sliding_attention", "full_attention",
        "sliding_attention", "full_attention", "sliding_attention", "full_attention", "sliding_attention",
        "full_attention", "sliding_attention", "full_attention", "sliding_attention", "full_attention",
        "sliding_attention", "full_attention", "sliding_attention", "full_attention", "sliding_attention",
        "full_attention", "sliding_attention", "full_attention", "sliding_attention", "full_attention"],
        rope_scaling={"beta_fast": 32.0, "beta_slow": 1.0, "factor": 32.0, "original_max_position_embeddings":
        4096, "rope_type": "yarn", "truncate": False})),
    "deepseek-v3 without its prediction layers": (671_026_419_200, dict(
        architectures=["DeepseekV3ForCausalLM"], hidden_size=7168, intermediate_size=18432,
        moe_intermediate_size=2048, num_hidden_layers=61, num_attention_heads=128, num_key_value_heads=128,
        n_shared_experts=1, n_routed_experts=256, num_experts_per_tok=8, n_group=8, topk_group=4,
        first_k_dense_replace=3, moe_layer_freq=1, kv_lora_rank=512, q_lora_rank=1536, qk_nope_head_dim=128,
        qk_rope_head_dim=64, v_head_dim=128, vocab_size=129280, tie_word_embeddings=False, rms_norm_eps=1e-06,
        rope_theta=10000, routed_scaling_factor=2.5, scoring_func="sigmoid", topk_method="noaux_tc",
        norm_topk_prob=True, hidden_act="silu", model_type="deepseek_v3", rope_scaling={"beta_fast": 32,
        "beta_slow": 1, "factor": 40, "mscale": 1.0, "mscale_all_dim": 1.0, "original_max_position_embeddings":
        4096, "type": "yarn"})),
    "all-minilm-l6": (22_713_216, dict(
        architectures=["BertModel"], hidden_size=384, intermediate_size=1536, num_hidden_layers=6,
        num_attention_heads=12, vocab_size=30522, max_position_embeddings=512, type_vocab_size=2,
        layer_norm_eps=1e-12, hidden_act="gelu", model_type="bert")),
}


def total(configuration, folder):
    path = os.path.join(folder, "config.json")
    with open(path, "w", encoding="utf-8") as file:
        json.dump(configuration, file)
    done = subprocess.run([COMMAND, "params", path, "--json"], capture_output=True, text=True, timeout=60)
    return json.loads(done.stdout).get("parameters", done.stderr)


def main():
    failed = 0
    for name, (published, configuration) in MODELS.items():
        with tempfile.TemporaryDirectory() as folder:
            found = total(configuration, folder)
        print(f"{'ok  ' if found == published else 'FAIL'} {name}: {found}, published {published}")
        failed += found != published
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
