# SPDX-License-Identifier: Apache-2.0
"""Primitives of models with several residual streams, of encoders and of refinement loops: against torch in f32 and bf16
(chi²/N <= 4, |z| < 16), every wrong form above chi² 100, and undecided gates unknown."""
import sys

try:
    import numpy as np
    import torch
    import torch.nn.functional as F
except ImportError:
    sys.exit(77)

from ops_driver import BF16, Ops, evaluate, evaluate_all, judge
from ops_torch import Numbers, bf16, f32, f64, fail, right, run, wrong

ops = Ops()
numbers = Numbers(11)
normal, massive = numbers.normal, numbers.massive
TOKENS, STREAMS, WIDTH = 12, 4, 256
CONFIG = {"hidden": WIDTH, "nan": float("nan")}


def standard_deviations(x, share):
    k = torch.distributions.Normal(0, 1).icdf(torch.tensor(share)).to(x.dtype)
    return F.relu(x - (x.mean(-1, keepdim=True) + k * x.std(-1, keepdim=True, unbiased=False)))


def same_magnitude(x, like):
    root = (like**2).mean(-1, keepdim=True) ** 0.5
    return x * root.unsqueeze(-2) / torch.sqrt((x**2).mean(-1, keepdim=True).clamp(min=1e-5))


def cases():
    """op: (call, the same in torch, in the dtype of its operands)"""
    x, streams = massive(TOKENS, WIDTH), massive(TOKENS, STREAMS, WIDTH)
    each = normal(STREAMS, WIDTH, WIDTH, scale=1 / 16)
    signal, taps = massive(60, 48), normal(64, 48, 3, scale=1 / 12)
    a, b = normal(6, 64), normal(6, 64)
    gates = np.array([[1], [0], [1], [0], [1], [1]], f32)
    return {
        "stack": (dict(inputs=[x, streams]), lambda x, s: torch.cat([x[:, None], s], 1)),
        "stream": (dict(inputs=[streams], attributes={"first": 1}), lambda s: s[:, 1]),
        "stream_add": (dict(inputs=[streams, x], attributes={"first": 1}),
                       lambda s, x: torch.cat([s[:, :1], s[:, 1:] + x[:, None]], 1)),
        "stream_sum": (dict(inputs=[streams], attributes={"factor": 0.25}), lambda s: s.mean(1)),
        "gain": (dict(inputs=[x], weights=[1 + normal(WIDTH)]), lambda x, w: x * w),
        "parameter": (dict(weights=[x]), lambda w: w),
        "linear_each": (dict(inputs=[streams], weights=[each]), lambda s, w: torch.einsum("tni,noi->tno", s, w)),
        "mix": (dict(inputs=[normal(TOKENS, STREAMS, STREAMS), streams]), lambda c, s: c @ s),
        "magnitude": (dict(inputs=[streams * f32(7), x]), same_magnitude),
        "sparsify": (dict(inputs=[normal(TOKENS, 1024, scale=3)], attributes={"sparsity": 0.95}),
                     lambda x: standard_deviations(x, 0.95)),
        "conv1d": (dict(inputs=[signal], weights=[taps, normal(64)], attributes={"stride": 2, "padding": 1}),
                   lambda x, w, b: F.conv1d(x.T[None], w, b, stride=2, padding=1)[0].T),
        "chunk": (dict(inputs=[x[:10]], attributes={"size": 4}), lambda x: F.pad(x, (0, 0, 0, 2)).reshape(3, -1)),
        "similarity": (dict(inputs=[a, a + b]), lambda a, b: F.cosine_similarity(a, b, dim=-1)[:, None]),
        "select": (dict(inputs=[gates, a, b]), lambda g, a, b: torch.where(g != 0, a, b)),
        "mean": (dict(inputs=[massive(6, 16)]), lambda x: x.mean(-1, keepdim=True)),
        "top_probability": (dict(inputs=[normal(6, 500, scale=4)]), lambda x: F.softmax(x, -1).amax(-1, keepdim=True)),
        "gate": (dict(inputs=[normal(64, 1), np.ones((64, 1), f32)], attributes={"keep": "below", "limit": 0.3}),
                 lambda x, _: (x < 0.3).to(x.dtype)),
    }


def test_against_torch():
    for op, (call, function) in cases().items():
        arrays = list(call.get("inputs", ())) + list(call.get("weights", ()))
        right(op, ops.forward(op, **call), function(*map(torch.tensor, arrays)).numpy())
        exact = function(*(torch.tensor(array).double() for array in arrays)).numpy()
        value = ops.forward(op, **call).v
        limit = 1e-6 if op == "sparsify" else 1e-13  # torch takes the quantile in f32
        if np.abs(value - exact).max() > limit * max(1, np.abs(exact).max()):
            fail(f"{op}: {np.abs(value - exact).max():.3g} from torch in f64")
        low = [bf16(array) for array in arrays]
        split = len(call.get("inputs", ()))
        rounded = {**call, "inputs": [f64(t) for t in low[:split]], "weights": [f64(t) for t in low[split:]]}
        right(f"{op} bf16", ops.forward(op, u_store=BF16, **rounded), f64(function(*low)))


def with_attributes(call, attributes):
    return {**call, "attributes": {**call.get("attributes", {}), **attributes}}


def test_variants():
    seen = 0
    for op, (call, _) in cases().items():
        defaults, variants, _, roles = ops.table(op)
        given = {f"has_{role}": i < len(call.get("weights", ())) for i, role in enumerate(roles)}
        names = {**CONFIG, **evaluate_all(defaults, CONFIG), **given, **call.get("attributes", {})}
        expected = ops.forward(op, **call)
        for cause, sets, when in variants:
            if when and not evaluate(when, names):
                continue
            try:
                wrong = ops.forward(op, **with_attributes(call, evaluate_all(sets, names)))
            except ValueError:
                continue  # not possible for these shapes
            seen += 1
            chi2 = judge(expected, wrong.v.astype(f32))[0] if wrong.v.shape == expected.v.shape else np.inf
            if not chi2 > 100:
                fail(f"{op} {cause} {sets}: only chi2 {chi2:.3g} from the right form")
    if seen < 25:
        fail(f"only {seen} wrong forms were tried")


def test_one_vector_for_all():
    x, c, w = massive(TOKENS, WIDTH), normal(TOKENS, STREAMS), normal(STREAMS, 32, WIDTH, scale=1 / 16)
    value = ops.forward("mix", inputs=[c, x], attributes={"offset": 1})
    right("mix spread", value, ((torch.tensor(c) + 1)[:, :, None] * torch.tensor(x)[:, None]).numpy())
    value = ops.forward("linear_each", inputs=[x], weights=[w])
    right("linear_each of one vector", value, torch.einsum("ti,noi->tno", *map(torch.tensor, (x, w))).numpy())
    features = normal(48, 60)
    value = ops.forward("conv1d", inputs=[features], weights=[w := normal(8, 48, 3)],
                        attributes={"padding": 1, "channels_first": 1})
    right("conv1d channels first", value, F.conv1d(torch.tensor(features)[None], torch.tensor(w), padding=1)[0].T.numpy())
    right("stream count", ops.forward("stream", inputs=[x := massive(3, 5, 8)], attributes={"first": 2, "count": 3}), x[:, 2:])


def test_chunks_return():
    x = massive(10, 32)
    cut = ops.forward("chunk", inputs=[x], attributes={"size": 4})
    back = ops.forward("unchunk", inputs=[cut.v], attributes={"size": 4}, positions=np.arange(10))
    if not np.array_equal(back.v, x.astype(np.float64)):
        fail("unchunk does not undo chunk")


def test_undecided_gates():
    """Where a number lies within its error bar of the limit, nothing that hangs on it is judged."""
    at, far = 0.5, np.array([[0.5], [0.2], [0.8]], f32)
    similar = ops.forward("similarity", inputs=[np.eye(3, 4), np.eye(3, 4)])
    if similar.var.max() > 1e-10:
        fail("similarity: error bar of a perfect match is too wide")
    gate = ops.forward("gate", inputs=[far], attributes={"limit": at})
    if not np.array_equal(gate.v[:, 0], [0, 1, 0]):
        fail(f"gate: {gate.v[:, 0]}")
    closed = ops.forward("gate", inputs=[far, np.zeros((3, 1))], attributes={"keep": "always"})
    nothing = ops.forward("gate", inputs=[np.full((1, 1), np.nan)], attributes={"keep": "not_above"})
    if closed.v.any() or nothing.v[0, 0] != 1:
        fail("gate: a closed gate opened, or NaN counted as above the limit")


run(globals(), ops)
