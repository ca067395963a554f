#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The edit-run loop in one command (run --verify), and injected tensors (compare --inject), with the sample engine.

    loop_test.py ENGINE MAKE_MODEL
"""
import json
import os
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from checks import check, failed

BUILD = os.environ["TENSORTAP_BUILD"]
COMMAND = os.path.join(BUILD, "bin", "tensortap")
ENGINE, MAKE_MODEL = sys.argv[1:3]
IDS = "1,5,9,33,7,100"


class Loop:
    """A model in a folder, and `run --verify` on the engine with it."""

    def __init__(self, folder):
        self.folder = folder
        self.model = os.path.join(folder, "model.gguf")
        subprocess.run([MAKE_MODEL, "-o", self.model], check=True, capture_output=True, timeout=60)
        base = {key: value for key, value in os.environ.items() if not key.startswith("TENSORTAP_") and key != "LD_PRELOAD"}
        self.environment = {**base, "XDG_CACHE_HOME": os.path.join(folder, "cache")}

    def tensortap(self, *arguments):
        return subprocess.run([COMMAND, *arguments], capture_output=True, text=True, timeout=120, env=self.environment,
                              cwd=self.folder)

    def verify(self, *command, options=("--model", "model.gguf", "--tokens", IDS)):
        return self.tensortap("run", "--verify", "-o", "captures", *options, "--", *command)

    def engine(self, *more):
        return [ENGINE, "-m", "{model}", "-t", "{tokens}", "-n", "2", *more]

    def references(self):
        folder = os.path.join(self.folder, "cache", "tensortap", "references")
        return sorted(os.listdir(folder)) if os.path.isdir(folder) else []


def document(done):
    return json.loads(done.stdout[done.stdout.index("{"):])


def test_verdicts(loop):
    right = loop.verify(*loop.engine())
    check(right.returncode == 0 and "\nmatch " in right.stdout and "made and kept" in right.stderr, f"{right}")
    wrong = loop.verify(*loop.engine("--fault", "rope.theta"))
    check(wrong.returncode == 1 and "rope.theta" in wrong.stdout and "as kept in" in wrong.stderr, f"{wrong}")
    check(len(loop.references()) == 1, f"one reference for one prompt: {loop.references()}")
    other = loop.verify(*loop.engine(), options=("--model", "model.gguf", "--tokens", "3,4"))
    check(other.returncode == 0 and len(loop.references()) == 2, f"another prompt, another reference: {other}")
    read = loop.verify(ENGINE, "-m", "model.gguf", "-t", "1,5,9,33,8,100")
    check(read.returncode == 1 and "input.tokens" in read.stdout, f"not the prompt that was asked for: {read.stdout}")
    check(all("." not in name for name in loop.references()), "nothing half-made stays")


def test_model_changed(loop):
    """A reference is of a model as it was: other weights are another one."""
    first = loop.references()
    subprocess.run([MAKE_MODEL, "-o", loop.model, "--seed", "9"], check=True, capture_output=True, timeout=60)
    done = loop.verify(*loop.engine())
    check(done.returncode == 0 and len(loop.references()) == len(first) + 1, f"{done}")
    subprocess.run([MAKE_MODEL, "-o", loop.model], check=True, capture_output=True, timeout=60)


def test_statuses(loop):
    both = loop.verify("sh", "-c", f"{ENGINE} -m model.gguf -t {IDS} --fault rope.theta; exit 7")
    check(both.returncode == 7 and "rope.theta" in both.stdout, f"the program's failure wins: {both.returncode}")
    nothing = loop.verify("true")
    check(nothing.returncode == 3 and nothing.stdout.startswith("unmeasured"), f"{nothing}")
    allowed = loop.verify("true", options=("--allow-partial",))
    check(allowed.returncode == 0, f"{allowed}")
    for options, line in ((("--tokens", "1,x"), "1,x"), (("--against", "nowhere"), "nowhere"), ((), "{tokens}")):
        done = loop.verify(*loop.engine(), options=("--model", "model.gguf", *options))
        check(done.returncode == 125 and len(done.stderr.splitlines()) == 1 and line in done.stderr, f"{options}: {done}")
    plain = loop.tensortap("run", "-q", "-o", "captures", "--", "echo", "{tokens}")
    check(plain.stdout == "{tokens}\n" and plain.returncode == 0, f"without --verify nothing is filled: {plain}")


def test_document(loop):
    done = loop.verify(*loop.engine("--fault", "rope.theta"), options=("--model", "model.gguf", "--tokens", IDS, "--json"))
    found = document(done)
    check(found["schema"] == "tensortap.run/1" and found["verdict"] == "mismatch" and found["status"] == 0, f"{found['verdict']}")
    check(IDS in found["command"] and "model.gguf" in found["command"], f"{found['command']}")
    verdict = found["captures"][0]["verdict"]
    check(verdict["schema"] == "tensortap.verdict/1" and verdict["faults"][0]["cause"] == "rope.theta", f"{verdict['verdict']}")
    check(done.returncode == 1, f"{done.returncode}")
    rows = loop.verify(*loop.engine(), options=("--model", "model.gguf", "--tokens", IDS, "--rows"))
    check("p0/L0.attn.q_proj" in rows.stdout and rows.stdout.index("L0.attn.q_proj") < rows.stdout.index("L2.attn.q_proj"), "rows")


def test_job(loop):
    path = os.path.join(loop.folder, "job.json")
    with open(path, "w", encoding="utf-8") as file:
        json.dump({"verify": True, "model": "model.gguf", "tokens": [1, 5, 9], "out": "captures", "quiet": True,
                   "command": loop.engine()}, file)
    done = loop.tensortap("run", "--config", path)
    check(done.returncode == 0 and "\nmatch " in done.stdout and not done.stderr, f"{done}")


def test_inject(loop):
    """With the faulty value taken from the run, everything behind it agrees; with a later one, the fault of the next layer
    is what is left."""
    run = loop.tensortap("run", "-q", "-o", "bad", "--", ENGINE, "-m", "model.gguf", "-t", IDS, "-n", "3", "--fault",
                         "rope.theta")
    check(run.returncode == 0, f"{run}")
    for arguments in (["--like", "bad", "-o", "like"], ["--tokens", IDS, "-o", "prompt"], ["--tokens", IDS, "-n", "2", "-o", "own"]):
        made = loop.tensortap("ref", "model.gguf", *arguments)
        check(made.returncode == 0, f"{made}")
    for reference in ("like", "prompt", "own"):
        done = loop.tensortap("compare", "bad", reference, "--inject", "attn.q_rope,attn.k_cache", "--json")
        found = document(done)
        check(done.returncode == 0 and found["after"]["apart"] == 0 and found["after"]["compared"] > 30, f"{found['after']}")
        # what the reference decodes by itself are other tokens, whose values say nothing about the engine
        check(found.get("other_tokens_from_pass") == (1 if reference == "own" else None), f"{reference}: tokens of its own")
        check(found["agrees_from"] == "L0.attn.qk" and found["before"]["first"] == "L0.attn.q_rope", f"{found['before']}")
    later = loop.tensortap("compare", "bad", "like", "--inject", "L0.attn.context", "--json")
    found = document(later)
    check(later.returncode == 1 and found["after"]["first"] == "L1.attn.q_rope" and found["agrees_from"] is None, f"{found['after']}")
    unknown = loop.tensortap("compare", "bad", "like", "--inject", "attn.nothing")
    check(unknown.returncode == 2 and len(unknown.stderr.splitlines()) == 1, f"{unknown}")
    made = loop.tensortap("ref", "model.gguf", "--tokens", IDS, "--inject", "attn.q_rope@bad", "--inject", "attn.k_cache@bad", "-o",
                          "injected")
    check(made.returncode == 0, f"{made}")
    rows = document(loop.tensortap("compare", "bad", "injected", "--json"))["components"]
    away = [row for row in rows if row["status"] == "propagated" and row["pass"] == 0]
    check(not away, f"away from the injected reference: {away[:1]}")
    seen = document(loop.tensortap("attention", "model.gguf", "--layer", "0", "--against", "bad", "--json"))
    first = next(item["name"] for item in seen["components"] if item["against"]["verdict"] == "mismatch")
    check(first == "L0.attn.q_rope", f"attention --against finds {first}")


def main():
    with tempfile.TemporaryDirectory() as folder:
        loop = Loop(folder)
        for name, test in list(globals().items()):
            if name.startswith("test_"):
                test(loop)
    sys.exit(failed())


if __name__ == "__main__":
    main()
