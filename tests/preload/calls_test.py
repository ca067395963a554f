# SPDX-License-Identifier: Apache-2.0
"""calls_test.py PROGRAM: the program's output is the same with and without the tap, and the capture holds
exactly the calls and operands that the program itself wrote down as the truth."""
import json
import os
import sys

import tap


def operands_equal(call, truth):
    seen = [(o["role"], o["when"], o["dtype"], o["shape"]) for o in call["operands"]]
    wanted = [(o["role"], o["when"], o["dtype"], o["shape"]) for o in truth["operands"]]
    assert seen == wanted, f"{truth['routine']}: operands {seen}, expected {wanted}"
    for have, want in zip(call["operands"], truth["operands"]):
        assert have["values"] == want["values"], (
            f"{truth['routine']} {call['attributes']} {want['role']} {want['when']}: {have['values']}, "
            f"expected {want['values']}")


def check(program):
    with tap.Run([program, os.devnull], tapped=False) as plain:
        truth_path = os.path.join(plain.directory, "truth")
        with tap.Run([program, truth_path]) as tapped:
            tap.same_behaviour(plain, tapped)
            calls, summary = tap.only_capture(tapped)
        truths = [json.loads(line) for line in open(truth_path)]
    assert summary["finished"] and not summary["losses"], summary
    assert len(calls) == len(truths), f"{len(calls)} calls, expected {len(truths)}"
    for call, truth in zip(calls, truths):
        assert (call["op"], call["routine"]) == (truth["op"], truth["routine"]), (call, truth)
        assert call["ended"] and call["tap"] == "blas"
        operands_equal(call, truth)
    check_batches(calls)
    return len(calls)


def check_batches(calls):
    """Products of a batch are children of it, numbered by their place; other calls have no parent."""
    batch, index = None, 0
    for call in calls:
        if call["op"] == "matmul_batch":
            batch, index = call["id"], 0
            assert call["attributes"]["group_count"] == 2
        elif call["op"] == "matmul" and "batch_index" in call["attributes"]:
            assert call["parent"] == batch and call["attributes"]["batch_index"] == index, call
            index += 1
        else:
            assert call["parent"] == 0, call


print(check(sys.argv[1]), "calls as they were")
