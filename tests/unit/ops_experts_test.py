# SPDX-License-Identifier: Apache-2.0
"""The primitives of expert layers and of split projections against torch in f32 and bf16: choice, weights, products and
sums of experts; slice, concat, clamp; gated products. Right forms stay within chi²/N <= 4 and |z| < 16, wrong forms above
100, and where rounding decides between experts nothing is called wrong."""
import sys

try:
    import numpy as np
    import torch
    import torch.nn.functional as F
except ImportError:
    sys.exit(77)

from ops_driver import BF16, Ops, evaluate, evaluate_all, judge
from ops_torch import Numbers, bf16, equal, f32, f64, fail, right, run, wrong

ops = Ops()
numbers = Numbers(11)
rng, normal = numbers.rng, numbers.normal
UNKNOWN = 1e200


def grouped(scores, groups, kept, total):
    """Scores with those outside the best groups masked, as routers do it."""
    split = torch.tensor(scores).view(len(scores), groups, -1)
    worth = {"max": lambda s: s.max(-1).values, "top2": lambda s: s.topk(2, -1).values.sum(-1), "sum": lambda s: s.sum(-1)}
    best = worth[total](split).topk(kept, -1).indices
    mask = torch.zeros(split.shape[:2]).scatter_(1, best, 1).bool()
    return split.masked_fill(~mask[..., None], -torch.inf).reshape(len(scores), -1)


def test_topk():
    for experts, k in ((8, 2), (60, 4), (128, 8), (256, 8)):
        logits, bias = normal(40, experts, scale=2), normal(experts, scale=0.3)
        chosen = torch.tensor(logits).topk(k, -1).indices.numpy()
        equal(f"topk {experts}", ops.forward("topk", inputs=[logits], attributes={"k": k}).v, chosen)
        softmax = torch.softmax(torch.tensor(logits).double(), -1).topk(k, -1).indices.numpy()
        found = ops.forward("topk", inputs=[logits], attributes={"k": k, "scoring": "softmax"})
        equal(f"topk of softmax {experts}", found.v, softmax)
        scores = torch.sigmoid(torch.tensor(logits).double()) + torch.tensor(bias).double()
        found = ops.forward("topk", inputs=[logits], weights=[bias], attributes={"k": k, "scoring": "sigmoid"})
        equal(f"topk of sigmoid and bias {experts}", found.v, scores.topk(k, -1).indices.numpy())
        for total in ("max", "top2", "sum"):
            attributes = {"k": k, "scoring": "sigmoid", "groups": 4, "groups_kept": 2, "group_score": total}
            masked = grouped(scores.numpy(), 4, 2, total)
            found = ops.forward("topk", inputs=[logits], weights=[bias], attributes=attributes)
            equal(f"topk of groups by {total}, {experts}", found.v, masked.topk(k, -1).indices.numpy())
    low = bf16(normal(300, 64))
    found = ops.forward("topk", inputs=[f64(low)], attributes={"k": 6}, u_store=BF16)
    sure = found.var[:, :] == 0
    equal("topk of bf16 where it is sure", found.v[sure], low.float().topk(6, -1).indices.numpy()[sure])
    if not 0 < np.mean(~sure) < 0.9:
        fail(f"topk: {np.mean(~sure):.2f} of bf16 places are ties")


def test_ties():
    """[T, E] of scores with known gaps, their error given by the op before (a linear in bf16)."""
    x = np.array([[5, 4, 3, 2, 1, 0], [5, 4, 3, 3, 1, 0], [5, 5, 3, 2, 1, 0]], f32)
    var = ops.forward("topk", inputs=[x], attributes={"k": 3}).var
    if not (var[0] == 0).all():
        fail("topk: clear choices are called ties")
    if not (var[1, 2] > UNKNOWN and (var[1, :2] == 0).all()):
        fail(f"topk: a tie at the border gives {var[1]}")
    if not (0 < var[2, 0] < UNKNOWN and 0 < var[2, 1] < UNKNOWN and var[2, 2] == 0):
        fail(f"topk: a tie among the chosen gives {var[2]}")
    groups = np.array([[5, 0, 5, 1, 1, 0]], f32)
    var = ops.forward("topk", inputs=[groups], attributes={"k": 1, "groups": 3, "groups_kept": 1}).var
    if not (var > UNKNOWN).all():
        fail("topk: tied groups are not seen")


SCORINGS = {
    "softmax": lambda l, i: torch.softmax(l, -1).gather(1, i),
    "softmax_chosen": lambda l, i: torch.softmax(l.gather(1, i), -1),
    "sigmoid": lambda l, i: torch.sigmoid(l).gather(1, i),
}


def test_weights():
    for experts, k in ((8, 2), (128, 8), (256, 8)):
        for spread in (1, 6):
            logits = torch.tensor(normal(64, experts, scale=spread))
            chosen = logits.topk(k, -1).indices
            for scoring, of in SCORINGS.items():
                for normalise in (0, 1):
                    attributes = {"scoring": scoring, "normalise": normalise, "scale": 2.5}
                    expected = ops.forward("expert_weights", inputs=[logits, chosen], attributes=attributes)
                    w = of(logits, chosen)
                    w = w / w.sum(-1, keepdim=True) if normalise else w
                    right(f"weights {experts} {scoring} {normalise} spread {spread}", expected, (w * 2.5).numpy())
                    low = logits.bfloat16()
                    expected = ops.forward("expert_weights", inputs=[f64(low), chosen], attributes=attributes, u_store=BF16)
                    w = of(low.float(), chosen)
                    w = w / w.sum(-1, keepdim=True) if normalise else w
                    right(f"weights bf16 {experts} {scoring} {normalise}", expected, f64((w * 2.5).bfloat16()))


def experts_of(x, w, b, chosen):
    """[T, k, out] by a loop over tokens, in the dtype given."""
    rows = x if x.ndim == 3 else x[:, None].expand(-1, chosen.shape[1], -1)
    return torch.stack([torch.stack([F.linear(rows[t, j], w[e], None if b is None else b[e]) for j, e in enumerate(row)])
                        for t, row in enumerate(chosen)])


def test_expert_linear():
    for experts, k, inputs, outputs in ((4, 2, 64, 48), (16, 4, 256, 96), (3, 3, 1024, 8)):
        chosen = torch.tensor(np.array([rng.permutation(experts)[:k] for _ in range(12)]))
        w, b = torch.tensor(normal(experts, outputs, inputs, scale=inputs**-0.5)), torch.tensor(normal(experts, outputs))
        for name, x in (("rows", normal(12, inputs)), ("places", normal(12, k, inputs))):
            x = torch.tensor(x)
            for bias in (None, b):
                weights = [w] if bias is None else [w, bias]
                value = ops.forward("expert_linear", inputs=[x, chosen], weights=weights)
                right(f"expert_linear {name} {experts}", value, experts_of(x, w, bias, chosen).numpy())
            low, wl, bl = x.bfloat16(), w.bfloat16(), b.bfloat16()
            value = ops.forward("expert_linear", inputs=[f64(low), chosen], weights=[f64(wl), f64(bl)], u_store=BF16)
            right(f"expert_linear {name} bf16", value, f64(experts_of(low, wl, bl, chosen)))


def test_expert_sum():
    x, w = torch.tensor(normal(20, 8, 128)), torch.softmax(torch.tensor(normal(20, 8)), -1)
    value = ops.forward("expert_sum", inputs=[x, w])
    right("expert_sum", value, torch.einsum("tkh,tk->th", x, w).numpy())
    loop = torch.zeros(20, 128)
    for j in range(8):
        loop += x[:, j] * w[:, j, None]
    right("expert_sum loop", value, loop.numpy())
    low = x.bfloat16(), w.bfloat16()
    value = ops.forward("expert_sum", inputs=[f64(low[0]), f64(low[1])], u_store=BF16)
    right("expert_sum bf16", value, f64((low[0].float() * low[1].float()[..., None]).sum(1).bfloat16()))
    value = ops.forward("expert_sum", inputs=[f64(low[0]), f64(low[1])], u_store=BF16, u_acc=BF16)
    loop = torch.zeros(20, 128).bfloat16()
    for j in range(8):
        loop += low[0][:, j] * low[1][:, j, None]
    right("expert_sum in bf16", value, f64(loop))


def test_unknown():
    """A place that is not known takes nothing else with it."""
    scores = np.array([[3, 3, 1], [3, 2, 1]], f32)
    x, w = normal(2, 8), normal(3, 4, 8)
    for value, inputs in ((np.nan, "NaN"), (7, "beyond the experts"), (-1, "negative")):
        chosen = np.array([[value], [2.0]])
        found = ops.forward("expert_linear", inputs=[x, chosen], weights=[w])
        if not (found.var[0] > UNKNOWN).all() or (found.var[1] > UNKNOWN).any():
            fail(f"expert_linear: an expert that is {inputs} gives {found.var[:, 0, 0]}")
        found = ops.forward("expert_weights", inputs=[scores, chosen])
        if not (found.var[0] > UNKNOWN).all() or (found.var[1] > UNKNOWN).any():
            fail(f"expert_weights: an expert that is {inputs} gives {found.var[:, 0]}")


def test_parts():
    x, y = normal(6, 4, 24), normal(6, 16)
    value = ops.forward("slice", inputs=[x], attributes={"first": 5, "count": 9})
    equal("slice", value.v, x[..., 5:14])
    equal("slice to the end", ops.forward("slice", inputs=[y], attributes={"first": 3}).v, y[:, 3:])
    value = ops.forward("concat", inputs=[x, y])
    equal("concat over heads", value.v, np.concatenate([x, np.repeat(y[:, None], 4, 1)], -1))
    value = ops.forward("concat", inputs=[y, x, x])
    equal("concat of three", value.v, np.concatenate([np.repeat(y[:, None], 4, 1), x, x], -1))
    value = ops.forward("clamp", inputs=[x * 5], attributes={"min": -7, "max": 7})
    right("clamp", value, np.clip(x * f32(5), -7, 7))
    value = ops.forward("clamp", inputs=[f64(bf16(x * 5))], attributes={"max": 7.1}, u_store=BF16)
    right("clamp bf16", value, f64(bf16(x * 5).clamp(max=7.1)))
    a, b = normal(9, 32), normal(9, 32)
    right("mul with offset", ops.forward("mul", inputs=[a, b], attributes={"offset": 1}), a * (b + f32(1)))
    low = bf16(a), bf16(b)
    value = ops.forward("mul", inputs=[f64(low[0]), f64(low[1])], attributes={"offset": 1}, u_store=BF16, u_acc=BF16)
    right("mul with offset bf16", value, f64(low[0] * (low[1] + 1)))
    for pair in ((a, b[:, :1]), (b[:, :1], a)):
        right("mul by a gate", ops.forward("mul", inputs=list(pair)), a * b[:, :1])


def example(op):
    chosen = np.array([rng.permutation(8)[:3] for _ in range(12)])
    logits = normal(12, 8, scale=2)
    bias = normal(8)
    sigmoid = {"k": 2, "scoring": "sigmoid", "groups": 4, "groups_kept": 2, "group_score": "sum"}
    calls = {
        "topk": [dict(inputs=[normal(40, 16, scale=2)], weights=[normal(16, scale=0.5)], attributes=sigmoid),
                 dict(inputs=[logits], attributes={"k": 2})],
        "expert_weights": [dict(inputs=[logits, chosen], weights=[bias], attributes={"scoring": s, "normalise": n, "scale": 2.5})
                           for s, n in (("softmax", 0), ("softmax", 1), ("softmax_chosen", 0), ("sigmoid", 0), ("sigmoid", 1))],
        "expert_linear": [dict(inputs=[normal(12, 32), chosen], weights=[normal(8, 32, 32), normal(8, 32)])],
        "expert_sum": [dict(inputs=[normal(12, 3, 32), np.sort(np.abs(normal(12, 3)))])],
        "slice": [dict(inputs=[normal(12, 32)], attributes={"first": 20, "count": 12})],
        "concat": [dict(inputs=[normal(12, 4, 16), normal(12, 8)])],
        "clamp": [dict(inputs=[normal(12, 64, scale=5)], attributes=limits) for limits in ({"min": -7, "max": 7}, {"max": 7})],
        "mul": [dict(inputs=[normal(12, 64), normal(12, 64)], attributes={"offset": 1})],
        "add": [dict(inputs=[normal(12, 64), normal(12, 64)], attributes={"shared_input": 1})],
    }
    return calls[op]


def check_variant(op, call, expected, cause, attributes):
    """True where the wrong form could be told from the right one on this data."""
    wrong = ops.forward(op, **{**call, "attributes": {**call.get("attributes", {}), **attributes}})
    if wrong.v.shape == expected.v.shape and op == "topk":
        return not np.array_equal(wrong.v, expected.v)
    chi2 = judge(expected, wrong.v.astype(f32))[0] if wrong.v.shape == expected.v.shape else np.inf
    if chi2 <= 1:
        return False
    if not chi2 > 100:
        fail(f"{op} {cause} {attributes}: only chi2 {chi2:.3g} from the right form")
    right(f"{op} {cause} {attributes} against itself", wrong, wrong.v.astype(f32))
    return True


def test_variants():
    for op in ("topk", "expert_weights", "expert_linear", "expert_sum", "slice", "concat", "clamp", "mul", "add"):
        defaults, variants, _, roles = ops.table(op)
        told = set()
        for call in example(op):
            given = {f"has_{role}": i < len(call.get("weights", [])) for i, role in enumerate(roles)}
            names = {**evaluate_all(defaults, {}), **given, **call.get("attributes", {})}
            expected = ops.forward(op, **call)
            for row in variants:
                if not row[2] or evaluate(row[2], names):
                    if check_variant(op, call, expected, row[0], evaluate_all(row[1], names)):
                        told.add(row)
        for row in variants:
            if row not in told and row[0].split(".")[0] not in ("residual", "embed"):
                fail(f"{op}: nothing tells {row} from the right form")


def test_recovery():
    call = example("expert_weights")[1]
    attributes = {**call["attributes"], "scale": 16.0}
    observed = ops.forward("expert_weights", **{**call, "attributes": attributes}).v.astype(f32)
    found = ops.recover("expert_weights", observed, **call)
    if not [r for r in found if r[0] == "moe.scale" and abs(r[3]["scale"] - 16) < 1e-6]:
        fail(f"expert_weights: scale not recovered from {found}")
    if found := ops.recover("expert_weights", ops.forward("expert_weights", **call).v.astype(f32), **call):
        fail(f"expert_weights: a right engine yields {found}")


def refused(op, words, **call):
    try:
        ops.forward(op, **call)
    except ValueError as error:
        if words not in str(error):
            fail(f"{op}: refused with '{error}'")
        return
    fail(f"{op}: not refused: {words}")


def test_refusals():
    x = normal(4, 8)
    refused("topk", "9 of 8 experts", inputs=[x], attributes={"k": 9})
    refused("topk", "groups", inputs=[x], attributes={"k": 2, "groups": 3})
    refused("topk", "fewer than", inputs=[x], attributes={"k": 3, "groups": 4, "groups_kept": 1})
    refused("topk", "unknown scoring", inputs=[x], attributes={"scoring": "other"})
    refused("topk", "bias of 3", inputs=[x], weights=[normal(3)])
    refused("expert_weights", "needs logits", inputs=[x, normal(3, 2)])
    refused("expert_linear", "rows of 8", inputs=[x, np.zeros((4, 2))], weights=[normal(3, 5, 7)])
    refused("expert_linear", "bias of 4", inputs=[x, np.zeros((4, 2))], weights=[normal(3, 5, 8), normal(4)])
    refused("expert_sum", "needs x", inputs=[normal(4, 2, 8), normal(4, 3)])
    refused("slice", "6 elements from 5 on, of 8", inputs=[x], attributes={"first": 5, "count": 6})
    refused("concat", "other rows", inputs=[x, normal(5, 8)])
    refused("clamp", "limits", inputs=[x], attributes={"min": 2, "max": 1})
    refused("mul", "elements", inputs=[x, normal(4, 2)])


run(globals(), ops)
