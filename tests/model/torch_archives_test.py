# SPDX-License-Identifier: Apache-2.0
"""PyTorch archives (.pt, .bin) as arrays and as models against torch.load; what is not tensors in dictionaries is
refused by name and never executed. 77: torch missing."""
import collections
import json
import os
import pickle
import sys
import zipfile

try:
    import numpy as np
    import torch
except ImportError as missing:
    print(f"skipped: {missing}")
    sys.exit(77)

from reading import check, dump, main, refused, write_config

torch.manual_seed(5)
KINDS = {"f64": torch.float64, "f32": torch.float32, "f16": torch.float16, "bf16": torch.bfloat16,
         "f8_e4m3": torch.float8_e4m3fn, "f8_e5m2": torch.float8_e5m2, "i8": torch.int8, "u8": torch.uint8,
         "i16": torch.int16, "i32": torch.int32, "i64": torch.int64, "bool": torch.bool, "u16": torch.uint16,
         "u32": torch.uint32, "u64": torch.uint64}


def tensors_of_every_kind():
    tensors = {}
    for name, kind in KINDS.items():
        values = torch.randn(6, 10) * 40 if kind.is_floating_point else torch.randint(0, 100, (6, 10))
        tensors[name] = values.to(kind)
    tensors["scalar"], tensors["empty"] = torch.tensor(2.5), torch.zeros(0, 3)
    return tensors


def views():
    whole = torch.randn(4, 6, 5)
    return {"whole": whole, "transposed": whole.transpose(0, 2), "row": whole[2], "column": whole[:, :, 3],
            "steps": whole[::2, 1:5:3], "repeated": torch.randn(3, 1).expand(3, 7), "kept": whole.permute(2, 0, 1)[1:],
            "empty": whole[:, :0].transpose(0, 1)}


def compare(found, expected, what, forms=None):
    check(set(found) == set(expected), f"{what}: names differ: {sorted(set(found) ^ set(expected))}")
    for name in set(found) & set(expected):
        dtype, form, values = found[name]
        wanted = expected[name].detach().double().numpy()
        check(KINDS[dtype] == expected[name].dtype, f"{what} {name}: dtype {dtype}, not {expected[name].dtype}")
        check(values.shape == wanted.shape and np.array_equal(values, wanted), f"{what} {name}: values differ")
        if forms is not None:
            check(form == forms.get(name), f"{what} {name}: form {form}")


def deflated(path):
    """The same archive, members packed."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def test_arrays(folder):
    path = os.path.join(folder, "values.pt")
    for tensors in (tensors_of_every_kind(), views(), collections.OrderedDict(views())):
        for protocol in (2, 3, 4, 5):
            torch.save(tensors, path, pickle_protocol=protocol)
            compare(dump(path, "arrays"), tensors, f"arrays of protocol {protocol}")
        compare(dump(deflated(path), "arrays"), tensors, "deflated arrays")


def test_nesting(folder):
    path, value = os.path.join(folder, "run.v2.pt"), torch.randn(3, 4)
    torch.save({"a": {"b": [value, (value[1], None, 3)]}, "optimizer": {7: {"m": value.half()}}, "lr": 0.1,
                "n": -5, "big": 2**80, "text": "x", "flag": True, "type": torch.bfloat16, "size": value.shape,
                "where": torch.device("cpu"), "table": collections.defaultdict(dict, {"x": value}),
                "parameter": torch.nn.Parameter(value)}, path)
    compare(dump(path, "arrays"), {"a.b.0": value, "a.b.1.0": value[1], "optimizer.7.m": value.half(),
                                   "table.x": value, "parameter": value}, "nested")
    torch.save(value, path)
    compare(dump(path, "arrays"), {"run": value}, "bare")
    torch.save([value, value.T], path)
    compare(dump(path, "arrays"), {"0": value, "1": value.T}, "list")


def test_model(folder):
    network = torch.nn.Sequential(torch.nn.Linear(8, 16), torch.nn.LayerNorm(16), torch.nn.Linear(16, 4))
    state, path = network.state_dict(), os.path.join(folder, "pytorch_model.bin")
    write_config(folder, hidden_size=8)
    for wrapped in (state, {"state_dict": state, "epoch": 3}, {"model": state, "optimizer": {"m": torch.zeros(2)}},
                    {"_orig_mod." + key: value for key, value in state.items()},
                    {"model_state_dict": {"module." + key: value for key, value in state.items()}}):
        torch.save(wrapped, path)
        compare(dump(folder), state, "model", {})
    torch.save(views(), path)
    kept = {"transposed": "strided", "column": "strided", "steps": "strided", "repeated": "strided", "kept": "strided"}
    torch.save(state_of_views := views(), path)
    compare(dump(folder), state_of_views, "views", kept)
    compare(dump(deflated(path)), state_of_views, "deflated views")
    os.rename(path, os.path.join(folder, "ckpt.pt"))
    compare(dump(folder), state_of_views, "only .pt")


def test_shards(folder):
    parts = [{"a.weight": torch.randn(3, 4)}, {"b.weight": torch.randn(5), "c": torch.randn(2).half()}]
    placed = {}
    for number, part in enumerate(parts):
        name = f"pytorch_model-{number + 1:05}-of-00002.bin"
        torch.save(part, os.path.join(folder, name))
        placed.update({key: name for key in part})
    with open(os.path.join(folder, "pytorch_model.bin.index.json"), "w") as file:
        json.dump({"weight_map": placed}, file)
    compare(dump(folder), {**parts[0], **parts[1]}, "shards", {})
    os.remove(os.path.join(folder, placed["c"]))
    refused(folder, placed["c"])


def test_same_weights_as_safetensors(folder):
    """Quantised weights are computed from PyTorch files too."""
    codes, scale = torch.randn(32, 48).to(torch.float8_e4m3fn), torch.rand(32, 1)
    torch.save({"a.weight": codes, "a.weight_scale": scale}, os.path.join(folder, "pytorch_model.bin"))
    _, form, values = dump(folder)["a.weight"]
    check(form == "fp8 per channel" and np.array_equal(values.astype(np.float32), (codes.float() * scale).numpy()),
          "fp8 of a PyTorch file")


# ---- what is refused ----

class Evil:
    def __init__(self, call):
        self.call = call

    def __reduce__(self):
        return self.call


def test_never_executed(folder):
    path, witness = os.path.join(folder, "evil.pt"), os.path.join(folder, "executed")
    for name, call in (("posix.system", (os.system, (f"touch {witness}",))), ("builtin__.eval", (eval, ("1",))),
                       ("builtin__.getattr", (getattr, ("x", "upper"))), ("argparse.Namespace", None)):
        value = __import__("argparse").Namespace(a=1) if call is None else Evil(call)
        torch.save({"a": torch.zeros(2), "b": value}, path)
        refused(path, name, "arrays")
        refused(path, name)
    torch.save(torch.nn.Linear(2, 2), path)
    refused(path, "torch.nn.modules.linear.Linear", "arrays")
    check(not os.path.exists(witness), "a pickle was executed")


def test_other_formats(folder):
    path = os.path.join(folder, "old.pt")
    torch.save({"a": torch.zeros(2)}, path, _use_new_zipfile_serialization=False)
    refused(path, "before PyTorch 1.6", "arrays")
    refused(path, "before PyTorch 1.6")
    with open(path, "wb") as file:
        pickle.dump({"a": 1}, file)
    refused(path, "no PyTorch archive", "arrays")
    torch.jit.script(torch.nn.Linear(2, 2)).save(path)
    refused(path, "__torch__", "arrays")
    torch.save({"a": torch.eye(3).to_sparse()}, path)
    refused(path, "sparse", "arrays")


def rewrite(path, change):
    """The archive with members changed by `change`: name without folder -> bytes or None."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            data = change(name.split("/", 1)[1], data)
            if data is not None:
                archive.writestr(name, data)


def test_damage(folder):
    path = os.path.join(folder, "x.pt")

    def damaged(change, words, kind="arrays"):
        torch.save({"a": torch.randn(4, 4)}, path)
        rewrite(path, change)
        refused(path, words, kind)

    damaged(lambda name, data: None if name == "data/0" else data, "lacks its values")
    damaged(lambda name, data: data[:-4] if name == "data/0" else data, "beyond its values")
    damaged(lambda name, data: None if name == "data.pkl" else data, "no PyTorch file", "model")
    damaged(lambda name, data: b"big" if name == "byteorder" else data, "big-endian")
    for at in (3, 20, 60, -1):
        damaged(lambda name, data: data[:at] if name == "data.pkl" else data, "damaged")
    deep, loop = [], {}
    for _ in range(60):
        deep = [deep, deep]
    loop["again"] = loop
    for value in (deep, loop):
        torch.save({"a": torch.zeros(2), "b": value}, path)
        refused(path, "without end", "arrays")
    torch.save({"a": torch.zeros(1).expand(1 << 30, 1 << 30)}, path)
    refused(path, "contiguous", "arrays")


main([test_arrays, test_nesting, test_model, test_shards, test_same_weights_as_safetensors, test_never_executed,
      test_other_formats, test_damage])
