# SPDX-License-Identifier: Apache-2.0
"""Where positions come in, against transformers: scalings of rope for long contexts, linear biases. And norms over all
heads together. Right forms stay within chi²/N <= 4 and |z| < 16, wrong forms above 100."""
import sys

try:
    import numpy as np
    import torch
    import torch.nn.functional as F
    from transformers import LlamaConfig
    from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS
    from transformers.models.bloom.modeling_bloom import build_alibi_tensor
    from transformers.models.mpt.modeling_mpt import build_mpt_alibi_tensor
except ImportError:
    sys.exit(77)

from ops_driver import BF16, Ops, evaluate, evaluate_all
from ops_torch import Numbers, bf16, f32, f64, fail, right, run, wrong

ops = Ops()
numbers = Numbers(5)
normal = numbers.normal
DIMS = 64
SHORT = [1 + 0.03 * i for i in range(DIMS // 2)]
LONG = [2 + 0.7 * i for i in range(DIMS // 2)]
SCALINGS = {  # name: (scaling, parameters of transformers, of the op, divisors)
    "yarn": ("yarn", {"factor": 4.0, "original_max_position_embeddings": 1024}, {"original_context": 1024}, []),
    "yarn in pairs": ("yarn", {"factor": 4.0, "original_max_position_embeddings": 1024, "truncate": False},
                      {"original_context": 1024, "truncate": 0}, []),
    "yarn with factor": ("yarn", {"factor": 4.0, "original_max_position_embeddings": 1024, "attention_factor": 1.3},
                         {"original_context": 1024, "attn_factor": 1.3}, []),
    "dynamic": ("dynamic", {"factor": 2.0}, {"max_context": 4096}, []),
    "longrope": ("longrope", {"factor": 4.0, "original_max_position_embeddings": 1024, "short_factor": SHORT,
                              "long_factor": LONG}, {"original_context": 1024}, [SHORT, LONG]),
}


def rotated(x, angle, magnitude):
    """[tokens, heads, DIMS] turned in pairs (i, i + DIMS/2), in f32."""
    c, s = (f32(magnitude) * f(angle, dtype=f32)[:, None] for f in (np.cos, np.sin))
    a, b = x[..., :DIMS // 2], x[..., DIMS // 2:]
    return np.concatenate([a * c - b * s, a * s + b * c], -1)


def scaled_call(name, start):
    """(call of the op, what transformers' frequencies make of it) at positions from `start`."""
    kind, parameters, attributes, divisors = SCALINGS[name]
    config = LlamaConfig(hidden_size=4 * DIMS, num_attention_heads=4, head_dim=DIMS, max_position_embeddings=4096)
    config.rope_parameters = {"rope_type": kind, "rope_theta": 10000.0, **parameters}
    positions = np.arange(start, start + 6)
    inverse, magnitude = ROPE_INIT_FUNCTIONS[kind](config, torch.device("cpu"), seq_len=start + 6)
    x = normal(6, 2, DIMS)
    call = dict(inputs=[x], weights=[np.array(d, f32) for d in divisors], positions=positions,
                attributes={"theta": 1e4, "scaling": kind, "factor": parameters["factor"], **attributes})
    return call, rotated(x, positions.astype(f32)[:, None] * inverse.numpy(), magnitude)


def test_scalings():
    for name in SCALINGS:
        for start in (0, 900, 3000, 20000):
            call, observed = scaled_call(name, start)
            right(f"rope {name} at {start}", ops.forward("rope", **call), observed)


def test_scalings_mistaken():
    """The right form of one is none of the other."""
    for name in SCALINGS:
        call, _ = scaled_call(name, 20000)
        expected = ops.forward("rope", **call)
        plain = {**call, "attributes": {**call["attributes"], "scaling": "none"}, "weights": []}
        wrong(f"rope {name} not scaled", expected, ops.forward("rope", **plain))
    call, _ = scaled_call("longrope", 20000)
    short = {**call, "attributes": {**call["attributes"], "long": 0}}
    wrong("rope with the short divisors", ops.forward("rope", **call), ops.forward("rope", **short))
    call, _ = scaled_call("yarn in pairs", 900)
    whole = {**call, "attributes": {**call["attributes"], "truncate": 1}}
    wrong("yarn's ramp at whole pairs", ops.forward("rope", **call), ops.forward("rope", **whole))


def alibi_call(heads, attributes=None, scale=3.0):
    return dict(inputs=[normal(8, heads, 40, scale=scale)], positions=np.arange(32, 40), key_positions=np.arange(40),
                attributes=attributes or {})


def test_alibi():
    for heads in (1, 4, 6, 12, 16, 71, 112):
        call = alibi_call(heads)
        scores = call["inputs"][0]
        bias = build_alibi_tensor(torch.ones(1, 40), heads, torch.float32).numpy().reshape(heads, 40)
        value = ops.forward("alibi", **{**call, "attributes": {"form": "position"}})
        right(f"alibi, {heads} heads, by position", value, scores + bias[None])
        mpt = build_mpt_alibi_tensor(heads, 40).numpy().reshape(heads, 40)  # key minus the last position
        distances = np.arange(40)[None] - np.arange(32, 40)[:, None]
        slopes = -mpt[None, :, -2, None]
        right(f"alibi, {heads} heads, by distance", ops.forward("alibi", **call),
              scores + slopes * distances[:, None].astype(f32))
        low = bf16(scores)
        value = ops.forward("alibi", u_store=BF16, **{**call, "inputs": [f64(low)], "attributes": {"form": "position"}})
        bias = build_alibi_tensor(torch.ones(1, 40), heads, torch.bfloat16).reshape(heads, 40)
        right(f"alibi, {heads} heads, bf16", value, f64(low + bias[None]))


def test_alibi_forms():
    """Those that count as right give the same probabilities, the others do not."""
    seen = 0
    for heads in (6, 8):
        call = alibi_call(heads)
        defaults, variants, benign, _ = ops.table("alibi")
        names = {"heads": heads, **evaluate_all(defaults, {})}
        expected = ops.forward("alibi", **call)
        visible = np.arange(40)[None] <= np.arange(32, 40)[:, None]

        def probabilities(value):
            return F.softmax(torch.tensor(np.where(visible[:, None], value.v, -np.inf)), -1).numpy()
        for cause, sets, when in benign:
            if not evaluate(when, names):
                continue
            other = ops.forward("alibi", **{**call, "attributes": evaluate_all(sets, names)})
            if not np.allclose(probabilities(other), probabilities(expected), rtol=1e-12, atol=0):
                fail(f"alibi benign {cause}: other probabilities")
        for cause, sets, when in variants:
            if when and not evaluate(when, names):
                continue
            seen += 1
            wrong(f"alibi {cause} {sets}", expected,
                  ops.forward("alibi", **{**call, "attributes": evaluate_all(sets, names)}))
    if seen < 10:
        fail(f"only {seen} variants of alibi were tried")


def test_joined_norm():
    for op, reference in (("rmsnorm", F.rms_norm), ("layernorm", F.layer_norm)):
        x, weight = normal(8, 6, 32, scale=2.0) + f32(0.5), 1 + normal(192, scale=0.3)
        call = dict(inputs=[x], weights=[weight], attributes={"eps": 1e-5, "join": 1})
        observed = reference(torch.tensor(x).reshape(8, 192), (192,), torch.tensor(weight), eps=1e-5).numpy()
        value = ops.forward(op, **call)
        right(f"{op} over all heads", value, observed.reshape(8, 6, 32))
        apart = {**call, "attributes": {"eps": 1e-5, "join": 0}}
        wrong(f"{op} of each head", value, ops.forward(op, **apart))
        rows = reference(torch.tensor(x), (32,), None, eps=1e-5).numpy() * weight.reshape(6, 32)
        right(f"{op} of each head, weights of all", ops.forward(op, **apart), rows)


run(globals(), ops)
