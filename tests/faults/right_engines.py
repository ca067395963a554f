# SPDX-License-Identifier: Apache-2.0
"""Right engines stay silent, whatever the model, its file, the types, the sizes and the way the prompt is fed.

    right_engines.py BIN GROUP|all      groups: see GROUPS; exit 1 when any run is called wrong or is not called right
"""
import itertools
import sys
import tempfile

from traced_engine import Bench

PROMPT = "1,5,9,33,7,100,250,17,42,8,199,3"
OTHER = "300,2,2,2,71,72,73,11,0,330,6,6,5,18,90,91,150,151,152,153,154,155,156,157,158,159,160,161,162,163,164,165,166,1"
ENGINES = ("tensortap-engine", "tensortap-engine-own")
FAMILIES = {
    "llama": [],
    "bias": ["--bias"],
    "gemma": ["--arch", "gemma"],
    "qwen2": ["--arch", "qwen2"],
}
SHAPES = {
    "narrow": ["--hidden", "96", "--heads", "6", "--kv-heads", "2", "--head-dim", "16", "--ffn", "160"],
    "odd heads": ["--hidden", "200", "--heads", "5", "--kv-heads", "5", "--head-dim", "40", "--ffn", "344"],
    "wide": ["--hidden", "512", "--heads", "8", "--kv-heads", "2", "--head-dim", "64", "--ffn", "1376"],
    "one kv head": ["--kv-heads", "1"],
    "all kv heads": ["--kv-heads", "6"],
    "head wider than hidden": ["--hidden", "96", "--heads", "6", "--kv-heads", "3", "--head-dim", "32"],
    "square everything": ["--hidden", "64", "--heads", "4", "--kv-heads", "4", "--head-dim", "16", "--ffn", "64"],
    "one layer": ["--layers", "1"],
    "nine layers": ["--layers", "9", "--hidden", "64", "--heads", "4", "--kv-heads", "2", "--head-dim", "16", "--ffn", "96"],
    "tied": ["--tied"],
    "large vocabulary": ["--vocab", "5000"],
    "theta": ["--theta", "1000000", "--eps", "1e-6"],
    "seed 1": ["--seed", "1"],
    "seed 2": ["--seed", "2"],
    "seed 3": ["--seed", "3", "--arch", "gemma"],
}
WAYS = {
    "as given": [],
    "one token": ["-t", "9"],
    "two tokens": ["-t", "9,9"],
    "other prompt": ["-t", OTHER],
    "no decode": ["-n", "1"],
    "long decode": ["-n", "24"],
    "chunk 1": ["--chunk", "1"],
    "chunk 5": ["--chunk", "5"],
    "chunk 12": ["--chunk", "12"],
    "all logits": ["--all-logits"],
    "all logits in chunks": ["--all-logits", "--chunk", "7"],
    "two threads": ["--threads", "2"],
}


# Fed token by token a prompt looks like decoding, of which the tap keeps ever less; attention that nobody sees into then
# reads keys that nobody saw. So everything is kept.
TAP = {"chunk 1": ["--passes", "0-99"]}


def families(stored, form):
    """(name, model options, form, engine options, commands)"""
    for family, dtype, engine in itertools.product(FAMILIES, ("f32", "bf16"), ENGINES):
        name = "%s %s stored %s computed %s" % (family, form, stored, dtype)
        yield name, engine, FAMILIES[family] + ["--dtype", stored], form, ["--dtype", dtype], ("verify", "compare")


def shapes(engine):
    for (name, model), form, dtype in itertools.product(SHAPES.items(), ("gguf", "hf"), ("f32", "bf16")):
        yield "%s %s %s" % (name, form, dtype), engine, model, form, ["--dtype", dtype], ("verify",)


def ways(engine):
    for (name, options), form, dtype in itertools.product(WAYS.items(), ("gguf", "hf"), ("f32", "bf16")):
        yield "%s %s %s" % (name, form, dtype), engine, [], form, ["--dtype", dtype, *options], ("verify",)


def far():
    """Positions up to 5000, fed in chunks, on a model small enough for it."""
    prompt = ",".join(str((37 * i + i * i // 11) % 331) for i in range(5000))
    small = ["--hidden", "48", "--layers", "2", "--heads", "2", "--kv-heads", "1", "--head-dim", "24", "--ffn", "80"]
    for form, dtype in itertools.product(("gguf", "hf"), ("f32", "bf16")):
        yield "5000 positions %s %s" % (form, dtype), ENGINES[0], small, form, ["--dtype", dtype, "-t", prompt, "--chunk", "500"], ("verify",)


GROUPS = {"%s-%s" % (form, stored): lambda form=form, stored=stored: families(stored, form)
          for form in ("gguf", "hf") for stored in ("f32", "f16", "bf16")}
GROUPS.update({"shapes": lambda: shapes(ENGINES[0]), "shapes-own": lambda: shapes(ENGINES[1]),
               "ways": lambda: ways(ENGINES[0]), "ways-own": lambda: ways(ENGINES[1]), "far": far})


def described(document):
    if document["faults"]:
        fault = document["faults"][0]
        return "%d faults, first p%s L%s.%s %s, chi2 %.3g" % (len(document["faults"]), fault["pass"], fault["layer"],
                                                            fault["component"], fault["cause"], fault["chi2"] or 0)
    unmeasured = document.get("coverage", {}).get("unmeasured")
    return "%s%s" % (document["verdict"], ", without %s" % unmeasured[:3] if unmeasured else "")


def judge(bench, name, engine, kind, form, options, commands):
    model = bench.model(kind, form)
    given = options if "-t" in options else ["-t", PROMPT, *options]
    tap = [option for way, chosen in TAP.items() if name.startswith(way + " ") for option in chosen]
    capture = bench.capture(engine, model, *([] if "-n" in given else ["-n", "4"]), *given, tap=tap)
    failed = 0
    for command in commands:
        reference = [bench.reference(model, given[given.index("-t") + 1])] if command == "compare" else []
        status, document = bench.ask(command, capture, *reference, "--model", model)
        right = status == 0 and document["verdict"] == "match" and not document["faults"]
        failed += not right
        print("%s %-8s %-20s %-44s %s" % ("ok    " if right else "FAILED", command, engine, name, described(document)), flush=True)
    return failed


def main():
    binaries, group = sys.argv[1:3]
    failed = 0
    for chosen in GROUPS if group == "all" else group.split(","):
        for name, engine, model, form, options, commands in GROUPS[chosen]():
            with tempfile.TemporaryDirectory() as folder:
                bench = Bench(binaries, folder, {"model": model})
                failed += judge(bench, name, engine, "model", form, options, commands)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
