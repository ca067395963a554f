# SPDX-License-Identifier: Apache-2.0
"""An engine whose weight is not the file's: what it is instead is named, at the layer that uses it.

    weight_faults.py BIN [FORM …]

The engine runs on a copy of the model in which one tensor is altered; the verdict is asked for against the model itself.
Exit 77: no numpy.
"""
import json
import os
import shutil
import struct
import subprocess
import sys
import tempfile

try:
    import numpy
except ImportError as missing:
    print("skipped: %s" % missing)
    sys.exit(77)

BIN = sys.argv[1]
PROMPT = "1,5,9,33,7,100,250,17,42,8,199,3"
TENSOR, OTHER, COMPONENT, LAYER = "blk.1.ffn_up.weight", "blk.1.ffn_gate.weight", "ffn.up_proj", 1
ROWS, COLUMNS = 352, 192
random = numpy.random.RandomState(11)


def block_rounded(w, largest, low, high):
    """As q8_0 and q4_0 round: a scale in f16 for each 32 elements."""
    blocks = w.reshape(-1, 32).astype(numpy.float64)
    top = numpy.take_along_axis(blocks, numpy.abs(blocks).argmax(axis=1)[:, None], axis=1)
    scale = (numpy.abs(top) if low == -127 else top) / largest
    steps = numpy.clip(numpy.floor(blocks / scale + 0.5), low, high)
    return (steps * scale.astype(numpy.float16).astype(numpy.float64)).reshape(w.shape)


def bf16(w):
    bits = w.astype(numpy.float32).view(numpy.uint32).astype(numpy.uint64)
    return ((bits + 0x7FFF + (bits >> 16 & 1)) & 0xFFFF0000).astype(numpy.uint32).view(numpy.float32)


def interleaved(w):
    return w.reshape(-1, 2, 16, COLUMNS).swapaxes(1, 2).reshape(w.shape)


def padded(w):
    return numpy.hstack([w, numpy.zeros((ROWS, 16), "f")]).reshape(-1)[:w.size].reshape(w.shape)


def first_block(w):
    out = numpy.zeros_like(w)
    out[:, :32] = w[:, :32]
    return out


def one_element(w):
    out = w.copy()
    out[200, 100] += 1
    return out


# form: (altered weight, cause or None, a word of what was found)
FORMS = {
    "same": (lambda w, o: w, None, None),
    "as_bf16": (lambda w, o: bf16(w), None, "bf16"),
    "as_f16": (lambda w, o: w.astype(numpy.float16), None, "f16"),
    "as_q8_0": (lambda w, o: block_rounded(w, 127, -127, 127), None, "q8_0"),
    "as_q4_0": (lambda w, o: block_rounded(w, -8, -8, 7), None, "q4_0"),
    "transposed": (lambda w, o: w.T.reshape(w.shape), "linear.transposed", "transposed"),
    "reread": (lambda w, o: w.reshape(COLUMNS, ROWS).T, "linear.transposed", "transposed"),
    "rope_order": (lambda w, o: interleaved(w), "linear.permuted_rows", "within 32"),
    "any_order": (lambda w, o: w[random.permutation(ROWS)], "linear.permuted_rows", "from"),
    "columns": (lambda w, o: w[:, random.permutation(COLUMNS)], "linear.permuted_columns", "columns"),
    "groups": (lambda w, o: numpy.roll(w, 64, axis=1), "quant.group_order", "rotated"),
    "scaled": (lambda w, o: w * 1.25, "linear.scale", "1.25"),
    "row_scales": (lambda w, o: w * (1 + random.rand(ROWS, 1)), "quant.block_scale", "row"),
    "block_scales": (lambda w, o: (w.reshape(-1, 32) * (1 + random.rand(w.size // 32, 1))).reshape(w.shape),
                     "quant.block_scale", "block"),
    "zero": (lambda w, o: w * 0, "linear.zero_weight", "zeros"),
    "other": (lambda w, o: o, "linear.wrong_weight", OTHER),
    "padded": (lambda w, o: padded(w), "linear.leading_dimension", "208"),
    "shifted": (lambda w, o: numpy.roll(w.reshape(-1), -7).reshape(w.shape), "linear.leading_dimension", "element 7"),
    "cut": (lambda w, o: w * (numpy.arange(ROWS)[:, None] < 300), "linear.truncated", "300"),
    "first_block": (lambda w, o: first_block(w), "quant.first_block_only", "32"),
    "repeated": (lambda w, o: numpy.tile(w[:, :32], (1, COLUMNS // 32)), "quant.block_repeat", "block 0"),
    "unsigned": (lambda w, o: numpy.abs(w), "quant.sign_lost", "absolute"),
    "offset": (lambda w, o: (w.reshape(-1, 32) + random.rand(w.size // 32, 1)).reshape(w.shape), "quant.zero_point", "block"),
    "one_element": (lambda w, o: one_element(w), "linear.wrong_weight", "1 of"),
    "random": (lambda w, o: random.randn(*w.shape), "linear.wrong_weight", "differ"),
}


def run(*command):
    return subprocess.run(command, capture_output=True, text=True)


def places(path):
    """{tensor: first byte} of a GGUF file; only what the model maker writes is read."""
    data = open(path, "rb").read()
    at = 8

    def take(kind):
        nonlocal at
        value = struct.unpack_from("<" + kind, data, at)[0]
        at += struct.calcsize("<" + kind)
        return value

    def text():
        nonlocal at
        length = take("Q")
        at += length
        return data[at - length:at].decode("utf-8", "replace")

    def value(kind):
        if kind == 8:
            return text()
        if kind == 9:
            inner, count = take("I"), take("Q")
            return [value(inner) for _ in range(count)]
        return take({0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}[kind])

    tensors, keys = take("Q"), take("Q")
    metadata = {text(): value(take("I")) for _ in range(keys)}
    found = {}
    for _ in range(tensors):
        name, rank = text(), take("I")
        for _ in range(rank):
            take("Q")
        assert take("I") == 0, "the model is not f32"
        found[name] = take("Q")
    align = metadata.get("general.alignment", 32)
    start = (at + align - 1) // align * align
    return {name: start + offset for name, offset in found.items()}


def altered(model, where, change, path):
    shutil.copy(model, path)
    w, o = (numpy.fromfile(model, "<f4", ROWS * COLUMNS, offset=where[name]).reshape(ROWS, COLUMNS)
            for name in (TENSOR, OTHER))
    with open(path, "r+b") as file:
        file.seek(where[TENSOR])
        file.write(numpy.ascontiguousarray(change(w, o), dtype="<f4").tobytes())


def verdict(model, path, folder):
    capture = tempfile.mkdtemp(dir=folder)
    done = run(os.path.join(BIN, "tensortap"), "run", "-q", "-o", capture, "--", os.path.join(BIN, "tensortap-engine"),
               "-m", path, "-t", PROMPT, "-n", "3")
    assert done.returncode == 0, done.stderr
    done = run(os.path.join(BIN, "tensortap"), "verify", capture, "--model", model, "--json")
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)


def judge(form, status, document):
    _, cause, words = FORMS[form]
    faults = document["faults"]
    if not cause:
        forms = {row.get("form") for row in document["components"] if row["component"] == COMPONENT and row["layer"] == LAYER}
        told = not words or any(words in (name or "") for name in forms)
        return status == 0 and not faults and told, "%s, %s" % (document["verdict"], sorted(map(str, forms)))
    first = faults[0] if faults else None
    right = (status == 1 and len(faults) == 1 and first["component"] == COMPONENT and first["layer"] == LAYER
             and first["cause"] == cause and not first["ties"] and words in first["found"]
             and first["class"] == ("call" if cause == "linear.leading_dimension" else "weights")
             and first["confidence"] == "certain" and first["chi2_after"] < 4 and "call" in first["where"]
             and "the weight that the engine used is" in first["evidence"])
    return right, first and "%s %s (%s, %s): %s" % (first["component"], first["cause"], first["class"], first["confidence"],
                                                    first["evidence"])


def main():
    failed = 0
    with tempfile.TemporaryDirectory() as folder:
        model, path = os.path.join(folder, "model.gguf"), os.path.join(folder, "altered.gguf")
        made = run(os.path.join(BIN, "tensortap-make-model"), "-o", model)
        assert made.returncode == 0, made.stderr
        where = places(model)
        for form in sys.argv[2:] or FORMS:
            altered(model, where, FORMS[form][0], path)
            right, text = judge(form, *verdict(model, path, folder))
            failed += not right
            print("%s %-12s -> %s" % ("ok    " if right else "FAILED", form, text), flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
