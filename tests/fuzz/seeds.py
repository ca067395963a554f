# SPDX-License-Identifier: Apache-2.0
"""Seeds for model_fuzz, written by the libraries that people's files come from: seeds.py FOLDER fills
FOLDER/TARGET with good cases and FOLDER/TARGET.beside with what lies beside each. Exit 77 without the libraries."""
import json
import os
import sys

try:
    import gguf
    import numpy as np
    import torch
    import safetensors.torch
    from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
except ImportError as missing:
    print(f"skipped: {missing}")
    sys.exit(77)

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))

LLAMA = {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 8, "intermediate_size": 16,
         "num_hidden_layers": 2, "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 4,
         "vocab_size": 32, "rms_norm_eps": 1e-5, "rope_theta": 1e4, "max_position_embeddings": 128, "tie_word_embeddings": False,
         "hidden_act": "silu", "bos_token_id": 1, "eos_token_id": 2}
TEXTS = ["The quick brown fox jumps over the lazy dog.", "Zoë naïve café — 1234 5678", "def f(x):\n    return x + 1\n",
         "日本語のテキスト 한국어", "🙂👩‍👩‍👧 emoji", "   spaces\t\ttabs\r\n"] * 3


def place(root, target, name, data):
    folder = os.path.join(root, target)
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, name), "wb") as file:
        file.write(data if isinstance(data, bytes) else json.dumps(data).encode())


def llama(random):
    """{name: array} of the model that LLAMA describes."""
    weight = lambda *shape: random.standard_normal(shape).astype(np.float32)
    tensors = {"model.embed_tokens.weight": weight(32, 8), "model.norm.weight": weight(8),
               "lm_head.weight": weight(32, 8)}
    shapes = {"self_attn.q_proj": (8, 8), "self_attn.k_proj": (4, 8), "self_attn.v_proj": (4, 8),
              "self_attn.o_proj": (8, 8), "mlp.gate_proj": (16, 8), "mlp.up_proj": (16, 8), "mlp.down_proj": (8, 16),
              "input_layernorm": (8,), "post_attention_layernorm": (8,)}
    for layer in range(2):
        for name, shape in shapes.items():
            tensors[f"model.layers.{layer}.{name}.weight"] = weight(*shape)
    return tensors


def saved(tensors):
    return safetensors.torch.save({name: tensor if isinstance(tensor, torch.Tensor) else torch.from_numpy(tensor)
                                   for name, tensor in tensors.items()})


# ---- GGUF ----

GGUF_NAMES = {"self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
              "self_attn.o_proj": "attn_output", "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up",
              "mlp.down_proj": "ffn_down", "input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm"}


def gguf_name(name):
    if not name.startswith("model.layers."):
        return {"model.embed_tokens.weight": "token_embd.weight", "model.norm.weight": "output_norm.weight",
                "lm_head.weight": "output.weight"}[name]
    _, _, layer, rest = name.split(".", 3)
    return f"blk.{layer}.{GGUF_NAMES[rest.removesuffix('.weight')]}.weight"


def add_sizes(writer):
    writer.add_block_count(2)
    writer.add_embedding_length(8)
    writer.add_feed_forward_length(16)
    writer.add_head_count(2)
    writer.add_head_count_kv(1)
    writer.add_context_length(128)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_freq_base(10000.0)
    writer.add_vocab_size(32)


def add_tokens(writer, kind):
    letters = [f"tok{i}" if i % 3 else "▁ab"[:1 + i % 3] + str(i) for i in range(26)]
    tokens = ["<unk>", "<s>", "</s>"] + [f"<0x{i:02X}>" for i in range(3)] + letters
    writer.add_tokenizer_model(kind)
    writer.add_token_list(tokens)
    writer.add_token_types([2, 3, 3] + [6] * 3 + [1] * 26)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    if kind == "gpt2":
        writer.add_tokenizer_pre("llama-bpe")
        writer.add_token_merges(["t o", "to k", "a b"])
    else:
        writer.add_token_scores([0.0] * 6 + [-float(i) for i in range(26)])


def write_gguf(root, name, random, kind, quantisation=None):
    path = os.path.join(root, "scratch.gguf")
    writer = gguf.GGUFWriter(path, "llama")
    add_sizes(writer)
    add_tokens(writer, kind)
    for key, array in llama(random).items():
        writer.add_tensor(gguf_name(key), array)
    if quantisation:
        data = random.integers(0, 255, (2, gguf.GGML_QUANT_SIZES[quantisation][1]), dtype=np.uint8)
        writer.add_tensor("rest", data, raw_dtype=quantisation)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    with open(path, "rb") as file:
        place(root, "gguf", name, file.read())
    os.remove(path)


def gguf_seeds(root, random):
    for kind in ("llama", "gpt2", "bert"):
        write_gguf(root, kind, random, kind)
    for kind in ("Q4_0", "Q6_K", "IQ4_XS", "TQ1_0", "NVFP4", "IQ2_XXS"):
        write_gguf(root, kind, random, "llama", gguf.GGMLQuantizationType[kind])


# ---- safetensors and their configurations ----

def config_seeds(root, random):
    """Configurations of every family; the model beside them is a llama."""
    place(root, "config", "llama", LLAMA)
    place(root, "config.beside", "model.safetensors", saved(llama(random)))
    place(root, "safetensors", "llama", saved(llama(random)))
    place(root, "safetensors.beside", "config.json", LLAMA)
    try:
        import tiny_models
        import transformers
    except ImportError:
        return
    for family, (_, kind, members) in tiny_models.FAMILIES.items():
        try:
            place(root, "config", family, getattr(transformers, kind)(**members).to_json_string().encode())
        except Exception as error:  # a family that this version of transformers does not have
            print(f"no configuration of {family}: {error}")


def quantised(name, form, random):
    """The tensors of one linear layer [8, 16] in a quantised form, and the configuration's words on it."""
    words = lambda *shape: torch.from_numpy(random.integers(-2**31, 2**31, shape).astype(np.int32))
    scales = lambda *shape: torch.from_numpy(random.random(shape).astype(np.float32))
    if form == "fp8":
        return ({f"{name}.weight": scales(8, 16).to(torch.float8_e4m3fn), f"{name}.weight_scale_inv": scales(2, 4)},
                {"quant_method": "fp8", "weight_block_size": [4, 4]})
    if form == "gptq":
        return ({f"{name}.qweight": words(2, 8), f"{name}.qzeros": words(2, 1),
                 f"{name}.scales": scales(2, 8).half(), f"{name}.g_idx": torch.arange(16, dtype=torch.int32) // 8},
                {"quant_method": "gptq", "bits": 4, "group_size": 8, "desc_act": True, "sym": False})
    if form == "awq":
        return ({f"{name}.qweight": words(16, 1), f"{name}.qzeros": words(2, 1),
                 f"{name}.scales": scales(2, 8).half()},
                {"quant_method": "awq", "bits": 4, "group_size": 8, "version": "gemm", "zero_point": True})
    state = {"quant_type": "nf4", "blocksize": 64, "dtype": "float16", "shape": [8, 16]}
    text = torch.tensor(list(json.dumps(state).encode()), dtype=torch.uint8)
    return ({f"{name}.weight": torch.randint(0, 256, (64, 1), dtype=torch.uint8),
             f"{name}.weight.absmax": scales(2), f"{name}.weight.quant_map": scales(16),
             f"{name}.weight.quant_state.bitsandbytes__nf4": text},
            {"quant_method": "bitsandbytes", "load_in_4bit": True, "bnb_4bit_quant_type": "nf4"})


def quantised_seeds(root, random):
    for form in ("fp8", "gptq", "awq", "bnb"):
        tensors, words = quantised("model.layers.0.mlp.down_proj", form, random)
        config = {**LLAMA, "quantization_config": words}
        file = saved({**tensors, "model.norm.weight": np.ones(8, np.float32)})
        place(root, form, "model", file)
        place(root, f"{form}.beside", "config.json", config)
        place(root, f"{form}_config", "config", config)
        place(root, f"{form}_config.beside", "model.safetensors", file)


def adapter_seeds(root, random):
    base, rank = "model.layers.0.self_attn.q_proj", 2
    pair = {f"base_model.model.{base}.lora_{side}.weight": random.standard_normal(shape).astype(np.float32)
            for side, shape in (("A", (rank, 8)), ("B", (8, rank)))}
    config = {"peft_type": "LORA", "r": rank, "lora_alpha": 4, "use_rslora": False, "target_modules": ["q_proj"],
              "fan_in_fan_out": False, "alpha_pattern": {}, "rank_pattern": {}}
    pairs = (("adapter", "adapter", saved(pair), "adapter_config.json", config),
             ("adapter_config", "config", config, "adapter_model.safetensors", saved(pair)))
    for target, name, seed, other, lain in pairs:
        place(root, target, name, seed)
        place(root, f"{target}.beside", other, lain)
        place(root, f"{target}.beside", "base.safetensors", saved(llama(random)))


# ---- archives of torch and numpy ----

def archive_seeds(root, random):
    scratch = os.path.join(root, "scratch")
    tensors = {"a.weight": torch.randn(4, 6), "b": torch.randn(24).bfloat16(), "c": torch.arange(6).reshape(2, 3).t(),
               "nested": {"d": torch.zeros(2, 2, dtype=torch.uint8), "n": 3, "s": "text", "l": [1, 2.5, None, True]}}
    for name, value in (("dict", tensors), ("one", torch.randn(3)), ("list", [torch.randn(2), torch.ones(1).half()]),
                        ("parameter", {"p": torch.nn.Parameter(torch.randn(2, 2))}),
                        ("llama", {key: torch.from_numpy(array) for key, array in llama(random).items()})):
        torch.save(value, scratch)
        with open(scratch, "rb") as file:
            place(root, "pt", name, file.read())
    place(root, "pt.beside", "config.json", LLAMA)
    for save in (np.savez, np.savez_compressed):
        save(scratch + ".npz", a=random.standard_normal((3, 4)), b=np.arange(5), c=np.float16(2), d=np.array(["x"]))
        with open(scratch + ".npz", "rb") as file:
            place(root, "npz", save.__name__, file.read())
    os.remove(scratch)
    os.remove(scratch + ".npz")


# ---- tokenisers ----

def byte_level():
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(Regex(r"\p{N}{1,3}| ?\p{L}+|\s+"), "isolated"),
         pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 0)])
    return tokenizer, trainers.BpeTrainer(vocab_size=300, special_tokens=["<s>", "</s>"], show_progress=False)


def word_piece():
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 2), ("[CLS]", 1))
    tokens = ["[UNK]", "[CLS]", "[SEP]"]
    return tokenizer, trainers.WordPieceTrainer(vocab_size=120, special_tokens=tokens, show_progress=False)


def sentence_piece():
    tokenizer = Tokenizer(models.BPE(byte_fallback=True, unk_token="<unk>", fuse_unk=True))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tokens = ["<unk>", "<s>"] + [f"<0x{i:02X}>" for i in range(256)]
    return tokenizer, trainers.BpeTrainer(vocab_size=320, special_tokens=tokens, show_progress=False)


def unigram():
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase(),
                                                 normalizers.StripAccents()])
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    return tokenizer, trainers.UnigramTrainer(vocab_size=80, special_tokens=["<unk>"], unk_token="<unk>",
                                              show_progress=False)


def tokenizer_seeds(root, random):
    for make in (byte_level, word_piece, sentence_piece, unigram):
        tokenizer, trainer = make()
        tokenizer.train_from_iterator(TEXTS, trainer)
        place(root, "tokenizer", make.__name__, tokenizer.to_str().encode())
        place(root, f"text_{make.__name__}", "text", "".join(TEXTS).encode())
        place(root, f"text_{make.__name__}.beside", "tokenizer.json", tokenizer.to_str().encode())
    place(root, "tokenizer.beside", "config.json", LLAMA)
    place(root, "tokenizer.beside", "model.safetensors", saved(llama(random)))


def main():
    random, root = np.random.default_rng(5), sys.argv[1]
    torch.manual_seed(5)
    os.makedirs(root, exist_ok=True)
    for make in (gguf_seeds, config_seeds, quantised_seeds, adapter_seeds, archive_seeds, tokenizer_seeds):
        make(root, random)


main()
