#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A right conversion of each family gives no finding: in f32 to the last number, in f16 and q8_0 within rounding."""
import os

from files import convert, expect_match, main, make, require, tiny_models

# Every family of the tiny models that there are GGUF files of.
FAMILIES = [family for family in tiny_models.families() if family not in ("whisper", "nanochat", "llada", "gemma3_vision")]


def converted(family):
    def case(folder):
        model = make(folder, family)
        for kind in ("f32", "q8_0"):
            image = convert.convert(model)
            path = image.write(os.path.join(folder, f"{family}.{kind}.gguf"), kind)
            document = expect_match(model, path, weights=20)
            equal, rounded = document["counts"]["equal"], document["counts"]["rounded"]
            # Norms with the one added and factors of ropes are f32 in the one file and computed from the other.
            require(kind != "f32" or all(t["status"] == "equal" or len(t["b"]["shape"]) == 1 for t in document["tensors"]),
                    f"{family}: matrices are not equal in f32")
            require(kind == "f32" or rounded >= 10, f"{family}: {equal} weights equal in {kind}")
            os.remove(path)
    return family, case


def turned_round(folder):
    """The GGUF file as A: the same pairs, the other way."""
    model = make(folder, "llama")
    path = convert.convert(model).write(os.path.join(folder, "round.gguf"), "q4_0")
    document = expect_match(path, model)
    require(any("rope pairing" in t["transform"] for t in document["tensors"]), "no row was permuted")
    require(all(0.5 < t["nmse"] / t["expected_nmse"] < 1.5 for t in document["tensors"]
                if t["a"]["dtype"] == "q4_0"), "errors of q4_0 are far from those expected")


def same(folder):
    for family in ("llama", "gemma3n", "whisper"):
        if os.path.exists(os.path.join(os.path.dirname(__file__), "../../analyzer/architectures", f"{family}.json")):
            model = make(folder, family)
            document = expect_match(model, model)
            require(document["counts"]["equal"] == len(document["tensors"]), f"{family} is not itself")


if __name__ == "__main__":
    main([*map(converted, FAMILIES), ("turned_round", turned_round), ("same", same)])
