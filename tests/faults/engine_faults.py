# SPDX-License-Identifier: Apache-2.0
"""Every fault that the sample engine can be started with: is it located and named, and is the right engine left alone?

    engine_faults.py BIN [--engine NAME] [--command verify|compare] [--only FAULT] [--table]

BIN holds tensortap, tensortap-engine and tensortap-make-model. The engine's own table (--list-faults) says which
component and cause are expected. A fault counts as named when the first entry of `faults` is that component, and its
cause or one of its ties is the planted one. One line a fault; exit 1 when any is missed.
"""
import argparse
import json
import os
import subprocess
import sys
import tempfile

PROMPT = "1,5,9,33,7,100,250,17,42,8,199,3"
MODELS = {  # by what the fault needs
    "llama": [],
    "square": ["--hidden", "192", "--heads", "6", "--head-dim", "32"],
    "bias": ["--bias"],
    "gemma": ["--arch", "gemma"],
}
NEEDS = {"any": "llama", "gemma": "gemma", "gemma-hf": "gemma", "bias": "bias", "grouped-heads": "llama",
         "square-weight": "square", "two-layers": "llama"}


class Bench:
    def __init__(self, options, folder):
        self.options, self.folder, self.models = options, folder, {}

    def run(self, *command):
        return subprocess.run(command, capture_output=True, text=True)

    def binary(self, name):
        return os.path.join(self.options.bin, name)

    def model(self, kind, form):
        if (kind, form) not in self.models:
            path = os.path.join(self.folder, kind + (".gguf" if form == "gguf" else "-hf"))
            made = self.run(self.binary("tensortap-make-model"), "-o", path, *MODELS[kind])
            assert made.returncode == 0, made.stderr
            self.models[kind, form] = path
        return self.models[kind, form]

    def verdict(self, kind, form, *engine):
        capture = tempfile.mkdtemp(dir=self.folder)
        model = self.model(kind, form)
        run = self.run(self.binary("tensortap"), "run", "-q", "-o", capture, "--", self.binary(self.options.engine),
                       "-m", model, "-t", PROMPT, "-n", "4", *engine)
        assert run.returncode == 0, run.stderr
        command = [self.binary("tensortap"), self.options.command, capture]
        if self.options.command == "compare":
            reference = capture + ".ref"
            made = self.run(self.binary("tensortap"), "ref", model, "--tokens", PROMPT, "-o", reference)
            assert made.returncode == 0, made.stderr
            command.append(reference)
        result = self.run(*command, "--model", model, "--json")
        try:
            return result.returncode, json.loads(result.stdout)
        except ValueError:
            return result.returncode, {"faults": [], "verdict": result.stderr.strip() or "no output"}


def faults_of(bench):
    listing = bench.run(bench.binary(bench.options.engine), "--list-faults")
    for line in listing.stdout.splitlines():
        name, component, cause, need = line.split("\t")[:4]
        yield name, component, cause, need


def judged(document, component, cause):
    first = document["faults"][0] if document.get("faults") else None
    if not first:
        return False, "no fault (%s)" % document.get("verdict")
    causes = [first["cause"]] + first["ties"]
    right = first["component"] == component and cause in causes
    return right, "%s %s%s (%s)" % (first["component"], first["cause"],
                                    " = " + ",".join(first["ties"]) if first["ties"] else "", first["confidence"])


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("bin")
    parser.add_argument("--engine", default="tensortap-engine")
    parser.add_argument("--command", default="verify")
    parser.add_argument("--only")
    options = parser.parse_args()
    passed = failed = 0
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(options, folder)
        cases = [(f, c, k, NEEDS[n], "hf" if n == "gemma-hf" else "gguf") for f, c, k, n in faults_of(bench)]
        cases = [(None, None, None, kind, form) for kind in MODELS for form in ("gguf", "hf")] + cases
        for fault, component, cause, kind, form in cases:
            if options.only and fault != options.only:
                continue
            status, document = bench.verdict(kind, form, *(["--fault", fault] if fault else []))
            if fault:
                right, found = judged(document, component, cause)
                right = right and status == 1
            else:
                right = status == 0 and not document["faults"]
                found = "%s, %d faults" % (document["verdict"], len(document["faults"]))
            passed, failed = passed + right, failed + (not right)
            print("%s %-28s %-18s -> %s" % ("ok    " if right else "FAILED", fault or "right %s.%s" % (kind, form),
                                            component or "", found), flush=True)
    print("%d passed, %d failed" % (passed, failed))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
