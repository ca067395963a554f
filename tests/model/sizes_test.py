# SPDX-License-Identifier: Apache-2.0
"""Models of 100 GB and of 200,000 tensors open without being read: sparse files, whose holes cost no disk, and the
peak memory of the reader. 77: numpy missing, or no sparse files of that size here."""
import json
import os
import struct
import sys

try:
    import numpy as np
except ImportError as missing:
    print(f"skipped: {missing}")
    sys.exit(77)

from reading import check, main, run

ROWS, COLUMNS = 1_000_000, 50_000  # f16: 100 GB
LARGEST_MEMORY = 64 << 10  # KiB


def sparse(path, head, at_end, size):
    try:
        with open(path, "wb") as file:
            file.write(head)
            file.truncate(len(head) + size)
            file.seek(-len(at_end), os.SEEK_END)
            file.write(at_end)
    except OSError as refused:
        print(f"skipped: {refused}")
        sys.exit(77)


def ends(path, expected, what, memory=LARGEST_MEMORY):
    done = run("ends", path)
    *lines, peak = done.stdout.splitlines() or ["0"]
    check(done.returncode == 0, f"{what}: {done.stderr}")
    check(int(peak) < memory, f"{what}: {peak} KiB of memory")
    found = {line.split()[0]: [float(word) for word in line.split()[1:]] for line in lines}
    check(found == expected if isinstance(expected, dict) else len(found) == expected,
          f"{what}: {dict(list(found.items())[:5])}")


def safetensors_header(tensors):
    text = json.dumps(tensors).encode()
    return struct.pack("<Q", len(text)) + text


def test_safetensors(folder):
    size, end = 2 * ROWS * COLUMNS, np.float16([1.5]).tobytes()
    head = safetensors_header({"a": {"dtype": "F16", "shape": [ROWS, COLUMNS], "data_offsets": [0, size]}})
    sparse(os.path.join(folder, "model.safetensors"), head, end, size)
    ends(folder, {"a": [0, 1.5]}, "safetensors")


def test_shards(folder):
    """A hundred files of 1 GB, fp8 with scales."""
    placed, expected, rows = {}, {}, 10_000
    for number in range(100):
        name, key = f"model-{number:05}.safetensors", f"layers.{number}.weight"
        size = rows * 100_000
        head = safetensors_header({
            key + "_scale": {"dtype": "F32", "shape": [rows, 1], "data_offsets": [size, size + 4 * rows]},
            key: {"dtype": "F8_E4M3", "shape": [rows, 100_000], "data_offsets": [0, size]}})
        scales = np.arange(1, rows + 1, dtype=np.float32)
        sparse(os.path.join(folder, name), head, b"\x38" + scales.tobytes(), size + 4 * rows)  # 0x38: 1.0
        placed.update({key: name, key + "_scale": name})
        expected.update({key: [0, rows], key + "_scale": [1, rows]})
    with open(os.path.join(folder, "model.safetensors.index.json"), "w") as file:
        json.dump({"weight_map": placed}, file)
    ends(folder, expected, "shards")


def test_gguf(folder):
    """One tensor of Q8_0: blocks of 32 with an f16 scale."""
    blocks = ROWS * COLUMNS // 32
    name = b"a"
    head = b"GGUF" + struct.pack("<IQQ", 3, 1, 0) + struct.pack("<Q", len(name)) + name
    head += struct.pack("<IQQIQ", 2, COLUMNS // 50 * 32, ROWS * 50 // 32, 8, 0)
    head += bytes(-len(head) % 32)
    sparse(os.path.join(folder, "a.gguf"), head, np.float16([0.5]).tobytes() + bytes(31) + b"\x7f", 34 * blocks)
    ends(os.path.join(folder, "a.gguf"), {"a": [0, 63.5]}, "gguf")


def test_many_tensors(folder):
    """Experts of a large model as a tensor each: opening is no search through all of them for each."""
    count = 200_000
    head = safetensors_header({f"model.layers.{i // 1000}.mlp.experts.{i % 1000}.up_proj.weight":
                               {"dtype": "F32", "shape": [4, 4], "data_offsets": [64 * i, 64 * i + 64]}
                               for i in range(count)})
    sparse(os.path.join(folder, "model.safetensors"), head, b"\0", 64 * count)
    ends(folder, count, "many tensors", 512 << 10)


main([test_safetensors, test_shards, test_gguf, test_many_tensors])
