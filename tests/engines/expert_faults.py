#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What `tensortap verify` says of models with experts under transformers: nothing of right ones, and the cause of what a
router, a shared expert or a limit does wrong.

Usage: expert_faults.py [CASE …]
"""
import os
import sys
import tempfile

from traced import SKIPPED, ask, engine, main, require, trace

# family, fault of hf_experts.py, where it shows first, its cause, settings of the model
PLANTED = {
    "mixtral": [
        ("not_normalised", (0, "moe.weights"), "moe.router_norm"),
        ("reversed", (0, "moe.expert.sum"), "moe.gate_order"),
        ("alike", (0, "moe.expert.sum"), "moe.scale"),
        ("next_expert", (0, "moe.topk"), "moe.expert_order"),
    ],
    "qwen2_moe": [
        ("normalised", (0, "moe.weights"), "moe.router_norm"),
        ("shared_missing", (0, "moe.out"), "moe.shared_missing"),
    ],
    "gpt_oss": [
        ("none", None, None),
        ("limit_missing", (0, "moe.expert.mul"), "mlp.clamp_missing", "swiglu_limit=0.6"),
    ],
    "deepseek_v3": [
        ("none", None, None),
        ("scale_missing", (1, "moe.weights"), "moe.scale"),
        ("groups_ignored", (1, "moe.topk"), "moe.groups"),
        ("bias_ignored", (1, "moe.topk"), "moe.bias"),
    ],
}


def check(family, fault, place, cause, *settings):
    with tempfile.TemporaryDirectory() as folder:
        model = os.path.join(folder, "model")
        command = engine("hf_experts.py", family, model, "--fault", fault, *(x for s in settings for x in ("--set", s)))
        made, captures = trace(command, os.path.join(folder, "captures"))
        if made.returncode == SKIPPED:
            sys.exit(SKIPPED)
        require(made.returncode == 0 and len(captures) == 1, f"the engine: {made.returncode}\n{made.stderr.decode()[-800:]}")
        verdict = ask("verify", captures[0], "--model", model, status=1 if cause else 0)
        told = [((f["layer"], f["component"]), f["cause"]) for f in verdict["faults"]]
        require(told == ([(place, cause)] if cause else []), f"{fault}: found {told}, planted {place} {cause}")
        require(cause or verdict["verdict"] == "match", f"{fault}: verdict {verdict['verdict']}")


def family(name):
    for planted in PLANTED[name]:
        check(name, *planted)


if __name__ == "__main__":
    main({name: (lambda name=name: family(name)) for name in PLANTED})
