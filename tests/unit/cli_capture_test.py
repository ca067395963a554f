# SPDX-License-Identifier: Apache-2.0
"""info, ls, show and repair on captures whose contents are known (see cli_capture_test.c)."""
import json
import os
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from checks import check, failed

BIN = os.path.join(os.environ["TENSORTAP_BUILD"], "bin")


def run(*arguments):
    return subprocess.run([os.path.join(BIN, "tensortap"), *arguments], capture_output=True, text=True, timeout=60)


def document(*arguments):
    done = run(*arguments, "--json")
    check(done.returncode == 0, f"{arguments}: {done.stderr}")
    return json.loads(done.stdout) if done.returncode == 0 else {}


def make(folder, *how):
    os.makedirs(folder, exist_ok=True)
    before = set(os.listdir(folder))
    subprocess.run([os.path.join(BIN, "cli_capture_test"), folder, *how], timeout=60, stdout=subprocess.DEVNULL)
    return [os.path.join(folder, name) for name in os.listdir(folder) if name not in before][0]


def expected_a(epoch):
    return [10 * i + j + epoch for i in range(4) for j in range(8)]


def expected_c(epoch):
    a = expected_a(epoch)
    return [sum(a[i * 8 + k] * (k * 3 + j) / 8 for k in range(8)) for i in range(4) for j in range(3)]


def test_info(capture):
    for path in (capture, os.path.dirname(capture)):
        found = document("info", path)["captures"]
        check(len(found) == 1, f"{path}: {len(found)} captures")
    info = found[0]
    check((info["calls"], info["epochs"], info["operands"]) == (3, 3, 9), f"{info}")
    check(info["finished"] and info["nonfinite_operands"] == 1, f"{info}")
    check(info["routines"][0]["routine"] == "test_matmul" and info["routines"][0]["calls"] == 3, f"{info}")
    check(info["kept"]["data"]["bytes"] == 3 * 4 * (32 + 24 + 12), f"{info['kept']}")
    check(info["repeats"] == 2 and info["repeat_bytes"] == 2 * 96, "b is stored once")
    check(info["manifest"]["schema"].startswith("tensortap.capture/"), "manifest")
    text = run("info", capture).stdout
    for words in ("3 in 3 epochs", "test_matmul", "2 repeats", "1 operand with NaN or Inf", "cli_capture_test"):
        check(words in text, f"'{words}' not in\n{text}")
    check(run("info", "--md", capture).stdout.startswith("### "), "Markdown")


def names(capture, *more):
    return [tensor["name"] for tensor in document("ls", capture, *more)["captures"][0]["tensors"]]


def test_ls(capture):
    everything = document("ls", capture)["captures"][0]["tensors"]
    check(len(everything) == 9 and len(set(t["name"] for t in everything)) == 9, "nine names")
    check([t["role"] for t in everything] == ["a", "b", "c"] * 3, "order")
    check([t["epoch"] for t in everything] == [0, 0, 0, 1, 1, 1, 2, 2, 2], "epochs")
    check(everything[0]["shape"] == [4, 8] and everything[0]["dtype"] == "f32", f"{everything[0]}")
    check(everything[1]["digest"] == everything[4]["digest"] != everything[0]["digest"], "digests")
    check(everything[8]["stats"]["nan"] == 1, f"{everything[8]}")
    lines = run("ls", capture).stdout.splitlines()
    check([line.split()[0] for line in lines] == ["name"] + [t["name"] for t in everything], f"{lines}")
    check(all(line == line.rstrip() for line in lines), "no blanks at line ends")
    for select, count in (("role=c", 3), ("pass=-1", 3), ("epoch<2,role!=b", 4), ("size>=128", 3), ("op=mat*", 9),
                          ("op=conv", 0), ("dtype=f16", 0), ("role=a+b,pass=0,2", 4)):
        check(len(names(capture, "--select", select)) == count, f"--select {select}")
    done = run("ls", capture, "--select", "layer=0,role=a")
    check("not applied" in done.stderr and "layer" in done.stderr, done.stderr)


def test_show(capture):
    listed = document("ls", capture)["captures"][0]["tensors"]
    for index, expected in ((0, expected_a(0)), (6, expected_a(2)), (5, expected_c(1))):
        shown = document("show", capture, listed[index]["name"])
        check(shown["values"] == expected and shown["measured"]["max"] == max(expected), f"values of {shown['tensor']}")
        check(sum(shown["histogram"]["bins"]) == len(expected), f"histogram of {shown['tensor']['name']}")
    last = document("show", capture, listed[8]["name"])
    check(last["values"][7] is None and last["nonfinite_at"] == [7] and last["measured"]["nan"] == 1, f"{last}")
    for slice_, shape, values in (("1", [8], expected_a(0)[8:16]), ("-1,-1", [], [37]), (":,2", [4], [2, 12, 22, 32]),
                                  ("1:3,:2", [2, 2], [10, 11, 20, 21])):
        shown = document("show", capture, listed[0]["name"], "--slice", slice_)
        check((shown["shape"], shown["values"]) == (shape, values), f"slice {slice_}: {shown}")
    for slice_ in ("9", "0,0,0", "2:1", "x", "1;2"):
        check(run("show", capture, listed[0]["name"], "--slice", slice_).returncode == 2, f"slice {slice_}")
    text = run("show", capture, listed[8]["name"]).stdout
    for words in ("1 nan", "first of these at [2,1]", "test_matmul", "m 4", "[3]"):
        check(words in text, f"'{words}' not in\n{text}")
    for name, words in (("99999.a", "no call 99999"), (listed[0]["name"][:-1] + "z", "it has"), ("attn.q_proj", "ls")):
        done = run("show", capture, name)
        check(done.returncode == 2 and words in done.stderr, f"show {name}: {done.stderr}")


def test_several(folder):
    make(folder)
    make(folder)
    check(len(document("info", folder)["captures"]) == 2, "two captures in a parent")
    check(len(document("ls", folder)["captures"]) == 2, "two listings")
    check(run("show", folder, "1.a").returncode == 2, "show wants one capture")


def test_killed_and_repaired(folder):
    capture = make(folder, "kill")
    info = document("info", capture)["captures"][0]
    check(not info["finished"] and info["calls"] == 3 and info["operands"] == 8, f"{info}")
    check(any("not closed" in line for line in info["not_captured"]), f"{info['not_captured']}")
    check(any("without an end" in line for line in info["not_captured"]), f"{info['not_captured']}")
    check(document("repair", capture)["repaired"] == [{"capture": capture, "shards": 1}], "repair")
    check("nothing to repair" in run("repair", capture).stdout, "a second repair")
    first = names(capture)[0]
    check(document("show", capture, first)["values"] == expected_a(0), "values after repair")
    try:
        from safetensors import safe_open
    except ImportError:
        return
    shards = [name for name in os.listdir(capture) if name.endswith(".safetensors")]
    keys = [key for shard in shards for key in safe_open(os.path.join(capture, shard), "np").keys()]
    check(any(not key.startswith("_") for key in keys), f"named tensors after repair: {keys}")


def main():
    with tempfile.TemporaryDirectory() as folder:
        capture = make(os.path.join(folder, "one"))
        test_info(capture)
        test_ls(capture)
        test_show(capture)
        test_several(os.path.join(folder, "several"))
        test_killed_and_repaired(os.path.join(folder, "killed"))
    sys.exit(failed())


main()
