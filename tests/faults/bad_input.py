# SPDX-License-Identifier: Apache-2.0
"""Wrong use and damaged files: exit 2 and one line that says what, where and what to do; with --json one document on
stdout as well. A capture that was cut is read as far as it goes. Nothing is overwritten, nothing crashes.

    bad_input.py BIN
"""
import json
import os
import random
import shutil
import struct
import sys
import tempfile

from traced_engine import Bench

PROMPT, OTHER = "1,5,9,33,7,100,250,17,42,8,199,3", "1,5,9,34,7,100,250,17,42,8,199,3"
MODELS = {"llama": [], "seed": ["--seed", "11"], "narrow": ["--hidden", "96", "--head-dim", "16"], 
          "gemma": ["--arch", "gemma", "--seed", "12"]}
CUTS = 24
failed = 0


def check(right, text):
    global failed
    failed += not right
    print("%s %s" % ("ok    " if right else "FAILED", text), flush=True)


def state(path):
    """Everything below a path, to see that it stays."""
    return sorted((folder, name, os.path.getsize(os.path.join(folder, name)))
                  for folder, _, names in os.walk(path) for name in names)


def refused(bench, what, arguments, *words):
    plain = bench.run("tensortap", *arguments)
    lines = plain.stderr.splitlines()
    right = plain.returncode == 2 and plain.stdout == "" and len(lines) == 1
    missing = [word for word in words if word not in plain.stderr]
    document = bench.run("tensortap", *arguments, "--json")
    try:
        told = json.loads(document.stdout)
    except ValueError:
        told = {}
    right = (right and not missing and document.returncode == 2 and told.get("schema") == "tensortap.error/1"
             and told.get("status") == 2)
    check(right, "%-34s exit %d, %s%s" % (what, plain.returncode, plain.stderr.strip()[:150] or "nothing on stderr",
                                          ", not told: %s" % missing if missing else ""))


def write(path, data):
    with open(path, "wb") as file:
        file.write(data)
    return path


def read(path):
    with open(path, "rb") as file:
        return file.read()


def damaged_models(bench, capture):
    gguf, folder = bench.model("llama", "gguf"), bench.model("llama", "hf")
    whole = read(gguf)
    bad = {"empty.gguf": b"", "text.gguf": b"not a model\n" * 40, "cut-header.gguf": whole[:100],
           "cut-data.gguf": whole[:len(whole) // 2], "cut-end.gguf": whole[:-64]}
    weights = read(os.path.join(folder, "model.safetensors"))
    huge = {"huge": struct.pack("<Q", 1 << 60) + weights[8:], "cut": weights[:len(weights) // 2], "short": weights[:5]}
    for name, data in bad.items():
        path = write(os.path.join(bench.folder, name), data)
        refused(bench, "verify, " + name, ["verify", capture, "--model", path], path)
        refused(bench, "ref, " + name, ["ref", path, "--tokens", PROMPT, "-o", path + ".ref"], path)
        check(not os.path.exists(path + ".ref"), "no reference of " + name)
    for name, data in huge.items():
        path = os.path.join(bench.folder, name + "-hf")
        shutil.copytree(folder, path)
        write(os.path.join(path, "model.safetensors"), data)
        for command in ("verify", "map"):
            refused(bench, "%s, %s safetensors" % (command, name), [command, capture, "--model", path], path)
    unconfigured = os.path.join(bench.folder, "unconfigured-hf")
    shutil.copytree(folder, unconfigured)
    os.remove(os.path.join(unconfigured, "config.json"))
    refused(bench, "verify, no config.json", ["verify", capture, "--model", unconfigured], unconfigured)
    heads = {"architectures": ["LlamaForCausalLM"], "vocab_size": 99, "hidden_size": 96, "intermediate_size": 64,
             "num_hidden_layers": 1, "num_attention_heads": 6}
    for shared in (8, 4):
        path = write(os.path.join(bench.folder, "heads-%d.json" % shared),
                     json.dumps(dict(heads, num_key_value_heads=shared)).encode())
        refused(bench, "params, %d key heads" % shared, ["params", path], path, "6 query heads", "%d key heads" % shared)


def wrong_paths(bench, capture):
    gguf, none, empty = bench.model("llama", "gguf"), os.path.join(bench.folder, "none"), os.path.join(bench.folder, "empty")
    os.mkdir(empty)
    refused(bench, "verify, no such capture", ["verify", none, "--model", gguf], none, "No such file")
    refused(bench, "verify, no such model", ["verify", capture, "--model", none], none, "No such file")
    refused(bench, "compare, no such reference", ["compare", capture, none, "--model", gguf], none, "No such file")
    refused(bench, "map, no such capture", ["map", none, "--model", gguf], none)
    for command in ("verify", "map", "info", "ls"):
        refused(bench, command + ", empty parent", [command, empty], empty)
    refused(bench, "compare, empty reference", ["compare", capture, empty, "--model", gguf], empty)
    refused(bench, "verify, a model for a capture", ["verify", gguf], gguf)
    refused(bench, "ref, a capture for a model", ["ref", capture, "--tokens", "1", "-o", none], capture)


def wrong_outputs(bench, capture):
    gguf, before = bench.model("llama", "gguf"), state(capture)
    refused(bench, "ref, -o exists", ["ref", gguf, "--tokens", "1", "-o", capture], capture, "exists")
    check(state(capture) == before, "an existing -o stays as it was")
    refused(bench, "ref, folder of -o missing", ["ref", gguf, "--tokens", "1", "-o", os.path.join(bench.folder, "no/where")], "no/where")
    refused(bench, "ref, -o below a file", ["ref", gguf, "--tokens", "1", "-o", os.path.join(gguf, "x")], gguf)
    refused(bench, "verify, --out below a file", ["verify", capture, "--model", gguf, "--out", os.path.join(gguf, "x")], gguf)
    locked = os.path.join(bench.folder, "locked")
    os.mkdir(locked, 0o500)
    if os.geteuid() != 0:
        refused(bench, "ref, unwritable folder", ["ref", gguf, "--tokens", "1", "-o", os.path.join(locked, "x")], locked)


def wrong_tokens(bench):
    gguf, out = bench.model("llama", "gguf"), os.path.join(bench.folder, "tokens.ref")
    for tokens in ("", "1,,2", "1,x", "-1", "1,99999999999999999999", "1,331"):
        refused(bench, "ref, tokens '%s'" % tokens, ["ref", gguf, "--tokens", tokens, "-o", out])
    check(not os.path.exists(out), "no reference of wrong tokens")


def strangers(bench, capture):
    """What does not belong together."""
    gguf = bench.model("llama", "gguf")
    for kind in ("seed", "narrow", "gemma"):
        other = bench.model(kind, "gguf")
        refused(bench, "verify, the model " + kind, ["verify", capture, "--model", other], other)
        refused(bench, "compare, reference of " + kind, ["compare", capture, bench.reference(other, PROMPT), "--model", gguf])
    status, document = bench.ask("compare", capture, bench.reference(gguf, OTHER), "--model", gguf)
    first = document["faults"][0] if document["faults"] else {}
    check(status == 1 and (first["class"], first["cause"], first["at"]["index"][0]) == ("input", "input.tokens", 3),
          "compare, other prompt: %s at %s" % (first.get("cause"), first.get("at")))


def survived(bench, what, arguments, statuses=(0, 1, 2, 3)):
    done = bench.run("tensortap", *arguments, "--json")
    one_line = done.returncode != 2 or len(done.stderr.splitlines()) == 1
    try:
        document = json.loads(done.stdout)
    except ValueError:
        document = None
    right = done.returncode in statuses and one_line and document is not None
    if not right:
        check(False, "%s: exit %d, %s" % (what, done.returncode, done.stderr.strip()[:200]))
    return right, document


def cut_captures(bench, capture):
    """Cut or overwritten at random: as much as is left is read, and no fault is made up out of what is missing."""
    model, dice = bench.model("llama", "gguf"), random.Random(5)
    (inner,) = os.listdir(capture)
    files = sorted(os.listdir(os.path.join(capture, inner)))
    right, found = 0, []
    for i in range(CUTS * len(files)):
        copy = tempfile.mkdtemp(dir=bench.folder)
        shutil.rmtree(copy)
        shutil.copytree(capture, copy)
        name = files[i % len(files)]
        path = os.path.join(copy, inner, name)
        data = bytearray(read(path))
        how = "cut" if i // len(files) % 2 == 0 else "overwritten"
        at = dice.randrange(len(data))
        if how == "cut":
            del data[at:]
        else:
            data[at:at + 64] = bytes(dice.randrange(256) for _ in range(min(64, len(data) - at)))
        write(path, bytes(data))
        what = "%s %s at %d" % (name, how, at)
        alive, document = survived(bench, "verify, " + what, ["verify", copy, "--model", model])
        if alive and how == "cut" and document.get("faults"):
            found.append(what + ": " + document["faults"][0]["cause"])
        for command in ("info", "ls", "map"):
            alive = survived(bench, command + ", " + what, [command, copy])[0] and alive
        right += alive
        shutil.rmtree(copy)
    check(right == CUTS * len(files), "%d of %d damaged captures were read or refused" % (right, CUTS * len(files)))
    check(not found, "no fault is named in a right run that was cut %s" % found[:3])


def main():
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(sys.argv[1], folder, MODELS)
        capture = bench.capture("tensortap-engine", bench.model("llama", "gguf"), "-t", PROMPT, "-n", "3")
        damaged_models(bench, capture)
        wrong_paths(bench, capture)
        wrong_outputs(bench, capture)
        wrong_tokens(bench)
        strangers(bench, capture)
        cut_captures(bench, capture)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
