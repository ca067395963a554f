#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What `tensortap` says of real engines: nothing of right ones, component and cause of one that is not.

Usage: verified_engines.py [CASE …]
"""
import json
import os
import shutil
import tempfile

from traced import COMMAND, HERE, PYTHON, ask, engine, main, require, run, run_plain, trace_alike

PASSES = 3  # one prefill, two of decode
LAYERS = 3
LLAMA_LINEAR = ("attn.q_proj", "attn.k_proj", "attn.v_proj", "attn.o_proj", "ffn.gate_proj", "ffn.up_proj",
                "ffn.down_proj")
MINILM_LINEAR = ("attn.q_proj", "attn.k_proj", "attn.v_proj", "attn.o_proj", "ffn.up_proj", "ffn.down_proj")
RIGHT = ("exact", "pass", "drift")
PROMPT = "1,17,203,44,310,5,91,128,77,260,33"  # of hf_llama.py
SHORTER_PROMPT = "1,300,12,45,199,8"
TRANSPOSED = "encoder.layer.2.attention.self.key.weight"


def rows(verdict):
    """{(pass, layer, component): [rows]} of a verdict; layer -1 at the model's ends."""
    found = {}
    for row in verdict["components"]:
        layer = -1 if row["layer"] is None else row["layer"]
        found.setdefault((row["pass"], layer, row["component"]), []).append(row)
    return found


def require_right(verdict, expected):
    """No fault, and each expected (pass, layer, component) is there with a good status."""
    require(verdict["faults"] == [], f"faults of a right engine: {verdict['faults']}")
    found = rows(verdict)
    for place in expected:
        require(place in found, f"pass {place[0]}, layer {place[1]}: {place[2]} was not found")
        bad = [row["status"] for row in found[place] if row["status"] not in RIGHT]
        require(not bad, f"pass {place[0]}, layer {place[1]}: {place[2]} is {bad}")


def llama_places(passes=PASSES):
    block = [(p, layer, name) for p in range(passes) for layer in range(LAYERS) for name in LLAMA_LINEAR]
    return block + [(p, -1, "lm_head") for p in range(passes)]


def traced_llama(folder, *options):
    """(model, capture) of hf_llama.py."""
    model = os.path.join(folder, "model")
    run_plain(engine("hf_llama.py", model, "--make-only"))
    command = engine("hf_llama.py", model, "-n", str(PASSES), *options)
    return model, trace_alike(command, os.path.join(folder, "captures"))


def llama_verify():
    with tempfile.TemporaryDirectory() as folder:
        model, capture = traced_llama(folder)
        for given in (["--model", model], []):  # the second time it is the file that the engine mapped
            verdict = ask("verify", capture, *given, status=0)
            require(verdict["verdict"] == "match", f"verdict {verdict['verdict']}: {verdict['coverage']}")
            require_right(verdict, llama_places())


def llama_batch_verify():
    """Two sequences, one padded on the left: padding is nobody's fault."""
    with tempfile.TemporaryDirectory() as folder:
        model, capture = traced_llama(folder, "--batch")
        verdict = ask("verify", capture, "--model", model, status=0)
        require(verdict["verdict"] == "match", f"verdict {verdict['verdict']}: {verdict['coverage']}")
        require_right(verdict, llama_places())


def llama_batch_reference():
    """The same against a reference of two sequences, each with its own prompt and decode steps."""
    with tempfile.TemporaryDirectory() as folder:
        model, capture = traced_llama(folder, "--batch")
        reference = os.path.join(folder, "reference")
        made = run([COMMAND, "ref", model, "--tokens", PROMPT, "--tokens", SHORTER_PROMPT, "-n", str(PASSES - 1),
                    "-o", reference])
        require(made.returncode == 0, f"ref: status {made.returncode}\n{made.stderr.decode()}")
        verdict = ask("compare", capture, reference, "--model", model, status=0)
        require(verdict["verdict"] == "match", f"verdict {verdict['verdict']}: {verdict['coverage']}")
        compared = {(row["pass"], row.get("sequence", 0)) for row in verdict["components"] if "reference" in row}
        require(compared == {(p, s) for p in range(PASSES) for s in range(2)}, f"compared only {sorted(compared)}")
        far = [row for row in verdict["components"] if "reference" in row and not row["reference"]["nmse"] < 1e-9]
        require(not far, f"away from the reference: {far[:2]}")


def llama_sdpa_verify():
    """Tiles of fused attention are a span or unnamed, never a component that they are not."""
    with tempfile.TemporaryDirectory() as folder:
        model, capture = traced_llama(folder, "--attention", "sdpa")
        verdict = ask("verify", capture, "--model", model)
        require(verdict["verdict"] in ("match", "partial"), f"verdict {verdict['verdict']}")
        require_right(verdict, llama_places())
        wrong = [row for row in verdict["components"] if row["status"] in ("introduced", "broken_link")]
        require(not wrong, f"wrongly named: {wrong[:2]}")


def llama_reference():
    """Against this project's own reference run."""
    with tempfile.TemporaryDirectory() as folder:
        model, capture = traced_llama(folder)
        reference = os.path.join(folder, "reference")
        made = run([COMMAND, "ref", model, "--like", capture,
                    "-o", reference])
        require(made.returncode == 0, f"ref: status {made.returncode}\n{made.stderr.decode()}")
        verdict = ask("compare", capture, reference, status=0)
        require(verdict["verdict"] == "match", f"verdict {verdict['verdict']}: {verdict['coverage']}")
        require_right(verdict, llama_places())


def llama_wrong_reference():
    """A reference of another RoPE base is the wrong side, by name; a rougher one of the same model is not."""
    with tempfile.TemporaryDirectory() as folder:
        model, capture = traced_llama(folder)
        other = os.path.join(folder, "other")
        shutil.copytree(model, other)
        config = os.path.join(other, "config.json")
        with open(config, encoding="utf-8") as file:
            settings = json.load(file)
        settings["rope_parameters"]["rope_theta"] = 500000.0
        with open(config, "w", encoding="utf-8") as file:
            json.dump(settings, file)
        for source, options, status in ((other, (), 1), (model, ("--precision", "bf16"), 0)):
            reference = os.path.join(folder, f"reference{status}")
            made = run([COMMAND, "ref", source, "--tokens", PROMPT, "-n", str(PASSES - 1), *options, "-o", reference])
            require(made.returncode == 0, f"ref: status {made.returncode}\n{made.stderr.decode()}")
            verdict = ask("compare", capture, reference, "--model", model, status=status)
            told = {(fault["side"], fault["cause"]) for fault in verdict["faults"]}
            require(told == ({("reference", "rope.theta")} if status else set()), f"faults {told}")


def llama_hooks():
    """Against a dump of forward hooks, which owes nothing to this project's engine."""
    with tempfile.TemporaryDirectory() as folder:
        model, capture = traced_llama(folder)
        reference = os.path.join(folder, "reference.safetensors")
        script = os.path.join(HERE, "..", "..", "samples", "hf_reference.py")
        made = run([PYTHON, script, model, "--tokens", PROMPT, "-n", str(PASSES), "-o", reference])
        require(made.returncode == 0, f"hf_reference.py: status {made.returncode}\n{made.stderr.decode()}")
        verdict = ask("compare", capture, reference, "--model", model)
        require(verdict["verdict"] in ("match", "partial"), f"verdict {verdict['verdict']}")
        require_right(verdict, llama_places())


def minilm_places():
    return [(0, layer, name) for layer in range(6) for name in MINILM_LINEAR]


def minilm_model():
    return run_plain(engine("minilm.py", "--where")).stdout.decode().strip()


def minilm_verify():
    with tempfile.TemporaryDirectory() as folder:
        capture = trace_alike(engine("minilm.py"), folder)
        verdict = ask("verify", capture, "--model", minilm_model(), status=0)
        require(verdict["verdict"] == "match", f"verdict {verdict['verdict']}: {verdict['coverage']}")
        require_right(verdict, minilm_places())


def minilm_transposed():
    with tempfile.TemporaryDirectory() as folder:
        capture = trace_alike(engine("minilm.py", "--transpose", TRANSPOSED), folder)
        verdict = ask("verify", capture, "--model", minilm_model(), status=1)
        require(verdict["verdict"] == "mismatch" and verdict["faults"], f"verdict {verdict['verdict']}, no fault")
        first = verdict["faults"][0]
        told = (first["layer"], first["component"], first["cause"])
        require(told == (2, "attn.k_proj", "linear.transposed"), f"first fault: {told}")
        require(len(verdict["faults"]) == 1, f"one weight, {len(verdict['faults'])} faults: {verdict['faults'][1:]}")


CASES = (llama_verify, llama_batch_verify, llama_batch_reference, llama_sdpa_verify, llama_reference, llama_wrong_reference, llama_hooks, minilm_verify,
         minilm_transposed)

if __name__ == "__main__":
    main({case.__name__: case for case in CASES})
