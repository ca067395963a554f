# SPDX-License-Identifier: Apache-2.0
"""Every tensor type of a GGUF file, decoded by us and by gguf's own Python package: equal in every bit (any NaN
equals any NaN). Blocks are real ones (quantised from numbers), random ones under finite scales, and ones that no
quantiser writes: all bytes at random, all ones, single bits, every special half as a scale. Exit 77 without gguf.

  decode_gguf.py MODEL_FILES_TEST"""
import json
import os
import subprocess
import sys
import tempfile

try:
    import gguf
    import numpy as np
except ImportError as missing:
    print(f"skipped: {missing}")
    sys.exit(77)

COLUMNS = 1024  # of every tensor: whole blocks of every type
# Bytes from the start of a block at which it has halves.
HALVES = {"Q4_0": [0], "Q4_1": [0, 2], "Q5_0": [0], "Q5_1": [0, 2], "Q8_0": [0], "Q2_K": [80, 82], "Q3_K": [108],
          "Q4_K": [0, 2], "Q5_K": [0, 2], "Q6_K": [208], "IQ4_NL": [0], "IQ4_XS": [0], "TQ1_0": [52],
          "TQ2_0": [64], "MXFP4": [], "NVFP4": [], "BF16": [], "F16": [], "F32": []}
# Zeros, subnormals, the ends of the range, infinities, NaNs: both signs of each.
SPECIAL = np.array([0x0000, 0x0001, 0x03ff, 0x0400, 0x3c00, 0x7bff, 0x7c00, 0x7c01, 0x7e00, 0x7fff], np.uint16)
SPECIAL = np.concatenate([SPECIAL, SPECIAL | 0x8000])


def quantised(random, kind):
    values = random.standard_normal((8, COLUMNS)) * np.exp(random.uniform(-9, 4, (8, 1)))
    values[0], values[1, ::7] = 0, 0
    try:
        return [gguf.quants.quantize(values.astype(np.float32), kind)]
    except NotImplementedError:  # gguf reads this type, but does not write it
        return []


def with_halves(data, kind, halves):
    """`data` [rows, blocks, bytes] with the same halves, one a row, at each place of a scale."""
    for at in HALVES[kind.name]:
        data[:, :, at:at + 2] = np.resize(halves, data.shape[0]).view(np.uint8).reshape(-1, 1, 2)
    return data


def blocks(random, kind):
    """Rows of bytes for one tensor of this type."""
    elements, size = gguf.GGML_QUANT_SIZES[kind]
    count = COLUMNS // elements
    noise = lambda rows: random.integers(0, 256, (rows, count, size), dtype=np.uint8)
    finite = (random.standard_normal(32) * np.exp(random.uniform(-14, 9, 32))).clip(-6e4, 6e4).astype(np.float16)
    single = np.zeros((8, count, size), np.uint8)
    for i in range(8 * count):  # one bit of each block, spread over all of it
        bit = i * size * 8 // (8 * count)
        single[i % 8, i // 8, bit // 8] = 1 << bit % 8
    parts = [with_halves(noise(32), kind, finite), with_halves(noise(2 * len(SPECIAL)), kind, SPECIAL),
             noise(32), single, np.full((1, count, size), 255, np.uint8), np.zeros((1, count, size), np.uint8)]
    flat = [part.reshape(part.shape[0], -1) for part in parts]
    return np.concatenate(flat + [part.view(np.uint8) for part in quantised(random, kind)])


def write(path, tensors):
    writer = gguf.GGUFWriter(path, "llama")
    for name, data in tensors.items():
        writer.add_tensor(name, data, raw_dtype=gguf.GGMLQuantizationType[name])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def differences(found, expected):
    with np.errstate(invalid="ignore"):
        expected = expected.astype(np.float64)
    equal = (found.view(np.uint64) == expected.view(np.uint64)) | (np.isnan(found) & np.isnan(expected))
    return np.flatnonzero(~equal)


def compare(name, data, found):
    """The number of elements that differ; says where the first is."""
    with np.errstate(all="ignore"):
        expected = gguf.quants.dequantize(data, gguf.GGMLQuantizationType[name]).reshape(-1)
    wrong = differences(found, expected)
    finite = int(np.isfinite(expected).sum())
    print(f"{name:8} {expected.size:7} elements, {finite:7} finite, {len(wrong)} differ")
    if len(wrong):
        at = wrong[0]
        print(f"FAILED: {name}[{at // COLUMNS}, {at % COLUMNS}]: {found[at]!r}, gguf {expected[at]!r}")
    return len(wrong) + (finite < 1000)


def main():
    random = np.random.default_rng(3)
    known = [kind.name for kind in gguf.quants._type_traits] + ["F16", "F32"]
    left_out = sorted(name for name in known if name not in HALVES)
    print("not decoded here:", " ".join(left_out))
    failures = sum(not name.startswith(("IQ1", "IQ2", "IQ3")) for name in left_out)
    tensors = {name: blocks(random, gguf.GGMLQuantizationType[name]) for name in HALVES}
    with tempfile.TemporaryDirectory() as folder:
        path, values = os.path.join(folder, "all.gguf"), os.path.join(folder, "values")
        write(path, tensors)
        done = subprocess.run([sys.argv[1], "dump-model", path, values], capture_output=True, text=True, timeout=60)
        if done.returncode != 0:
            sys.exit(f"FAILED: {done.stderr}")
        values = np.fromfile(values)
    entries, at = [json.loads(line) for line in done.stdout.splitlines()], 0
    for entry in entries:
        name, count = entry["name"], int(np.prod(entry["shape"]))
        failures += entry["dtype"] != name.lower()
        failures += compare(name, tensors[name], values[at:at + count])
        at += count
    sys.exit(failures != 0 or len(entries) != len(HALVES) or at != len(values))


main()
