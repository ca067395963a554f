# SPDX-License-Identifier: Apache-2.0
"""The sample engine under the tap: models, captures, verdicts, and what two captures differ in, measured without the
analyzer's arithmetic."""
import array
import json
import math
import os
import struct
import subprocess
import tempfile

SAME, UNSURE, DIFFERENT = "same", "within rounding", "different"
# Mean square of a row's difference over that of the row, by the engine's type: rounding alone; surely more, in the
# first operand that differs; surely more, wherever it has been carried to (in bf16 rounding alone ends in other tokens).
FLOOR = {"f32": (1e-12, 1e-9, 1e-6), "bf16": (1e-5, 1e-4, math.inf)}


class Bench:
    """Programs of one build; models and captures in one folder."""

    def __init__(self, binaries, folder, models):
        self.binaries, self.folder, self.kinds, self.models = binaries, folder, models, {}

    def run(self, program, *arguments):
        return subprocess.run([os.path.join(self.binaries, program), *arguments], capture_output=True, text=True)

    def must(self, program, *arguments):
        done = self.run(program, *arguments)
        assert done.returncode == 0, "%s %s: %s" % (program, " ".join(arguments), done.stderr)
        return done

    def model(self, kind, form):
        """A .gguf file or a Hugging Face folder."""
        if (kind, form) not in self.models:
            path = os.path.join(self.folder, kind + (".gguf" if form == "gguf" else "-hf"))
            self.must("tensortap-make-model", "-o", path, *self.kinds[kind])
            self.models[kind, form] = path
        return self.models[kind, form]

    def capture(self, engine, model, *options, tap=()):
        out = tempfile.mkdtemp(dir=self.folder)
        self.must("tensortap", "run", "-q", "-o", out, *tap, "--", os.path.join(self.binaries, engine), "-m", model, *options)
        return out

    def reference(self, model, tokens):
        """Kept: every capture of the same model and prompt has the same one."""
        path = "%s.%s.ref" % (model, tokens.replace(",", "-")[:60])
        if not os.path.exists(path):
            self.must("tensortap", "ref", model, "--tokens", tokens, "-o", path)
        return path

    def ask(self, command, *arguments):
        """(exit status, document)"""
        done = self.run("tensortap", command, *arguments, "--json")
        try:
            return done.returncode, json.loads(done.stdout)
        except ValueError:
            return done.returncode, {"faults": [], "unobservable": [], "verdict": done.stderr.strip() or "no output"}


def operands(bench, capture):
    """[(name, digest)] in the order of calls, {digest: rows} of what was kept."""
    listing = json.loads(bench.must("tensortap", "ls", capture, "--json").stdout)["captures"]
    assert len(listing) == 1
    folder = listing[0]["capture"]
    order, wanted = [], {}
    for tensor in listing[0]["tensors"]:
        order.append((tensor["name"], tensor["digest"]))
        wanted.setdefault("c%d.%s.%s" % (tensor["call"], tensor["role"], tensor["when"]), tensor["digest"])
    values = {}
    for name in sorted(os.listdir(folder)):
        if name.endswith(".safetensors"):
            values.update((wanted[key], rows) for key, rows in shard(os.path.join(folder, name)) if key in wanted)
    return order, values


def shard(path):
    with open(path, "rb") as file:
        data = file.read()
    length = struct.unpack("<Q", data[:8])[0]
    for name, entry in json.loads(data[8:8 + length]).items():
        if entry.get("dtype") == "F32" and entry["shape"]:
            begin, end = (8 + length + offset for offset in entry["data_offsets"])
            flat, width = array.array("f", data[begin:end]), entry["shape"][-1]
            yield name, [flat[i:i + width] for i in range(0, len(flat), width)]


def distance(a, b):
    """Largest mean square difference of a row over the row's mean square."""
    worst = 0.0
    for left, right in zip(a, b):
        error, size = (sum((x - y) ** 2 for x, y in zip(left, right)), sum(y * y for y in right))
        if not math.isfinite(error):
            return math.inf
        worst = max(worst, error / size if size else math.inf if error else 0.0)
    return worst


def difference(bench, right, wrong, dtype):
    """Do two captures hold different operands? By digests first; where they differ, by their values."""
    (order_a, values_a), (order_b, values_b) = operands(bench, right), operands(bench, wrong)
    if order_a == order_b:
        return SAME
    if [name for name, _ in order_a] != [name for name, _ in order_b]:
        return DIFFERENT
    quiet, clear, carried = FLOOR[dtype]
    worst, seen = 0.0, set()
    for (_, a), (_, b) in zip(order_a, order_b):
        if a == b or (a, b) in seen:
            continue
        seen.add((a, b))
        if a not in values_a or b not in values_b:
            continue  # a cache, kept in rows: what is read from it shows
        worst = max(worst, distance(values_a[a], values_b[b]))
        if worst > (clear if len(seen) == 1 else carried):
            return DIFFERENT
    return SAME if 0 < worst <= quiet else UNSURE
