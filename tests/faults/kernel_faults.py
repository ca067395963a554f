# SPDX-License-Identifier: Apache-2.0
"""A BLAS that computes wrongly is told from a program that asks for the wrong thing, with and without a model.

    kernel_faults.py BIN USER WRONG_BLAS     (programs of the build, the library libwrong-blas.so)
"""
import json
import os
import subprocess
import sys
import tempfile

BIN, USER, LIBRARY = sys.argv[1:4]
PROMPT = "1,5,9,33,7,100,250,17,42,8,199,3"
# WRONG_BLAS: (verdict, cause of the first fault, a word that its finding holds)
ALONE = {
    "none": ("match", None, None),
    "tf32": ("match", None, None),
    "tail": ("mismatch", "linear.tile_remainder", "columns 20 to 22 of 23"),
    "f16": ("mismatch", "precision.accumulate_f16", "f16"),
    "bf16": ("mismatch", "precision.accumulate_bf16", "bf16"),
    "alpha": ("mismatch", "linear.scale", "alpha 1"),
    "beta": ("mismatch", "linear.scale", "beta 0"),
    "half": ("mismatch", "linear.scale", "0.5"),
    "nan": ("mismatch", "value.nan", "NaN"),
    "noise": ("mismatch", "unknown", ""),
}
STATUS = {"match": 0, "mismatch": 1, "unmeasured": 3}
failed = 0


def check(right, text):
    global failed
    failed += not right
    print("%s %s" % ("ok    " if right else "FAILED", text), flush=True)


def run(*command, **variables):
    return subprocess.run(command, capture_output=True, text=True, env={**os.environ, **variables})


def capture(folder, command, how, **variables):
    out = tempfile.mkdtemp(dir=folder)
    done = run(os.path.join(BIN, "tensortap"), "run", "-q", "-o", out, "--", *command, WRONG_BLAS=how, LD_PRELOAD=LIBRARY,
               OPENBLAS_NUM_THREADS="1", **variables)
    assert done.returncode == 0, done.stderr
    return out


def verify(out, *options):
    done = run(os.path.join(BIN, "tensortap"), "verify", out, "--json", *options)
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)


def without_model(folder):
    for how, (verdict, cause, words) in ALONE.items():
        status, document = verify(capture(folder, [USER], how))
        first = document["faults"][0] if document["faults"] else None
        right = document["verdict"] == verdict and status == STATUS[verdict] and bool(first) == bool(cause)
        if first:
            right = (right and first["cause"] == cause and words in (first["found"] or "") and first["class"] == "kernel"
                     and first["component"] is None and first["call"] > 0 and "cblas_s" in first["where"])
        calls = [row for row in document["components"] if row["component"] is None]
        forms = {row.get("form") for row in calls}
        right = right and len(calls) == 5 and all(row["op"] and row["routine"] for row in calls)
        if how == "tf32":
            right = right and "tf32 operands" in forms
        check(right, "%-6s -> %s %s" % (how, document["verdict"], first and (first["cause"], first["found"], first["where"])))


def without_values(folder):
    """Nothing kept, nothing measured: never a pass."""
    status, document = verify(capture(folder, [USER], "none", TENSORTAP_MODE="stats"))
    check(status == 3 and document["verdict"] == "unmeasured", "no values -> %s" % document["verdict"])


def with_model(folder):
    model = os.path.join(folder, "model.gguf")
    assert run(os.path.join(BIN, "tensortap-make-model"), "-o", model).returncode == 0
    engine = [os.path.join(BIN, "tensortap-engine"), "-m", model, "-t", PROMPT, "-n", "3"]
    for how, cause in (("none", None), ("f16", "precision.accumulate_f16"), ("noise", "unknown"), ("half", "linear.scale")):
        status, document = verify(capture(folder, engine, how))
        first = document["faults"][0] if document["faults"] else None
        right = status == (1 if cause else 0) and bool(first) == bool(cause)
        if first:
            right = (right and first["cause"] == cause and first["class"] == "kernel" and first["layer"] == 0
                     and first["component"].startswith("attn.") and first["where"].startswith("cblas_sgemm, call "))
        check(right, "engine %-6s -> %s %s" % (how, document["verdict"],
                                               first and (first["component"], first["cause"], first["class"], first["where"])))


def beside_a_model(folder):
    """A product that is no component's is judged all the same, and does not take a component's name."""
    model = os.path.join(folder, "model.gguf")
    engine = [os.path.join(BIN, "tensortap-engine"), "-m", model, "-t", PROMPT, "-n", "3"]
    for how in ("none", "noise"):
        status, document = verify(capture(folder, engine, how, WRONG_BLAS_EXTRA="1", WRONG_BLAS_COLUMNS="7"))
        unnamed = [row for row in document["components"] if row["component"] is None]
        right = len(unnamed) == 1 and unnamed[0]["shape"] == [5, 7] and unnamed[0]["op"] == "matmul"
        right = right and status == (0 if how == "none" else 1) and len(document["faults"]) == (how == "noise")
        for fault in document["faults"]:
            right = right and fault["component"] is None and fault["class"] == "kernel" and fault["call"] == unnamed[0]["call"]
        check(right, "beside a model %-6s -> %s %s" % (how, document["verdict"], [f["where"] for f in document["faults"]]))


def main():
    with tempfile.TemporaryDirectory() as folder:
        without_model(folder)
        without_values(folder)
        with_model(folder)
        beside_a_model(folder)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
