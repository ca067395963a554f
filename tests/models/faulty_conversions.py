#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Faults of converters, one at a time in an otherwise right GGUF file: each is named, and nothing else is."""
import os

import numpy as np

from files import convert, main, make, models, require, tensortap, told

HEADS, KV_HEADS, LAYERS = 6, 2, 3


def damaged(family, cause, damage, component=None, words="", others=0, kind="f32"):
    """A case: `damage` changes the image; `cause` must be found, at `component`, with `words` in what was found, and at most
    `others` findings beside it."""
    def case(folder):
        model = make(folder, family)
        image = convert.convert(model)
        damage(image)
        path = image.write(os.path.join(folder, "damaged.gguf"), kind)
        document = models(model, path)
        os.remove(path)
        require(document["findings"], f"nothing was found; expected {cause}")
        right = [f for f in document["findings"]
                 if f["cause"] == cause and (component is None or component in f["component"])]
        require(right, f"expected {cause} at {component}: {told(document)}")
        require(words in f"{right[0]['expected']} {right[0]['found']} {right[0]['evidence']}",
                f"expected '{words}': {told(document)}")
        beside = [f for f in document["findings"] if f["cause"] != cause]
        require(len(beside) <= others, f"{len(beside)} findings beside {cause}: {told(document)}")
    return case


def each(image, part):
    return [name for name in image.tensors if name.endswith(part)]


def change(part, function):
    def damage(image):
        names = each(image, part)
        assert names, part
        for name in names:
            image.add(name, function(image.tensors[name]))
    return damage


def exchange(one, other):
    def damage(image):
        a, b = image.tensors[one], image.tensors[other]
        image.tensors[one], image.tensors[other] = b, a
    return damage


def exchange_layers(image):
    for name in each(image, "weight"):
        if name.startswith("blk.0."):
            exchange(name, name.replace("blk.0.", "blk.2."))(image)


def exchange_everywhere(one, other):
    def damage(image):
        for layer in range(LAYERS):
            exchange(f"blk.{layer}.{one}.weight", f"blk.{layer}.{other}.weight")(image)
    return damage


def unpermuted(heads):
    """Rows of each head from (2i, 2i + 1) back to (i, i + n/2)."""
    return lambda a: a.reshape(heads, a.shape[0] // heads // 2, 2, *a.shape[1:]).swapaxes(1, 2).reshape(a.shape)


def metadata(key, value):
    def damage(image):
        image[key] = value
    return damage


def without(name):
    return lambda image: image.tensors.pop(name)


def wrong_head(image):
    image.add("output.weight", np.random.default_rng(3).normal(0, 0.5, image.tensors["token_embd.weight"].shape))


def untied(image):
    image.add("output.weight", image.tensors["token_embd.weight"])


def reorder_experts(image):
    for part in ("gate", "up", "down"):
        change(f"ffn_{part}_exps.weight", lambda a: a[[1, 0, *range(2, len(a))]])(image)


def cut_behind(row):
    def function(a):
        out = a.copy()
        out[row:] = 0
        return out
    return function


def one_number(image):
    image.tensors["blk.1.ffn_down.weight"][17, 33] += 0.5


def one_row(image):
    image.tensors["token_embd.weight"][123] = 0


def not_a_number(image):
    image.tensors["blk.1.ffn_down.weight"][17, 33] = np.nan


def two_faults(image):
    change("attn_q.weight", unpermuted(HEADS))(image)
    exchange_everywhere("ffn_gate", "ffn_up")(image)


CASES = {
    "q_not_permuted": damaged("llama", "file.permuted", change("attn_q.weight", unpermuted(HEADS)), "attn.q_proj",
                              "not permuted"),
    "k_not_permuted_q8": damaged("llama", "file.permuted", change("attn_k.weight", unpermuted(KV_HEADS)), "attn.k_proj",
                                 "not permuted", kind="q8_0"),
    "k_permuted_by_the_heads_of_q": damaged(
        "llama", "file.permuted",
        change("attn_k.weight", lambda a: convert.to_pairs(unpermuted(KV_HEADS)(a), 4)), "attn.k_proj"),
    "q_permuted_twice": damaged("llama", "file.permuted", change("attn_q.weight", lambda a: convert.to_pairs(a, HEADS)),
                                "attn.q_proj", "permuted twice"),
    "permuted_without_need": damaged("qwen2", "file.permuted", change("attn_q.weight", lambda a: convert.to_pairs(a, HEADS)),
                                     "attn.q_proj"),
    "bias_permuted_without_need": damaged("qwen2", "file.permuted",
                                          change("attn_k.bias", lambda a: convert.to_pairs(a, KV_HEADS)), "attn.k_proj"),
    "norm_one_not_added": damaged("gemma", "norm.offset_missing", change("norm.weight", lambda a: a - 1), "norm"),
    "norm_one_added_twice": damaged("gemma", "norm.offset_extra", change("ffn_norm.weight", lambda a: a + 1), "ffn_norm"),
    "norm_one_added_without_need": damaged("llama", "norm.offset_extra", change("attn_norm.weight", lambda a: a + 1),
                                           "attn_norm"),
    "embedding_scaled": damaged("gemma", "file.scale_folded_twice",
                                change("token_embd.weight", lambda a: a * np.sqrt(192)), "embed", "embed_scale"),
    "projection_scaled": damaged("llama", "linear.scale", change("blk.1.attn_output.weight", lambda a: a * 0.5), "attn.o_proj",
                                 "0.5"),
    "transposed_square": damaged("gpt2", "linear.transposed", change("attn_output.weight", lambda a: a.T), "attn.o_proj"),
    "transposed": damaged("gpt2", "linear.transposed", change("ffn_up.weight", lambda a: a.T), "ffn.up_proj"),
    "layers_exchanged": damaged("llama", "linear.wrong_weight", exchange_layers, None, "layer 2"),
    "layers_exchanged_q8": damaged("llama", "linear.wrong_weight", exchange_layers, None, "layer 2", kind="q8_0"),
    "gate_and_up_exchanged": damaged("llama", "mlp.gate_up_swapped", exchange_everywhere("ffn_gate", "ffn_up"), "ffn."),
    "gate_and_up_exchanged_q4": damaged("llama", "mlp.gate_up_swapped", exchange_everywhere("ffn_gate", "ffn_up"), "ffn.",
                                        kind="q4_0"),
    "k_and_v_exchanged": damaged("qwen2", "linear.wrong_weight", exchange_everywhere("attn_k", "attn_v"), "attn.", "_proj"),
    "fused_in_another_order": damaged(
        "gpt_neox", "linear.split_order",
        change("attn_qkv.weight", lambda a: np.concatenate([a[384:], a[:384]])), "attn."),
    "fused_by_head": damaged("bloom", "linear.split_order",
                             change("attn_qkv.weight", lambda a: a.reshape(3, 6, 32, -1).swapaxes(0, 1).reshape(a.shape)),
                             "attn."),
    "norms_exchanged": damaged("llama", "norm.wrong_weight", exchange("blk.1.attn_norm.weight", "blk.1.ffn_norm.weight"),
                               "norm"),
    "experts_in_another_order": damaged("mixtral", "moe.expert_order", reorder_experts, "moe.expert"),
    "theta": damaged("llama", "file.metadata", metadata("rope.freq_base", 500000.0), "rope", "500000"),
    "eps": damaged("llama", "file.metadata", metadata("attention.layer_norm_rms_epsilon", 1e-6), "norm", "1e-06"),
    "softcap_missing": damaged("gemma2", "file.metadata",
                               lambda image: image.metadata.pop("gemma2.final_logit_softcapping"), "logits"),
    "window": damaged("gemma2", "file.metadata", metadata("attention.sliding_window", 17), "attn.probs", "window 17"),
    "rope_factors": damaged("llama3", "file.metadata", without("rope_freqs.weight"), "rope", "llama3"),
    "head_missing": damaged("llama", "file.tensor_missing", without("output.weight"), "lm_head", "tied"),
    "head_of_another": damaged("gemma", "logits.wrong_head", wrong_head, "lm_head"),
    "bias_missing": damaged("qwen2", "file.tensor_missing", without("blk.1.attn_k.bias"), "attn.k_proj"),
    "norm_missing": damaged("qwen3", "file.tensor_missing", without("blk.1.attn_q_norm.weight"), "attn.q_norm"),
    "layer_tensor_missing": damaged("llama", "file.tensor_missing", without("blk.2.ffn_down.weight"), "ffn.down_proj"),
    "cut_off": damaged("llama", "linear.truncated", change("blk.1.ffn_up.weight", cut_behind(200)), "ffn.up_proj"),
    "all_zero": damaged("llama", "linear.zero_weight", change("blk.1.ffn_up.weight", np.zeros_like), "ffn.up_proj"),
    "one_number": damaged("llama", "linear.wrong_weight", one_number, "ffn.down_proj", "row 17"),
    "one_row": damaged("llama", "linear.truncated", one_row, "embed", "row 123"),
    "not_a_number": damaged("llama", "value.nan", not_a_number, "ffn.down_proj"),
    "another_model": damaged("llama", "linear.wrong_weight",
                             change("ffn_up.weight", lambda a: np.random.default_rng(5).normal(0, 0.1, a.shape)), "ffn.up_proj"),
    "two_at_once": damaged("llama", "file.permuted", two_faults, "attn.q_proj", others=1),
}


def untied_head(folder):
    """A head that is stored although it is the embedding is no fault."""
    model = make(folder, "gemma")
    image = convert.convert(model)
    untied(image)
    document = models(model, image.write(os.path.join(folder, "untied.gguf"), "q8_0"))
    require(document["verdict"] == "match", told(document))


def another_checkpoint(folder):
    """One finding, not one for each weight."""
    document = models(make(folder, "llama"), make(folder, "llama", seed=8))
    require([f["cause"] for f in document["findings"]] == ["linear.wrong_weight"], told(document))
    require("checkpoint" in document["findings"][0]["evidence"] and document["findings"][0]["tensors"] == 30, told(document))


def unread_tensor(folder):
    """What nothing computes with is a note."""
    model = make(folder, "llama")
    image = convert.convert(model)
    image.add("blk.0.extra.weight", np.ones((3, 32)))
    document = models(model, image.write(os.path.join(folder, "extra.gguf")))
    require(document["verdict"] == "match", told(document))
    require(len(document["notes"]) == 1 and "blk.0.extra.weight" in document["notes"][0], f"notes {document['notes']}")


def refused(folder):
    """Bad input is one line and exit 2."""
    model = make(folder, "llama")
    path = convert.convert(model).write(os.path.join(folder, "right.gguf"))
    cut = os.path.join(folder, "cut.gguf")
    with open(path, "rb") as whole, open(cut, "wb") as part:
        part.write(whole.read()[:100000])
    for a, b in ((model, cut), (cut, model), (model, "no/such/file"), (model, make(folder, "gpt2")),
                 (model, make(folder, "llama", num_hidden_layers=1))):
        status, document, done = tensortap("models", a, b)
        require(status == 2 and document["error"] and done.stderr.count("\n") == 1, f"{a} {b}: {status} {done.stderr}")


def misshapen(folder):
    """Every vector and matrix of a layer in another shape: findings, and nothing is read out of bounds."""
    model = make(folder, "qwen3")
    for part in ("attn_norm", "attn_q", "attn_q_norm", "ffn_down", "attn_output"):
        image = convert.convert(model)
        change(f"blk.1.{part}.weight", lambda a: a[..., :-32] if a.shape[-1] > 32 else a[:16])(image)
        document = models(model, image.write(os.path.join(folder, "misshapen.gguf")))
        require([f["cause"] for f in document["findings"]] == ["file.metadata"] and
                document["findings"][0]["layer"] == 1, f"{part}: {told(document)}")


if __name__ == "__main__":
    main([*CASES.items(), ("untied_head", untied_head), ("another_checkpoint", another_checkpoint),
          ("unread_tensor", unread_tensor), ("refused", refused), ("misshapen", misshapen)])
