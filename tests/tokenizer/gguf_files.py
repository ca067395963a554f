# SPDX-License-Identifier: Apache-2.0
"""Vocabularies of tokenizer.json written as GGUF metadata, as converters do, beside a model that is just large enough to be opened."""
import json

import gguf
import numpy as np

NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = 1, 2, 3, 4, 5, 6
HIDDEN, HEADS, FFN = 64, 2, 64


def pieces_of(document):
    """Pieces by id, and type of each."""
    vocabulary = document["model"]["vocab"]
    by_id = {i: p for i, (p, _) in enumerate(vocabulary)} if isinstance(vocabulary, list) else {i: p for p, i in vocabulary.items()}
    types = {i: NORMAL for i in by_id}
    for token in document["added_tokens"]:
        by_id[token["id"]] = token["content"]
        types[token["id"]] = CONTROL if token["special"] else USER_DEFINED
    count = max(by_id) + 1
    pieces = [by_id.get(i, f"[PAD{i}]") for i in range(count)]
    return pieces, [BYTE if len(p) == 6 and p.startswith("<0x") and p.endswith(">") else types.get(i, UNUSED) for i, p in enumerate(pieces)]


def write(path, model, pieces, types, scores=None, merges=None, pre=None, **more):
    w = gguf.GGUFWriter(path, "llama")
    w.add_context_length(64)
    w.add_embedding_length(HIDDEN)
    w.add_block_count(1)
    w.add_feed_forward_length(FFN)
    w.add_head_count(HEADS)
    w.add_head_count_kv(HEADS)
    w.add_layer_norm_rms_eps(1e-5)
    w.add_vocab_size(len(pieces))
    w.add_tokenizer_model(model)
    if pre:
        w.add_tokenizer_pre(pre)
    w.add_token_list(pieces)
    w.add_token_types(types)
    if scores is not None:
        w.add_token_scores(scores)
    if merges is not None:
        w.add_token_merges(merges)
    for key, value in more.items():
        key = "tokenizer.ggml." + key
        if isinstance(value, bool):
            w.add_bool(key, value)
        elif isinstance(value, int):
            w.add_uint32(key, value)
        else:
            w.add_array(key, value)
    r = np.random.default_rng(0)
    shapes = {"token_embd.weight": (len(pieces), HIDDEN), "output_norm.weight": (HIDDEN,), "blk.0.attn_norm.weight": (HIDDEN,),
              "blk.0.ffn_norm.weight": (HIDDEN,), "blk.0.ffn_gate.weight": (FFN, HIDDEN), "blk.0.ffn_up.weight": (FFN, HIDDEN),
              "blk.0.ffn_down.weight": (HIDDEN, FFN), **{f"blk.0.attn_{n}.weight": (HIDDEN, HIDDEN) for n in ("q", "k", "v", "output")}}
    for name, shape in shapes.items():
        w.add_tensor(name, r.normal(0, 0.1, shape).astype(np.float32))
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()


def merges_of(document):
    return [m if isinstance(m, str) else " ".join(m) for m in document["model"]["merges"]]


def write_byte_level(path, tokenizer, pre, **more):
    document = json.loads(tokenizer.to_str())
    pieces, types = pieces_of(document)
    write(path, "gpt2", pieces, types, merges=merges_of(document), pre=pre, **more)


def write_scores(path, tokenizer, **more):
    """SentencePiece's own form: what was merged first has the higher score."""
    document = json.loads(tokenizer.to_str())
    pieces, types = pieces_of(document)
    types = [UNKNOWN if p == "<unk>" else t for p, t in zip(pieces, types)]
    write(path, "llama", pieces, types, scores=[-float(i) for i in range(len(pieces))], **more)


def write_words(path, tokenizer, **more):
    """WordPiece: beginnings of words get a mark, continuations lose theirs."""
    document = json.loads(tokenizer.to_str())
    pieces, types = pieces_of(document)
    marked = [p if t == CONTROL else p[2:] if p.startswith("##") else "▁" + p for p, t in zip(pieces, types)]
    write(path, "bert", marked, types, unknown_token_id=pieces.index("[UNK]"), seperator_token_id=pieces.index("[SEP]"),
          bos_token_id=pieces.index("[CLS]"), **more)


def write_unigram(path, tokenizer, **more):
    document = json.loads(tokenizer.to_str())
    pieces, types = pieces_of(document)
    types = [UNKNOWN if p == "<unk>" else t for p, t in zip(pieces, types)]
    write(path, "t5", pieces, types, scores=[float(s) for _, s in document["model"]["vocab"]], unknown_token_id=pieces.index("<unk>"),
          eos_token_id=pieces.index("</s>"), padding_token_id=pieces.index("<pad>"), add_eos_token=True, **more)
