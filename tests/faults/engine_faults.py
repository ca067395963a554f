# SPDX-License-Identifier: Apache-2.0
"""Every fault that the sample engine can be started with: is it located and named, and is the right engine left alone?

    engine_faults.py BIN [--engine NAME] [--command verify|compare] [--setting NAME,…|all] [--only FAULT,…]

BIN holds tensortap, tensortap-engine and tensortap-make-model. The engine's own table (--list-faults) says which
component and cause are expected. A fault counts as named when the first entry of `faults` has the planted layer and
component (or a span that holds it), and its cause or one of its ties is the planted one. A fault that changes nothing
that was captured must not be named anywhere, and its cause must be listed in `unobservable`; whether it does is
measured here, from the captures of the right and of the faulty run. One line a fault; exit 1 when any is missed.
"""
import argparse
import sys
import tempfile

from traced_engine import DIFFERENT, SAME, Bench, difference

PROMPT = "1,5,9,33,7,100,250,17,42,8,199,3"
MODELS = {  # by what the fault needs
    "llama": [],
    "square": ["--hidden", "192", "--heads", "6", "--head-dim", "32"],
    "bias": ["--bias"],
    "gemma": ["--arch", "gemma"],
}
NEEDS = {"any": "llama", "gemma": "gemma", "gemma-hf": "gemma", "bias": "bias", "grouped-heads": "llama",
         "square-weight": "square", "two-layers": "llama"}
ENDS = ("embed", "lm_head", "logits", "final_norm")


class Setting:
    """One way of running the engine."""

    def __init__(self, options=(), form="gguf", tokens=PROMPT, layer=None, traffic=None, without=()):
        self.options, self.form, self.tokens, self.layer = list(options), form, tokens, layer
        self.traffic, self.without = traffic, without
        self.dtype = "bf16" if "bf16" in self.options else "f32"

    def suits(self, fault):
        return (self.traffic is None or fault.traffic == self.traffic) and fault.name not in self.without

    def engine(self, fault):
        planted = ["--fault", fault.name] if fault else []
        if fault and self.layer is not None:
            planted += ["--fault-layer", str(self.layer)]
        return ["-t", self.tokens, "-n", "4", *self.options, *planted]


SETTINGS = {
    "plain": Setting(),
    "layer-0": Setting(layer=0),
    "layer-2": Setting(layer=2),
    "hf": Setting(form="hf"),
    "bf16": Setting(["--dtype", "bf16"]),
    "one-token": Setting(tokens="5", traffic="any"),
    "chunks": Setting(["--chunk", "5"]),
    "all-logits": Setting(["--all-logits"], without=["logits.wrong_row"]),  # no row to choose
    "chunks-hf-layer-2": Setting(["--chunk", "4"], form="hf", layer=2),
    "bf16-chunks-layer-0": Setting(["--dtype", "bf16", "--chunk", "7"], layer=0),
    "bf16-hf-layer-2": Setting(["--dtype", "bf16"], form="hf", layer=2),
}


class Fault:
    def __init__(self, line):
        self.name, self.component, self.cause, need, self.traffic, layer = line.split("\t")[:6]
        self.kind, self.form = NEEDS[need], "hf" if need == "gemma-hf" else None
        self.layer = 0 if layer == "all" else int(layer)

    def place(self, setting):
        if self.component in ENDS:
            return None
        return self.layer if setting.layer is None else setting.layer


def described(fault):
    ties = " = " + ",".join(fault["ties"]) if fault["ties"] else ""
    layer = "" if fault["layer"] is None else "L%d." % fault["layer"]
    return "%s%s %s%s (%s)" % (layer, fault["component"], fault["cause"], ties, fault["confidence"])


def named(status, document, fault, setting):
    first = document["faults"][0] if document.get("faults") else None
    if not first or status != 1:
        return False
    place = fault.place(setting)
    address = fault.component if place is None else "L%d.%s" % (place, fault.component)
    there = first["component"] == fault.component or address in (first["span"] or "").split()
    return there and first["layer"] == place and fault.cause in [first["cause"]] + first["ties"]


def silent(status, document, fault):
    return status == 0 and not document["faults"] and fault.cause in [u["cause"] for u in document["unobservable"]]


class Run:
    def __init__(self, bench, options, setting):
        self.bench, self.options, self.setting, self.right = bench, options, setting, {}
        self.counts = {True: 0, False: 0}

    def verdict(self, model, capture):
        reference = [self.bench.reference(model, self.setting.tokens)] if self.options.command == "compare" else []
        return self.bench.ask(self.options.command, capture, *reference, "--model", model)

    def right_capture(self, model):
        if model not in self.right:
            self.right[model] = self.bench.capture(self.options.engine, model, *self.setting.engine(None))
        return self.right[model]

    def report(self, right, name, text):
        self.counts[right] += 1
        print("%s %-28s %s" % ("ok    " if right else "FAILED", name, text), flush=True)

    def judge_right(self, kind):
        model = self.bench.model(kind, self.setting.form)
        status, document = self.verdict(model, self.right_capture(model))
        first = described(document["faults"][0]) if document["faults"] else ""
        self.report(status == 0 and not document["faults"], "right " + kind, "%s %s" % (document["verdict"], first))

    def judge(self, fault):
        model = self.bench.model(fault.kind, fault.form or self.setting.form)
        capture = self.bench.capture(self.options.engine, model, *self.setting.engine(fault))
        status, document = self.verdict(model, capture)
        right, seen = named(status, document, fault, self.setting), DIFFERENT
        if not right or fault.component == "logits":
            seen = difference(self.bench, self.right_capture(model), capture, self.setting.dtype)
        if seen == SAME:
            right = silent(status, document, fault)
        elif seen != DIFFERENT:
            right = right or (status == 0 and not document["faults"])
        found = described(document["faults"][0]) if document["faults"] else "no fault (%s)" % document["verdict"]
        self.report(right, fault.name, "%-18s -> %s%s" % (fault.component, found, "" if seen == DIFFERENT else ", operands " + seen))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("bin")
    parser.add_argument("--engine", default="tensortap-engine")
    parser.add_argument("--command", default="verify")
    parser.add_argument("--setting", default="plain")
    parser.add_argument("--only", default="")
    options = parser.parse_args()
    failed = 0
    for name in SETTINGS if options.setting == "all" else options.setting.split(","):
        with tempfile.TemporaryDirectory() as folder:
            bench = Bench(options.bin, folder, MODELS)
            run = Run(bench, options, SETTINGS[name])
            table = bench.must(options.engine, "--list-faults").stdout.splitlines()
            for kind in MODELS if not options.only else ():
                run.judge_right(kind)
            for fault in map(Fault, table):
                if SETTINGS[name].suits(fault) and (not options.only or fault.name in options.only.split(",")):
                    run.judge(fault)
        print("%s %s %s: %d passed, %d failed" % (options.engine, options.command, name, run.counts[True], run.counts[False]))
        failed += run.counts[False]
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
