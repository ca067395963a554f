# SPDX-License-Identifier: Apache-2.0
"""Pairs of model files, and what `tensortap models` says of them.

TENSORTAP_BUILD names the build folder. Exit 77: transformers, safetensors or gguf is missing.
"""
import json
import os
import subprocess
import sys
import tempfile
import traceback

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "support")]
COMMAND = os.path.join(os.environ["TENSORTAP_BUILD"], "bin", "tensortap")

try:
    import torch  # noqa: F401
    import transformers  # noqa: F401
    import tiny_models
    import gguf  # noqa: F401
    import convert
except ImportError as missing:
    print(f"skipped: {missing}")
    sys.exit(77)

# Where a GGUF file cannot say what a configuration can, the model is one for which both agree.
SPECIAL = {
    "gemma2": {"query_pre_attn_scalar": 32}, "gemma3": {"query_pre_attn_scalar": 32},
    "deepseek_v2": {"rms_norm_eps": 1e-6}, "deepseek_v3": {"rms_norm_eps": 1e-6},
}


class Failed(Exception):
    """What a test found wrong."""


def require(condition, text):
    if not condition:
        raise Failed(text)


def make(folder, family, **members):
    path = os.path.join(folder, "-".join([family, *map(str, members.values())]))
    return tiny_models.make(family, path, **{**SPECIAL.get(family, {}), **members})


def tensortap(*arguments):
    """(exit status, document, the process) under --json."""
    done = subprocess.run([COMMAND, *arguments, "--json"], capture_output=True, text=True, timeout=300)
    try:
        return done.returncode, json.loads(done.stdout), done
    except ValueError:
        raise Failed(f"{arguments}: no JSON: {done.stdout[:200]} {done.stderr[:300]}")


def subprocess_of(*arguments):
    """What the command prints for people; it must succeed."""
    done = subprocess.run([COMMAND, *arguments], capture_output=True, text=True, timeout=300)
    require(done.returncode == 0, f"{arguments}: exit {done.returncode}: {done.stderr}")
    return done.stdout


def models(a, b):
    status, document, done = tensortap("models", a, b)
    require(status in (0, 1), f"models {a} {b}: exit {status}: {done.stderr}")
    require(document["schema"] == "tensortap.models/1", f"schema {document['schema']}")
    require((status == 0) == (document["verdict"] == "match") == (not document["findings"]),
            f"exit {status}, {document['verdict']}, {len(document['findings'])} findings")
    return document


def told(document):
    return "; ".join(f"{f['cause']} {f['component']} {f['expected']} | {f['found']} | {f['evidence']}"
                     for f in document["findings"])


def expect_match(a, b, weights=None):
    document = models(a, b)
    require(document["verdict"] == "match", f"{b}: {told(document)}")
    require(document["tensors"] and (weights is None or len(document["tensors"]) >= weights),
            f"{b}: only {len(document['tensors'])} weights compared")
    return document


def main(cases):
    """Runs every case (name, function of a folder); says which failed."""
    failed = 0
    with tempfile.TemporaryDirectory() as folder:
        for name, case in cases:
            if len(sys.argv) > 1 and name not in sys.argv[1:]:
                continue
            try:
                case(folder)
            except Exception as problem:
                failed += 1
                print(f"{name}: {problem}", flush=True)
                if not isinstance(problem, Failed):
                    traceback.print_exc()
    print(f"{len(cases)} cases, {failed} failed")
    sys.exit(failed != 0)
