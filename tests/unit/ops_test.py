# SPDX-License-Identifier: Apache-2.0
"""Every primitive against foreign implementations (numpy, torch, loops as engines write them), its wrong forms against
the right one, and its recoveries against planted parameters. Right forms must stay within chi²/N <= 4 and |z| < 16."""
import sys

try:
    import numpy as np
    import torch
    import torch.nn.functional as F
except ImportError:
    sys.exit(77)

from ops_driver import BF16, F16, Ops, evaluate, evaluate_all, judge
from ops_torch import Numbers, bf16, f32, f64, fail, right, run, wrong

ops = Ops()
numbers = Numbers(7)
normal, massive = numbers.normal, numbers.massive
POSITIONS = (0, 500, 5000, 100000)
SIZES = (64, 1024, 4096, 14336)
CONFIG = {"head_dim": 64, "heads": 4, "kv_heads": 2, "hidden": 256}


def sequential(terms):
    """A float loop: sum += term."""
    return np.cumsum(terms, axis=-1, dtype=f32)[..., -1]


def test_linear():
    for k in SIZES:
        x, w, b = massive(8, k), normal(48, k, scale=k**-0.5), normal(48)
        value = ops.forward("linear", inputs=[x], weights=[w, b])
        right(f"linear {k} BLAS", value, x @ w.T + b)
        right(f"linear {k} loop", value, sequential(x[:, None] * w) + b)
        right(f"linear {k} torch", value, F.linear(*map(torch.tensor, (x, w, b))).numpy())
        positive = ops.forward("linear", inputs=[np.abs(x)], weights=[np.abs(w)])
        right(f"linear {k} loop, all positive", positive, sequential(np.abs(x)[:, None] * np.abs(w)))
        xb, wb, bb = bf16(x), bf16(w), bf16(b)
        value = ops.forward("linear", inputs=[f64(xb)], weights=[f64(wb), f64(bb)], u_store=BF16)
        right(f"linear {k} torch bf16", value, f64(F.linear(xb, wb, bb)))
    q = massive(6, 2, 32)
    value = ops.forward("linear", inputs=[q], weights=[w := normal(24, 64)], split=(3, 8))
    right("linear over heads", value, (q.reshape(6, 64) @ w.T).reshape(6, 3, 8))


def test_norms():
    for k in SIZES:
        g, b = 1 + normal(k, scale=0.1), normal(k, scale=0.1)
        for size, shift in ((1, 0), (300, 0), (3000, 0), (1, 5), (300, 5)):
            x = massive(16, k, size=size) + f32(shift)
            name = f"{k} channel {size} mean {shift}"
            value = ops.forward("rmsnorm", inputs=[x], weights=[g], attributes={"eps": 1e-6})
            factor = f32(1) / np.sqrt(sequential(x * x) / f32(k) + f32(1e-6))
            right(f"rmsnorm {name} loop", value, x * factor[:, None] * g)
            right(f"rmsnorm {name} torch", value, F.rms_norm(torch.tensor(x), (k,), torch.tensor(g), 1e-6).numpy())
            value = ops.forward("layernorm", inputs=[x], weights=[g, b])
            mean = sequential(x) / f32(k)
            centred = x - mean[:, None]
            two_pass = centred / np.sqrt(sequential(centred * centred) / f32(k) + f32(1e-5))[:, None] * g + b
            right(f"layernorm {name} loop", value, two_pass)
            one_pass = centred / np.sqrt(sequential(x * x) / f32(k) - mean * mean + f32(1e-5))[:, None] * g + b
            right(f"layernorm {name} one pass", value, one_pass)
            torch_norm = F.layer_norm(*map(torch.tensor, (x,)), (k,), torch.tensor(g), torch.tensor(b), 1e-5)
            right(f"layernorm {name} torch", value, torch_norm.numpy())
        xb, gb = bf16(massive(16, k)), bf16(g)
        value = ops.forward("rmsnorm", inputs=[f64(xb)], weights=[f64(gb)], u_store=BF16)
        h = xb.float()
        h = h * torch.rsqrt(h.pow(2).mean(-1, keepdim=True) + 1e-6)
        right(f"rmsnorm {k} bf16, cast then multiply", value, f64(gb * h.bfloat16()))
        right(f"rmsnorm {k} bf16, multiply then cast", value, f64((h * gb.float()).bfloat16()))
    x, g = massive(6, 4, 64), normal(64)
    value = ops.forward("rmsnorm", inputs=[x], weights=[g], attributes={"offset": 1, "eps": 1e-5})
    right("rmsnorm per head", value, F.rms_norm(torch.tensor(x), (64,), torch.tensor(1 + g), 1e-5).numpy())


def frequencies_table(theta, dims, positions):
    """inv_freq in float, times position in float."""
    inverse = 1.0 / (torch.tensor(theta) ** (torch.arange(0, dims, 2).float() / dims))
    return positions.astype(f32)[:, None] * inverse.numpy()


def frequencies_iterated(theta, dims, positions):
    """angle *= theta_scale, pair after pair."""
    factor = f32(theta) ** f32(-2.0 / dims)
    angle = positions.astype(f32)
    columns = []
    for _ in range(dims // 2):
        columns.append(angle)
        angle = (angle * factor).astype(f32)
    return np.stack(columns, 1)


def rotate(x, angle, pairing, dims=None):
    dims = dims or x.shape[-1]
    pair = np.arange(dims // 2)
    first, second = (pair, pair + dims // 2) if pairing == "half" else (2 * pair, 2 * pair + 1)
    c, s = np.cos(angle, dtype=f32)[:, None], np.sin(angle, dtype=f32)[:, None]
    y = x.copy()
    y[..., first] = x[..., first] * c - x[..., second] * s
    y[..., second] = x[..., first] * s + x[..., second] * c
    return y


def test_rope():
    for start in POSITIONS:
        positions = np.arange(start, start + 5)
        for theta in (1e4, 5e5, 1e6):
            for pairing, dims in (("half", 128), ("interleaved", 128), ("half", 32)):
                x = massive(5, 2, 128)
                name = f"rope at {start}, theta {theta:g}, {pairing} {dims}"
                call = dict(inputs=[x], positions=positions)
                attributes = {"theta": theta, "pairing": pairing, "dims": dims}
                value = ops.forward("rope", attributes=attributes, **call)
                right(name, value, rotate(x, frequencies_table(theta, dims, positions), pairing, dims))
                value = ops.forward("rope", attributes={**attributes, "angle_error": 45}, **call)
                right(name + " iterated", value, rotate(x, frequencies_iterated(theta, dims, positions), pairing, dims))
        xb = bf16(massive(5, 2, 128))
        angle = torch.tensor(frequencies_table(1e4, 128, positions)).repeat(1, 2)[:, None]
        turned = torch.cat([-xb[..., 64:], xb[..., :64]], -1)
        value = ops.forward("rope", inputs=[f64(xb)], positions=positions, u_store=BF16)
        right(f"rope at {start} bf16", value, f64(xb * angle.cos().bfloat16() + turned * angle.sin().bfloat16()))


def test_rope_scalings():
    from transformers import LlamaConfig
    from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

    cases = {
        "llama3": {"factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 8192},
        "yarn": {"factor": 4.0, "beta_fast": 32.0, "beta_slow": 1.0, "original_max_position_embeddings": 4096},
        "linear": {"factor": 4.0},
    }
    for kind, fields in cases.items():
        config = LlamaConfig(hidden_size=512, num_attention_heads=4, head_dim=128, max_position_embeddings=32768)
        parameters = {"rope_type": kind, "rope_theta": 500000.0, **fields}
        config.rope_parameters = config.rope_scaling = parameters
        config.rope_theta = 500000.0
        inverse, attention = ROPE_INIT_FUNCTIONS[kind](config, torch.device("cpu"))
        rename = {"original_max_position_embeddings": "original_context"}
        attributes = {"theta": 500000, "scaling": kind, **{rename.get(k, k): v for k, v in fields.items()}}
        for start in POSITIONS:
            positions = np.arange(start, start + 5)
            x = massive(5, 2, 128)
            angle = positions.astype(f32)[:, None] * inverse.numpy()
            value = ops.forward("rope", inputs=[x], positions=positions, attributes=attributes)
            right(f"rope {kind} at {start}", value, rotate(x, angle, "half") * f32(attention))


def test_attention():
    for tokens, keys, spread in ((4, 4, 1), (8, 512, 4), (4, 5000, 10), (4, 5000, 1)):
        scores, key_positions = normal(tokens, 2, keys, scale=spread), np.arange(keys)
        positions = key_positions[-tokens:]
        value = ops.forward("softmax", inputs=[scores], positions=positions, key_positions=key_positions)
        masked = np.where(key_positions <= positions[:, None], 0, -np.inf).astype(f32)[:, None] + scores
        exponentials = np.exp(masked - masked.max(-1, keepdims=True), dtype=f32)
        probs = exponentials / sequential(exponentials)[..., None]
        right(f"softmax {keys} loop", value, probs)
        right(f"softmax {keys} torch", value, torch.softmax(torch.tensor(masked), -1).numpy())
        right(f"softmax {keys} no maximum", value, (e := np.exp(masked, dtype=f32)) / e.sum(-1, keepdims=True))
        low = bf16(masked)
        value = ops.forward("softmax", inputs=[np.where(np.isfinite(masked), f64(low), 0)], positions=positions,
                            key_positions=key_positions, u_store=BF16)
        right(f"softmax {keys} bf16", value, f64(torch.softmax(low, -1, dtype=torch.float32).bfloat16()))
        q, k = normal(tokens, 4, 64), massive(keys, 2, 64)
        wide = k[:, [0, 0, 1, 1]]
        value = ops.forward("qk", inputs=[q, k])
        right(f"qk {keys} BLAS", value, np.einsum("thd,shd->ths", q, wide, optimize=True))
        right(f"qk {keys} loop", value, sequential(q[:, :, None] * wide.transpose(1, 0, 2)))
        many = np.repeat(probs, 2, 1)
        for name, v in (("signed", k), ("positive", np.abs(k) + 1)):
            wide = v[:, [0, 0, 1, 1]]
            value = ops.forward("pv", inputs=[many, v])
            right(f"pv {keys} {name} BLAS", value, np.einsum("ths,shd->thd", many, wide, optimize=True))
            right(f"pv {keys} {name} loop", value, sequential(many[:, :, None] * wide.transpose(1, 2, 0)))
    sinks = normal(2)
    scores = normal(4, 2, 9)
    joined = np.concatenate([scores, np.broadcast_to(sinks[:, None], (4, 2, 1))], -1)
    value = ops.forward("softmax", inputs=[scores], weights=[sinks], attributes={"mask": "none"})
    right("softmax sink", value, torch.softmax(torch.tensor(joined), -1).numpy()[..., :-1])


def test_pointwise():
    functions = {"silu": F.silu, "gelu": F.gelu, "gelu_tanh": lambda v: F.gelu(v, approximate="tanh"),
                 "sigmoid": torch.sigmoid, "tanh": torch.tanh, "relu": F.relu, "relu2": lambda v: F.relu(v) ** 2}
    x = normal(64, 512, scale=4)
    for name, function in functions.items():
        value = ops.forward("activation", inputs=[x], attributes={"fn": name})
        right(f"{name} torch", value, function(torch.tensor(x)).numpy())
        value = ops.forward("activation", inputs=[f64(bf16(x))], attributes={"fn": name}, u_store=BF16)
        right(f"{name} torch bf16", value, f64(function(bf16(x))))
    tanh_form = lambda h: f32(0.5) * h * (f32(1) + np.tanh(f32(0.79788456) * h * (f32(1) + f32(0.044715) * h * h)))
    right("silu numpy", ops.forward("activation", inputs=[x]), x / (f32(1) + np.exp(-x)))
    right("gelu_tanh numpy", ops.forward("activation", inputs=[x], attributes={"fn": "gelu_tanh"}), tanh_form(x))
    half = x.astype(np.float16).astype(f32)
    value = ops.forward("activation", inputs=[x], attributes={"fn": "gelu_tanh", "table_unit": F16})
    right("gelu_tanh by f16 table", value, tanh_form(half).astype(np.float16))
    a, b, c = massive(9, 256), massive(9, 256), normal(9, 256)
    right("add", ops.forward("add", inputs=[a, b, c]), a + b + c)
    right("add repeated row", ops.forward("add", inputs=[a, c[0]]), a + c[0])
    right("mul", ops.forward("mul", inputs=[a, b]), a * b)
    ab, bb = bf16(a), bf16(b)
    right("add bf16", ops.forward("add", inputs=[f64(ab), f64(bb)], u_store=BF16), f64(ab + bb))
    right("mul bf16", ops.forward("mul", inputs=[f64(ab), f64(bb)], u_store=BF16), f64(ab * bb))
    capped = ops.forward("scale", inputs=[x * 20], attributes={"factor": 0.125, "softcap": 50})
    right("softcap", capped, f32(50) * np.tanh(x * f32(20) * f32(0.125) / f32(50)))
    right("scale", ops.forward("scale", inputs=[x], attributes={"factor": 0.3}), x * f32(0.3))
    low = bf16(x * 20)
    capped = ops.forward("scale", inputs=[f64(low)], attributes={"factor": 0.125, "softcap": 50}, u_store=BF16)
    right("softcap bf16", capped, f64(torch.tanh(low * 0.125 / 50) * 50))
    table, tokens = normal(100, 256), np.array([5, 99, 0, 5])
    value = ops.forward("embedding", weights=[table], tokens=tokens, attributes={"scale": 55.42562584220407})
    right("embedding", value, table[tokens] * f32(55.42562584220407))
    low = bf16(table)
    value = ops.forward("embedding", weights=[f64(low)], tokens=tokens, attributes={"scale": 55.5}, u_store=BF16)
    right("embedding bf16", value, f64(F.embedding(torch.tensor(tokens), low) * torch.tensor(55.5).bfloat16()))
    rows = ops.forward("rows", inputs=[a], attributes={"which": "last"})
    if rows.v.shape != (1, 256) or not (rows.v == a[-1:]).all():
        fail("rows: not the last row")


def example(op):
    """A call of the op in a model's usual shape, far enough along to see every fault that can be seen."""
    positions, keys = np.arange(5000, 5012), np.arange(4900, 5012)
    x = massive(12, 256)
    per_head = normal(12, 4, 64)
    calls = {
        "embedding": dict(weights=[normal(100, 256)], tokens=np.arange(12) * 7 + 1, attributes={"scale": 55.42562584220407}),
        "add": dict(inputs=[x, massive(12, 256)]),
        "rmsnorm": dict(inputs=[per_head * f32(1e-2)], weights=[1 + normal(64)], attributes={"eps": 1e-6}),
        "layernorm": dict(inputs=[x * f32(1e-2)], weights=[1 + normal(256), normal(256)], attributes={"eps": 1e-5}),
        "linear": dict(inputs=[x], weights=[normal(256, 256, scale=1 / 16), normal(256)]),
        "rope": dict(inputs=[per_head], positions=positions, attributes={"theta": 1e4}),
        "qk": dict(inputs=[per_head, normal(112, 2, 64)]),
        "scale": dict(inputs=[normal(12, 4, 112, scale=40)], attributes={"factor": 0.125}),
        "softmax": dict(inputs=[normal(12, 4, 112)], positions=positions, key_positions=keys, attributes={"window": 64}),
        "pv": dict(inputs=[np.abs(normal(12, 4, 112)) / 112, normal(112, 2, 64)]),
        "activation": dict(inputs=[normal(12, 256, scale=3)]),
        "mul": dict(inputs=[massive(12, 256), massive(12, 256)]),
        "rows": dict(inputs=[x], attributes={"which": "last"}),
    }
    return calls[op]


def with_attributes(call, attributes):
    return {**call, "attributes": {**call.get("attributes", {}), **attributes}}


def check_variant(op, call, cause, attributes, expected):
    wrong = ops.forward(op, **with_attributes(call, attributes))
    observed = wrong.v.astype(f32)
    same_shape = wrong.v.shape == expected.v.shape
    chi2 = judge(expected, observed)[0] if same_shape else np.inf
    if chi2 <= 1:
        return 0  # equal on this data
    if not chi2 > 100:
        fail(f"{op} {cause} {attributes}: only chi2 {chi2:.3g} from the right form")
    right(f"{op} {cause} {attributes} against itself", wrong, observed)
    return 1


def test_variants():
    seen = 0
    also = {"add": {"position_input": 1}, "scale": {"softcap": 30.0}, "rope": {"scaling": "llama3", "factor": 8.0}, "rmsnorm": {"offset": 1.0}}
    for op in ("embedding", "add", "rmsnorm", "layernorm", "linear", "rope", "qk", "scale", "softmax", "pv",
               "activation", "mul", "rows"):
        defaults, variants, benign, roles = ops.table(op)
        for extra in ({}, also.get(op, {})):
            call = with_attributes(example(op), extra)
            given = {f"has_{role}": i < len(call.get("weights", [])) for i, role in enumerate(roles)}
            names = {**CONFIG, **evaluate_all(defaults, CONFIG), **given, **call.get("attributes", {})}
            expected = ops.forward(op, **call)
            for cause, sets, when in variants:
                if not when or evaluate(when, names):
                    seen += check_variant(op, call, cause, evaluate_all(sets, names), expected)
            for cause, sets, when in benign:
                if (when and not evaluate(when, names)) or "activations" in sets: # those: ops_activations_test.py
                    continue
                loose = ops.forward(op, **with_attributes(call, evaluate_all(sets, names)))
                if not (loose.var >= expected.var).all() or not np.array_equal(loose.v, expected.v):
                    fail(f"{op} benign {cause}: changes values or narrows the error bar")
    if seen < 70:
        fail(f"only {seen} variants could be told from the right form")


def planted(op, cause, attributes, call=None, u_store=None, check=None):
    call = call or example(op)
    if u_store:
        call = {**call, "u_store": u_store, "inputs": [f64(bf16(x)) for x in call.get("inputs", [])]}
    wrong = ops.forward(op, **with_attributes(call, attributes)).v
    observed = f64(bf16(wrong)) if u_store == BF16 else wrong.astype(f32)
    found = ops.recover(op, observed, **call)
    for what, _, _, sets in found:
        close = all(name in sets and (sets[name] == value if isinstance(value, str) else
                                      abs(sets[name] - value) <= 2e-3 * abs(value)) for name, value in
                    (check or attributes).items())
        if what == cause and close:
            chi2 = judge(ops.forward(op, **with_attributes(call, sets)), observed)[0]
            if chi2 > 4:
                fail(f"{op} {attributes}: recovered, but chi2 is {chi2:.3g} after")
            return
    fail(f"{op} {attributes}: {cause} not recovered from {found}")


def test_recoveries():
    for scale in (48.0, 1.0, 55.5):
        cause = "embed.scale_rounding" if scale == 55.5 else "embed.scale_missing"
        planted("embedding", cause, {"scale": scale})
    for sets in ({"row_offset": 1}, {"row_offset": -0 + 3}, {"row_stuck": 17}):
        planted("embedding", "embed.wrong_row", sets)
    for scale in (0.5, 0.22, 12.0):
        planted("add", "residual.scale", {"scale": scale})
    planted("add", "residual.scale", {"scale_first": 0.5})
    for eps in (1e-5, 1e-3, 0.1):
        planted("rmsnorm", "norm.eps", {"eps": eps})
    small = dict(inputs=[normal(12, 256, scale=1e-2)], weights=[1 + normal(256), normal(256)])
    for eps in (1e-12, 1e-6, 1e-3):
        planted("layernorm", "norm.eps", {"eps": eps}, call=small)
    for factor in (1.0, 1 / 64, 0.0884, 256**-0.5):
        planted("scale", "attn.scale", {"factor": factor})
    for cap in (50.0, 30.0, 20.0):
        planted("scale", "attn.softcap_extra", {"softcap": cap})
    planted("scale", "logits.scale", {"factor": 0.25}, call=with_attributes(example("scale"), {"cause_prefix": "logits"}))
    for window in (16, 63, 65, 100):
        planted("softmax", "attn.window", {"window": window})
    for offset in (-1, 2, 5):
        planted("softmax", "attn.mask_off_by_one", {"offset": offset})


def test_linear_recoveries():
    planted("linear", "linear.scale", {"scale": 0.5})
    planted("linear", "linear.scale", {"scale": 1 / 8}, u_store=BF16)
    planted("linear", "linear.truncated", {"truncate": 248})
    planted("linear", "linear.tile_remainder", {"tail_columns": 6})
    planted("linear", "linear.tile_remainder", {"tail_rows": 3})
    planted("linear", "linear.leading_dimension", {"ld": 255})
    planted("linear", "linear.leading_dimension", {"ld": 256, "base": 512})
    for block, inner in ((64, 2), (64, 32), (128, 2), (256, 16)):
        planted("linear", "linear.permuted_rows", {"permute_block": block, "permute_inner": inner})
    planted("linear", "linear.permuted_rows", {"permute_block": 64, "permute_inner": 2}, u_store=BF16)
    planted("linear", "linear.permuted_rows", {"swap_first": 0, "swap_second": 128, "swap_count": 128},
            check={"permute_block": 256, "permute_rotate": 128})
    planted("linear", "linear.permuted_rows", {"swap_first": 16, "swap_second": 80, "swap_count": 16})


def test_rope_recoveries():
    prompt = dict(inputs=[normal(12, 4, 64)], positions=np.arange(12))
    far = example("rope")
    single = dict(inputs=[normal(1, 4, 64)], positions=np.array([37]))
    for name, call in (("prompt", prompt), ("far", far), ("single", single)):
        for store in (None, BF16):
            for theta in (5e5, 1e6, 5e4, 80000.0):
                planted("rope", "rope.theta", {"theta": theta}, call=call, u_store=store)
            planted("rope", "rope.pairing", {"pairing": "interleaved"}, call=call, u_store=store)
            for offset in (1, -1, 5):
                planted("rope", "rope.position_offset", {"position_offset": offset}, call=call, u_store=store)
            planted("rope", "rope.direction", {"direction": -1}, call=call, u_store=store)
            for scale in (0.25, 8.0, 0.125):
                planted("rope", "rope.frequency_scale", {"frequency_scale": scale}, call=call, u_store=store)
            planted("rope", "rope.magnitude_scale", {"magnitude": 1.1386}, call=call, u_store=store)
    planted("rope", "rope.position_stuck", {"stuck_position": 5000}, call=far)
    planted("rope", "rope.position_stuck", {"stuck_position": 0}, call=prompt)
    planted("rope", "rope.theta", {"theta": 123456.0}, call=prompt)
    planted("rope", "rope.partial_dims", {"dims": 32}, call=far)
    planted("rope", "rope.partial_dims", {"dims": 32}, call=with_attributes(far, {"pairing": "interleaved"}))
    planted("rope", "rope.theta", {"theta": 1e6, "pairing": "interleaved"}, call=far)


def test_right_engines_recover_nothing():
    for op in ("embedding", "add", "rmsnorm", "layernorm", "linear", "rope", "scale", "softmax"):
        call = example(op)
        observed = ops.forward(op, **call).v.astype(f32)
        if found := ops.recover(op, observed, **call):
            fail(f"{op}: a right engine yields {found}")


run(globals(), ops)
