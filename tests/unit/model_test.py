# SPDX-License-Identifier: Apache-2.0
"""Files written by gguf, safetensors and numpy, read back through the analyzer: every value must agree bit for
bit with what those libraries give. Exit 77 (skipped) where they are missing."""
import json
import os
import subprocess
import sys
import tempfile
import zipfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from checks import check, failed

try:
    import gguf
    import numpy as np
    import torch
    from safetensors.torch import save_file
except ImportError as missing:
    print(f"skipped: {missing}")
    sys.exit(77)

PROGRAM = os.path.join(os.environ["TENSORTAP_BUILD"], "bin", "model_dump")
SCRATCH = None  # a folder for what the program writes


def run(*arguments):
    return subprocess.run([PROGRAM, *arguments], capture_output=True, text=True, timeout=60)


def dump(kind, path):
    """{name: (dtype, f64 values in the shape read)}"""
    values_path = os.path.join(SCRATCH, "values")
    done = run("dump-" + kind, path, values_path)
    check(done.returncode == 0, f"{path}: {done.stderr}")
    values, at, found = np.fromfile(values_path), 0, {}
    for line in done.stdout.splitlines():
        entry = json.loads(line)
        count = int(np.prod(entry["shape"], dtype=np.int64))
        found[entry["name"]] = (entry["dtype"], values[at:at + count].reshape(entry["shape"]))
        at += count
    check(at == len(values), f"{path}: {len(values) - at} values too many")
    return found


def same(found, expected):
    expected = np.asarray(expected, dtype=np.float64)
    if found.shape != expected.shape:
        return False
    signs = (np.signbit(found) == np.signbit(expected)) | np.isnan(expected)
    return np.array_equal(found, expected, equal_nan=True) and bool(signs.all())


def compare(found, expected, what):
    check(set(found) == set(expected), f"{what}: names {sorted(set(found) ^ set(expected))}")
    for name, (dtype, values) in expected.items():
        check(found[name][0] == dtype, f"{what} {name}: dtype {found[name][0]}, not {dtype}")
        check(same(found[name][1], values), f"{what} {name}: values differ")


def awkward(random, shape):
    """Normal values over a wide range with zeros of both signs among them."""
    values = random.standard_normal(shape) * np.exp(random.uniform(-9, 9, shape))
    values.flat[0], values.flat[1] = 0.0, -0.0
    return values.astype(np.float32)


F16_SCALES = {"Q4_0": [0], "Q5_0": [0], "Q8_0": [0], "IQ4_NL": [0], "IQ4_XS": [0], "Q4_1": [0, 2],
              "Q5_1": [0, 2], "Q2_K": [80, 82], "Q3_K": [108], "Q4_K": [0, 2], "Q5_K": [0, 2],
              "Q6_K": [208]}  # bytes from the start of a block


def random_blocks(random, kind, rows, columns):
    """Random codes under finite scales: reaches every code, which quantising real values does not."""
    block, size = gguf.GGML_QUANT_SIZES[kind]
    data = random.integers(0, 256, (rows, columns // block, size), dtype=np.uint8)
    for at in F16_SCALES.get(kind.name, []):
        values = awkward(random, data.shape[:2]).clip(-6e4, 6e4).astype(np.float16)
        data[:, :, at:at + 2] = values[..., None].view(np.uint8)
    return data.reshape(rows, -1)


PLAIN = {np.float64: "f64", np.int8: "i8", np.int16: "i16", np.int32: "i32", np.int64: "i64"}
DECODED = ["Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K", "IQ4_NL", "IQ4_XS",
           "MXFP4"]


def test_gguf(folder, random):
    path, expected = os.path.join(folder, "all.gguf"), {}
    writer = gguf.GGUFWriter(path, "llama")
    for kind in ("F32", "F16", "BF16"):
        kind = gguf.GGMLQuantizationType[kind]
        data = gguf.quants.quantize(awkward(random, (5, 96)), kind)
        expected[kind.name.lower()] = (kind.name.lower(), gguf.quants.dequantize(data, kind))
        writer.add_tensor(kind.name.lower(), data, raw_dtype=kind)
    for kind in DECODED:
        kind = gguf.GGMLQuantizationType[kind]
        data = random_blocks(random, kind, 3, 512)
        expected[kind.name.lower()] = (kind.name.lower(), gguf.quants.dequantize(data, kind))
        writer.add_tensor(kind.name.lower(), data, raw_dtype=kind)
    for kind, name in PLAIN.items():
        data = (random.standard_normal((2, 3, 4)) * 100).astype(kind)
        expected[name] = (name, data)
        writer.add_tensor(name, data)
    add_metadata(writer)
    finish(writer)
    compare(dump("model", path), expected, "gguf")
    check_metadata(path)


def add_metadata(writer):
    writer.add_uint8("t.u8", 200)
    writer.add_int8("t.i8", -7)
    writer.add_uint16("t.u16", 60000)
    writer.add_int16("t.i16", -30000)
    writer.add_uint32("t.u32", 4000000000)
    writer.add_int32("t.i32", -2000000000)
    writer.add_uint64("t.u64", 2**52 + 1)
    writer.add_int64("t.i64", -2**40)
    writer.add_float32("t.f32", 0.1)
    writer.add_float64("t.f64", 0.1)
    writer.add_bool("t.bool", True)
    writer.add_string("t.string", "Zoë")
    writer.add_array("t.numbers", [1.5, -2.0, 3.25])
    writer.add_array("t.words", ["a", "", "bé"])


def check_metadata(path):
    numbers = {"u8": 200, "i8": -7, "u16": 60000, "i16": -30000, "u32": 4000000000, "i32": -2000000000,
               "u64": 2**52 + 1, "i64": -2**40, "f32": float(np.float32(0.1)), "f64": 0.1, "bool": 1}
    for key, value in numbers.items():
        found = run("number", path, "t." + key).stdout.strip()
        check(found and float(found) == value, f"t.{key}: '{found}' is not {value}")
    check(run("string", path, "t.string").stdout == "Zoë\n", "t.string")
    check(run("list", path, "t.numbers").stdout.split() == ["1.5", "-2", "3.25"], "t.numbers")
    check(run("list", path, "t.words").stdout == "a\n\nbé\n", "t.words")
    check(run("number", path, "t.string").returncode == 1, "a string is no number")
    check(run("number", path, "t.absent").returncode == 1, "an absent key is absent")


def finish(writer):
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def test_gguf_splits(folder, random):
    stem, expected = os.path.join(folder, "split.gguf"), {}
    writer = gguf.GGUFWriter(stem, "llama", split_max_tensors=2)
    for i in range(5):
        data = awkward(random, (4, 8))
        expected[f"t{i}"] = ("f32", data)
        writer.add_tensor(f"t{i}", data)
    writer.add_uint32("t.u32", 7)
    finish(writer)
    names = sorted(name for name in os.listdir(folder) if name.startswith("split-"))
    check(len(names) == 3, f"writer made {names}")
    for name in names:
        path = os.path.join(folder, name)
        compare(dump("model", path), expected, name)
        check(run("number", path, "t.u32").stdout == "7\n", f"{name}: metadata of the first split")
    os.remove(os.path.join(folder, names[1]))
    done = run("dump-model", os.path.join(folder, names[0]), os.devnull)
    check(done.returncode == 2 and names[1] in done.stderr, "a missing split is named")


def test_cache(folder, random):
    """An id in the local cache: a link in a snapshot to a blob without suffix."""
    root, data = os.path.join(folder, "hub"), awkward(random, (2, 3))
    snapshot = os.path.join(root, "models--some--name", "snapshots", "abc")
    os.makedirs(snapshot)
    os.makedirs(os.path.join(root, "models--some--name", "refs"))
    os.makedirs(os.path.join(root, "models--some--name", "blobs"))
    with open(os.path.join(root, "models--some--name", "refs", "main"), "w") as file:
        file.write("abc")
    save_file({"a": torch.from_numpy(data)}, os.path.join(root, "models--some--name", "blobs", "0123"))
    os.symlink("../../blobs/0123", os.path.join(snapshot, "model.safetensors"))
    with open(os.path.join(snapshot, "config.json"), "w") as file:
        file.write('{"hidden_size": 3}')
    os.environ["HF_HUB_CACHE"] = root
    os.chdir(folder)
    compare(dump("model", "some/name"), {"a": ("f32", data)}, "cache")
    check(run("number", "some/name", "hidden_size").stdout == "3\n", "config.json of a snapshot")


def torch_tensors(random):
    kinds = {"f64": torch.float64, "f32": torch.float32, "f16": torch.float16, "bf16": torch.bfloat16,
             "f8_e4m3": torch.float8_e4m3fn, "f8_e5m2": torch.float8_e5m2, "i8": torch.int8,
             "u8": torch.uint8,
             "i16": torch.int16, "i32": torch.int32, "i64": torch.int64, "bool": torch.bool,
             "u16": torch.uint16, "u32": torch.uint32, "u64": torch.uint64}
    tensors = {}
    for name, kind in kinds.items():
        size = torch.tensor([], dtype=kind).element_size()
        count = 256 if size == 1 else 65536 if size == 2 else 60
        if kind == torch.bool:
            tensors[name] = torch.from_numpy(random.integers(0, 2, (6, 10)).astype(bool))
        elif size <= 2:  # every bit pattern
            bits = np.arange(count, dtype=np.uint8 if size == 1 else np.uint16)
            tensors[name] = torch.from_numpy(bits).view(kind).reshape(-1, 16)
        elif kind.is_floating_point:
            tensors[name] = torch.from_numpy(awkward(random, (6, 10))).to(kind)
        else:
            tensors[name] = torch.from_numpy(random.integers(0, 2**31, (6, 10))).to(kind)
    tensors["scalar"] = torch.tensor(2.5)
    tensors["empty"] = torch.zeros(0, 3)
    return tensors


def expected_of(tensors):
    return {name: ("f32" if name in ("scalar", "empty") else name,
                   tensor.to(torch.float64).numpy()) for name, tensor in tensors.items()}


def test_safetensors(folder, random):
    path, tensors = os.path.join(folder, "one", "model.safetensors"), torch_tensors(random)
    os.makedirs(os.path.dirname(path))
    save_file(tensors, path, metadata={"format": "pt", "run": "a"})
    config = {"hidden_size": 64, "architectures": ["XForCausalLM"], "tie": False, "none": None, "a.b": 3,
              "rope_scaling": {"factor": 8.5, "kind": {"deep": [4, {"x": 5}]}}}
    with open(os.path.join(folder, "one", "config.json"), "w") as file:
        json.dump(config, file)
    compare(dump("model", path), expected_of(tensors), "safetensors")
    compare(dump("model", os.path.dirname(path)), expected_of(tensors), "folder")
    compare(dump("arrays", path), expected_of(tensors), "safetensors arrays")
    for key, value in {"hidden_size": "64", "rope_scaling.factor": "8.5", "rope_scaling.kind.deep.1.x": "5",
                       "tie": "0", "a.b": "3"}.items():
        check(run("number", path, key).stdout.strip() == value, key)
    check(run("string", path, "architectures.0").stdout == "XForCausalLM\n", "architectures.0")
    check(run("list", path, "rope_scaling.kind.deep").stdout.split()[0] == "4", "list")
    for key in ("none", "rope_scaling", "architectures", "architectures.1", "rope_scaling.factor.x"):
        check(run("number", path, key).returncode == 1, f"{key} is no number")


def test_shards(folder, random):
    shards, parts = os.path.join(folder, "shards"), [{}, {}]
    os.makedirs(shards)
    tensors = {f"layer.{i}": torch.from_numpy(awkward(random, (3, 4))) for i in range(6)}
    for i, (name, tensor) in enumerate(tensors.items()):
        parts[i % 2][name] = tensor
    placed = {name: f"model-0000{i + 1}-of-00002.safetensors" for i in range(2) for name in parts[i]}
    parts[0]["layer.1"] = torch.zeros(3, 4)  # a leftover that the index places elsewhere
    for i in range(2):
        save_file(parts[i], os.path.join(shards, f"model-0000{i + 1}-of-00002.safetensors"))
    write_index(shards, placed)
    compare(dump("model", shards), {n: ("f32", t.numpy()) for n, t in tensors.items()}, "shards")
    for wrong, words in (({"layer.9": placed["layer.0"]}, "layer.9"),
                         ({"layer.0": "../x.safetensors"}, "plain file"),
                         ({"layer.0": "a\nb.safetensors"}, "plain file"), ({"layer.0": 3}, "plain file"),
                         ({"layer.0": "gone.safetensors"}, "gone.safetensors")):
        write_index(shards, {**placed, **wrong})
        done = run("dump-model", shards, os.devnull)
        check(done.returncode == 2 and words in done.stderr, f"{wrong}: {done.stderr}")


def write_index(folder, placed):
    with open(os.path.join(folder, "model.safetensors.index.json"), "w") as file:
        json.dump({"metadata": {}, "weight_map": placed}, file)


def numpy_arrays(random):
    arrays = {}
    for kind in ("<f8", "<f4", "<f2", ">f4", ">f8", ">i2", ">i8", "<i4", "u1", "i1", "<u2", ">u4", "?"):
        values = random.standard_normal((2, 3, 5)) * 50
        arrays["c" + kind] = np.abs(values).astype(kind) if "u" in kind else values.astype(kind)
        arrays["f" + kind] = np.asfortranarray(arrays["c" + kind])
    arrays["scalar"] = np.array(1.25)
    arrays["row"] = np.arange(7, dtype=np.float32)
    arrays["empty"] = np.zeros((0, 4), dtype=">f4")
    return arrays


NAMES = {"f8": "f64", "f4": "f32", "f2": "f16", "i1": "i8", "i2": "i16", "i4": "i32", "i8": "i64", "u1": "u8",
         "u2": "u16", "u4": "u32", "b1": "bool"}


def expected_arrays(arrays):
    return {name: (NAMES[array.dtype.kind + str(array.dtype.itemsize)], array.astype(np.float64))
            for name, array in arrays.items()}


def test_numpy(folder, random):
    arrays = numpy_arrays(random)
    for name, save in (("stored.npz", np.savez), ("deflated.npz", np.savez_compressed)):
        path = os.path.join(folder, name)
        save(path, **arrays)
        compare(dump("arrays", path), expected_arrays(arrays), name)
    limit, zipfile.ZIP64_LIMIT = zipfile.ZIP64_LIMIT, 60  # the 64-bit directory of archives above 4 GiB
    path = os.path.join(folder, "wide.npz")
    np.savez_compressed(path, **arrays)
    zipfile.ZIP64_LIMIT = limit
    check(b"PK\6\6" in open(path, "rb").read(), "no 64-bit directory was written")
    compare(dump("arrays", path), expected_arrays(arrays), "wide.npz")
    for i, (name, array) in enumerate(arrays.items()):
        path = os.path.join(folder, f"array{i}.npy")
        np.save(path, array)
        compare(dump("arrays", path), expected_arrays({f"array{i}": array}), name)
    test_numpy_refusals(folder, arrays)


def test_numpy_refusals(folder, arrays):
    path = os.path.join(folder, "mixed.npz")
    np.savez(path, words=np.array(["a", "b"]), row=arrays["row"])
    done = run("dump-arrays", path, os.devnull)
    check("array 'words'" in done.stderr, f"text is listed but not read: {done.stderr}")
    for name in ("stored.npz", "deflated.npz"):
        with zipfile.ZipFile(os.path.join(folder, name)) as archive:
            member = archive.getinfo("row.npy")
        data = bytearray(open(os.path.join(folder, name), "rb").read())
        lengths = data[member.header_offset + 26:member.header_offset + 30]
        start = member.header_offset + 30 + lengths[0] + 256 * lengths[1] + lengths[2] + 256 * lengths[3]
        data[start + member.compress_size - 3] ^= 0x55
        with open(path, "wb") as file:
            file.write(data)
        done = run("dump-arrays", path, os.devnull)
        check(done.returncode == 2 and "member 'row.npy'" in done.stderr, f"damage of {name}: {done.stderr}")


def main():
    global SCRATCH
    random = np.random.default_rng(20)
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as SCRATCH:
        for test in (test_gguf, test_gguf_splits, test_safetensors, test_shards, test_cache, test_numpy):
            test(folder, random)
    return failed()


sys.exit(main())
