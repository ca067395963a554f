#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Quantised files: the error of a right one is that of its type's steps; what a quantiser gets wrong is named.

The bytes come from gguf's quantisers (q4_k: convert.py) and are damaged in their packed form, as a fault would leave them.
"""
import os

import numpy as np

from files import convert, expect_match, gguf, main, make, models, require, told

# Superblocks of 256 need rows that are multiples of it.
WIDE = {"hidden_size": 512, "intermediate_size": 512, "num_attention_heads": 8}
VICTIM = "blk.1.ffn_up.weight"


def image_of(folder, kind):
    model = make(folder, "llama", **WIDE)
    image = convert.convert(model)
    image.quantise(kind)
    return model, image


def right(kind):
    def case(folder):
        model, image = image_of(folder, kind)
        document = expect_match(model, image.write(os.path.join(folder, "right.gguf"), kind), weights=30)
        matrices = [t for t in document["tensors"] if len(t["b"]["shape"]) > 1]
        require(all(t["b"]["dtype"] == kind for t in matrices), "not everything was quantised")
        ratios = [t["nmse"] / t["expected_nmse"] for t in matrices]
        require(0.6 < min(ratios) and max(ratios) < 1.6,
                f"NMSE is {min(ratios):.2f} to {max(ratios):.2f} times what is expected")
    return f"right_{kind}", case


def blocks(image, nbytes):
    """The packed blocks of the victim, [rows, blocks, bytes]: a view."""
    stored, kind = image.stored[VICTIM]
    stored = np.array(stored).view(np.uint8)
    image.stored[VICTIM] = (stored, kind)
    return stored.reshape(len(stored), -1, nbytes)


def damaged(kind, cause, damage, words=""):
    def case(folder):
        model, image = image_of(folder, kind)
        damage(image)
        document = models(model, image.write(os.path.join(folder, "damaged.gguf"), kind))
        require([f["cause"] for f in document["findings"]] == [cause], f"expected {cause}: {told(document)}")
        finding = document["findings"][0]
        require(finding["tensor"] == VICTIM and finding["layer"] == 1 and finding["component"] == "ffn.up_proj",
                f"not at {VICTIM}: {finding}")
        require(words in f"{finding['found']} {finding['evidence']}", f"expected '{words}': {told(document)}")
    return f"{cause}_{kind}", case


def scales(image, nbytes, at, factor):
    """Every second block's f16 scale times `factor`."""
    view = blocks(image, nbytes)
    half = np.ascontiguousarray(view[:, 1::2, at:at + 2]).view(np.float16)
    view[:, 1::2, at:at + 2] = (half * np.float16(factor)).view(np.uint8)


def repeat_first(image, nbytes):
    view = blocks(image, nbytes)
    view[:] = view[:, :1]


def only_first(image, nbytes):
    blocks(image, nbytes)[:, 1:] = 0


def one_block(image, nbytes):
    blocks(image, nbytes)[7, 3] = 0


def no_minimum(image, nbytes, at):
    blocks(image, nbytes)[:, :, at:at + 2] = 0


def signs_lost(image):
    image.stored[VICTIM] = (gguf.quants.quantize(np.abs(image.tensors[VICTIM]), convert.QUANTISED["q8_0"]),
                            convert.QUANTISED["q8_0"])


def twice(image):
    coarse = gguf.quants.dequantize(gguf.quants.quantize(image.tensors[VICTIM], convert.QUANTISED["q4_0"]),
                                    convert.QUANTISED["q4_0"])
    image.stored[VICTIM] = (gguf.quants.quantize(coarse, convert.QUANTISED["q8_0"]), convert.QUANTISED["q8_0"])


def other_layer(image):
    image.stored[VICTIM] = image.stored["blk.0.ffn_up.weight"]


def nibbles_exchanged(image, nbytes, at):
    view = blocks(image, nbytes)
    view[:, :, at:] = view[:, :, at:] >> 4 | view[:, :, at:] << 4


CASES = [
    *map(right, ("f16", "bf16", "q8_0", "q5_1", "q5_0", "q4_1", "q4_0", "q4_k")),
    damaged("q8_0", "quant.block_scale", lambda image: scales(image, 34, 0, 2)),
    damaged("q4_0", "quant.block_scale", lambda image: scales(image, 18, 0, 0.5)),
    damaged("q4_k", "quant.block_scale", lambda image: [scales(image, 144, 0, 2), scales(image, 144, 2, 2)]),
    damaged("q8_0", "quant.block_repeat", lambda image: repeat_first(image, 34)),
    damaged("q4_0", "quant.block_repeat", lambda image: repeat_first(image, 18)),
    damaged("q4_k", "quant.block_repeat", lambda image: repeat_first(image, 144)),
    damaged("q8_0", "quant.first_block_only", lambda image: only_first(image, 34)),
    damaged("q4_1", "quant.min_missing", lambda image: no_minimum(image, 20, 2)),
    damaged("q5_1", "quant.min_missing", lambda image: no_minimum(image, 24, 2)),
    damaged("q4_k", "quant.min_missing", lambda image: no_minimum(image, 144, 2)),
    damaged("q8_0", "quant.sign_lost", signs_lost),
    damaged("q8_0", "quant.wrong_type", twice, "q4_0"),
    damaged("q4_0", "quant.group_order", lambda image: nibbles_exchanged(image, 18, 2)),
    damaged("q8_0", "linear.truncated", lambda image: one_block(image, 34), "row 7, column 96"),
    damaged("q4_k", "linear.wrong_weight", other_layer, "layer 0"),
]

if __name__ == "__main__":
    main(CASES)
