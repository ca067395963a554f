# SPDX-License-Identifier: Apache-2.0
"""Runs primitives of the analyzer through `ops_test serve`, and judges foreign results against them."""
import os
import subprocess
import tempfile

import numpy as np

F32, F16, BF16 = 2.0**-24, 2.0**-11, 2.0**-8


class Value:
    def __init__(self, v, var, row):
        self.v, self.var, self.row = v, var, row


class Ops:
    def __init__(self):
        program = os.path.join(os.environ["TENSORTAP_BUILD"], "bin", "ops_test")
        self.folder = tempfile.TemporaryDirectory()
        self.process = subprocess.Popen([program, "serve"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def close(self):
        self.process.stdin.close()
        assert self.process.wait() == 0
        self.folder.cleanup()

    def say(self, text):
        self.process.stdin.write(text + "\n")
        self.process.stdin.flush()

    def hear(self):
        line = self.process.stdout.readline().rstrip("\n")
        if not line:
            raise RuntimeError("ops_test ended")
        return line

    def store(self, name, array, dtype):
        array = np.ascontiguousarray(array, dtype=dtype)
        path = os.path.join(self.folder.name, name)
        array.tofile(path)
        return f"{path} {array.ndim} " + " ".join(map(str, array.shape))

    def set_up(self, op, inputs=(), weights=(), attributes=None, positions=None, key_positions=None, tokens=None,
               types=None, u_store=F32, u_acc=F32, split=None):
        self.say(f"op {op}")
        self.say(f"numerics {u_store!r} {u_acc!r}")
        for i, array in enumerate(inputs):
            self.say(f"input {i} " + self.store(f"in{i}", array, np.float64))
        for i, array in enumerate(weights):
            if array is not None:
                self.say(f"weight {i} " + self.store(f"weight{i}", array, np.float64))
        for name, value in (attributes or {}).items():
            self.say(f"string {name} {value}" if isinstance(value, str) else f"number {name} {float(value)!r}")
        if split:
            self.say(f"split {split[0]} {split[1]}")
        rows = positions if positions is not None else tokens
        if rows is not None:
            zeros = np.zeros(len(rows), np.int64)
            keys = key_positions if key_positions is not None else (positions if positions is not None else zeros)
            parts = [tokens if tokens is not None else zeros, positions if positions is not None else zeros,
                     types if types is not None else zeros, keys]
            path = self.store("pass", np.concatenate([np.asarray(p, np.int64) for p in parts]), np.int64).split()[0]
            self.say(f"pass {path} {len(rows)} {len(keys)}")

    def forward(self, op, **call):
        self.set_up(op, **call)
        prefix = os.path.join(self.folder.name, "out")
        self.say(f"forward {prefix}")
        words = self.hear().split()
        if words[0] == "error":
            raise ValueError(" ".join(words[1:]))
        shape = [int(w) for w in words[3:]]
        read = lambda name, there, shape: np.fromfile(f"{prefix}.{name}").reshape(shape) if int(there) else np.zeros(shape)
        return Value(read("v", 1, shape), read("var", words[1], shape), read("row", words[2], shape[:-1]))

    def recover(self, op, observed, **call):
        """[(cause, expected, found, {attribute: value})]"""
        self.set_up(op, **call)
        self.say("recover 0 " + self.store("observed", observed, np.float64))
        found = []
        while (line := self.hear()) != "end":
            _, cause, expected, what, sets = line.split("\t")
            found.append((cause, expected, what, evaluate_all(sets, {})))
        return found

    def table(self, op):
        """defaults, [(cause, set, when)] of variants, the same of benign forms, roles of weights"""
        self.say(f"op {op}")
        self.say("variants")
        rows = {"variant": [], "benign": []}
        defaults, roles = "", []
        while (line := self.hear()) != "end":
            kind, *fields = line.split("\t")
            if kind == "defaults":
                defaults = fields[0]
            elif kind == "weight":
                roles.append(fields[0])
            else:
                rows[kind].append(tuple(fields))
        return defaults, rows["variant"], rows["benign"], roles


def round_bf16(x):
    bits = np.float32(x).view(np.uint32)
    return float(np.uint32((int(bits) + 0x7FFF + ((int(bits) >> 16) & 1)) & 0xFFFF0000).view(np.float32))


FUNCTIONS = {"sqrt": np.sqrt, "min": min, "max": max, "floor": np.floor, "round_bf16": round_bf16}


def evaluate(text, names):
    python = text.replace("&&", " and ").replace("||", " or ").replace("!=", "\0").replace("!", " not ").replace("\0", "!=")
    return eval(python, {"__builtins__": {}}, {**FUNCTIONS, **names})


def evaluate_all(text, names):
    """name=expression, … of a variant or a table of defaults"""
    result = {}
    for item in filter(None, (part.strip() for part in text.split(","))):
        name, expression = item.split("=", 1)
        result[name] = evaluate(expression, names)
    return result


def judge(expected, observed):
    """chi²/N with each row's common factor fitted, and the largest |z|."""
    observed = np.asarray(observed, np.float64)
    error = observed - expected.v
    same = error == 0
    variance = np.where(expected.var > 0, expected.var, np.where(same, 1.0, 1e-300))
    width = error.shape[-1]
    e, y, s = error.reshape(-1, width), expected.v.reshape(-1, width), variance.reshape(-1, width)
    row = expected.row.reshape(-1)
    prior = np.where(row > 0, 1 / np.where(row > 0, row, 1), np.inf)
    factor = (e * y / s).sum(1) / ((y * y / s).sum(1) + prior)
    left = e - factor[:, None] * y
    penalty = np.where(row > 0, factor**2 / np.where(row > 0, row, 1), 0)
    chi2 = ((left**2 / s).sum() + penalty.sum()) / error.size
    z = np.abs(error.reshape(-1, width)) / np.sqrt(s + row[:, None] * y * y)
    return float(chi2), float(z.max())
