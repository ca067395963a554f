#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Slips at the terminal: each is one line that says what was given and what is expected, exit status 2, nothing written.
Needs nothing but the built commands.

    slips_test.py MAKE_MODEL
"""
import json
import os
import re
import resource
import signal
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from checks import check, failed

TENSORTAP = os.path.join(os.environ["TENSORTAP_BUILD"], "bin", "tensortap")


def run(*arguments, **how):
    return subprocess.run([TENSORTAP, *arguments], capture_output=True, text=True, timeout=60, **how)


def refused(words, *arguments, status=2):
    """One line that has these words; with --json a document with the same line."""
    done = run(*arguments)
    line = done.stderr.strip()
    check(done.returncode == status and "\n" not in line and words in line and not done.stdout,
          f"{' '.join(arguments)}: exit {done.returncode}, {done.stderr!r}")
    document = json.loads(run(arguments[0], "--json", *arguments[1:]).stdout)
    check(document["schema"] == "tensortap.error/1" and words in document["error"], f"{' '.join(arguments)} --json: {document}")


def test_ref():
    for words, *options in (("--decode -3", "-n", "-3"), ("--decode 99999999999", "-n", "99999999999"), ("--chunk 0", "--chunk", "0"),
                            ("--chunk -1", "--chunk", "-1")):
        refused(words, "ref", "model.gguf", "--tokens", "1,2", "-o", "slip", *options)
    refused("with -o", "ref", "model.gguf", "--tokens", "1,2", "-o", "")
    check(run("ref", "model.gguf", "--tokens", "1,2,3", "-o", "made").returncode == 0, "a reference")
    check(run("ref", "model.gguf", "--probe", "-o", "large").returncode == 0, "a reference of several shards")
    with open("large/manifest.json", encoding="utf-8") as file:
        files = [entry["path"] for entry in json.load(file)["model_files"]]
    shards = [name for name in os.listdir("large") if name.startswith("data-")]
    check(len(shards) > 1 and files == [os.path.abspath("model.gguf")], f"its own {len(shards)} shards are no model files: {files}")
    for option in ("--decode", "--chunk"):
        refused("leave --chunk and --decode out", "ref", "model.gguf", "--like", "made", option, "2", "-o", "slip")
    refused("nowhere/slip", "ref", "model.gguf", "--tokens", "1,2", "-o", "nowhere/slip")
    check(not os.path.exists("slip"), "nothing is written")


def no_room():
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (3 << 20, 3 << 20))


def test_room():
    """A reference that cannot be written whole is no reference."""
    done = run("ref", "model.gguf", "--tokens", "1,2,3", "-n", "200", "-o", "cut", preexec_fn=no_room)
    check(done.returncode == 2 and "disk full" in done.stderr, f"no room: exit {done.returncode}, {done.stderr!r}")


def test_rope():
    refused("sclng", "rope", "--dim", "8", "--theta", "10000", "--set", "sclng=3")
    check(run("rope", "--dim", "8", "--theta", "10000", "--set", "scaling='yarn', beta_slow=2").returncode == 0, "attributes of rope")
    for dim in ("0", "-2", "7", "100000000"):
        refused("--dim " + dim, "rope", "--dim", dim, "--theta", "10000")
    done = run("rope", "model.gguf", "--dim", "1024", "--theta", "10000", "--json")
    check(done.returncode == 1 and json.loads(done.stdout)["verdict"] == "mismatch", f"another head size: {done.stderr!r}")


def test_others():
    refused("is one array", "embed", "model.gguf", "--tokens", "1", "--against", "arrays.npz#one")
    refused("token ids 'x'", "map", "made", "--tokens", "x")
    refused("no command 'nothing'", "help", "nothing")
    refused("--context -5", "params", "model.gguf", "--context", "-5")
    refused("--select layer=99", "verify", "made", "--select", "layer=99")
    for option in (["--rows"], ["--against", "made"]):
        done = run("run", *option, "--", "touch", "touched")
        check(done.returncode == 125 and "--verify" in done.stderr and not os.path.exists("touched"), f"run {option}: {done}")
    done = run("run", "--verify", "--model", "nowhere", "--", "touch", "touched")
    check(done.returncode == 125 and "nowhere" in done.stderr and not os.path.exists("touched"), f"run --verify: {done}")


def test_help():
    overview = json.loads(run("help", "--json").stdout)
    for command in overview["commands"]:
        page = run("help", command["name"]).stdout
        check(page == run(command["name"], "--help").stdout, f"help {command['name']}")
        check("\n\n\n" not in page and all(len(line) <= 80 for line in page.splitlines()), f"page of {command['name']}")
        check(not re.search(r"[ \t]$", page, re.M), f"page of {command['name']}: blanks at line ends")


def main():
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        subprocess.run([sys.argv[1], "-o", "model.gguf"], check=True, timeout=60)
        for test in (test_ref, test_room, test_rope, test_others, test_help):
            test()
    sys.exit(1 if failed() else 0)


if __name__ == "__main__":
    main()
