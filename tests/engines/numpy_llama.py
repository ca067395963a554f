#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A llama in numpy with other habits than the sample engine's, and with faults on request.

    numpy_llama.py FOLDER [--tokens I,…] [-n N] [habit…] [--fault NAME]

FOLDER holds config.json and model.safetensors. Prints the tokens that follow and a checksum of all logits. Needs
nothing but numpy. Habits are right ways of computing the same model; a fault is one planted mistake.
"""
import argparse
import hashlib
import json
import os
import struct
import sys
import threading

try:
    import numpy as np
except ImportError as missing:
    print(f"skipped: {missing}")
    sys.exit(77)

FAULTS = ("rope_interleaved rope_theta rope_offset rope_skipped rope_on_v rope_backwards rope_stuck rope_half "
          "scale_missing scale_twice mask_missing mask_off_by_one head_map softmax_axis not_normalised "
          "gelu relu gate_up_swapped gate_missing double_silu residual_missing residual_doubled norm_skipped "
          "norm_eps norm_sum norm_layernorm norm_order q_transposed o_transposed k_from_other_layer "
          "v_is_k kv_swapped kv_stale kv_shifted kv_hole down_truncated zero_up embed_wrong_row "
          "embed_scaled final_norm_skipped head_wrong_row head_scaled other_token").split()


def read_safetensors(path, dtype):
    """{name: array of dtype} of f32, f16 and bf16 tensors."""
    with open(path, "rb") as file:
        size, = struct.unpack("<Q", file.read(8))
        entries = json.loads(file.read(size))
        body = file.read()
    entries.pop("__metadata__", None)
    tensors = {}
    for name, entry in entries.items():
        begin, end = entry["data_offsets"]
        if entry["dtype"] == "BF16":
            bits = np.frombuffer(body[begin:end], np.uint16).astype(np.uint32) << 16
            values = bits.view(np.float32)
        else:
            values = np.frombuffer(body[begin:end], {"F32": np.float32, "F16": np.float16}[entry["dtype"]])
        tensors[name] = values.astype(dtype).reshape(entry["shape"])
    return tensors


def silu(x):
    return x / (1 + np.exp(-x))


def gelu(x):
    return 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi).astype(x.dtype) * (x + 0.044715 * x ** 3)))


class Weights:
    """The model's matrices in the layout that the habits ask for."""

    def __init__(self, folder, options):
        self.options = options
        self.dtype = np.float64 if options.double else np.float32
        with open(os.path.join(folder, "config.json"), encoding="utf-8") as file:
            self.config = json.load(file)
        self.tensors = read_safetensors(os.path.join(folder, "model.safetensors"), self.dtype)
        self.laid_out = {}

    def layer(self, index, name):
        return self.tensors.get(f"model.layers.{index}.{name}")

    def rows(self, index, names):
        """Matrices stacked by rows, as a fused product wants them."""
        if self.options.fault == "kv_swapped" and len(names) == 3:
            names = [names[0], names[2], names[1]]
        parts = []
        for name in names:
            source = index
            if self.options.fault == "k_from_other_layer" and "k_proj" in name and index == 1:
                source = 0
            part = self.layer(source, name + ".weight")
            if self.options.fault == "v_is_k" and "v_proj" in name and index == 1:
                part = self.layer(index, "self_attn.k_proj.weight")
            if (self.options.fault == "q_transposed" and "q_proj" in name
                    or self.options.fault == "o_transposed" and "o_proj" in name):
                part = part.T
            if self.options.fault == "zero_up" and "up_proj" in name and index == 1:
                part = part * 0
            if self.options.fault == "down_truncated" and "down_proj" in name:
                part = part.copy()
                part[:, -32:] = 0
            parts.append(part)
        return np.concatenate(parts) if len(parts) > 1 else np.ascontiguousarray(parts[0])

    def linear(self, x, index, *names):
        """x [tokens, in] -> [tokens, all outs]."""
        key = (index, names)
        if key not in self.laid_out:
            if index is None:
                matrix = self.tensors[names[0]]
            else:
                matrix = self.rows(index, list(names))
            if self.options.quantise == "f16":
                matrix = matrix.astype(np.float16).astype(self.dtype)
            if self.options.layout == "transposed":
                matrix = np.ascontiguousarray(matrix.T)
            self.laid_out[key] = matrix
        matrix = self.laid_out[key]
        if self.options.layout == "transposed":
            y = x @ matrix
        elif self.options.layout == "left":
            y = np.ascontiguousarray((matrix @ np.ascontiguousarray(x.T)).T)
        elif self.options.layout == "vectors":
            y = np.stack([matrix @ row for row in x])
        else:
            y = x @ matrix.T
        biases = [self.layer(index, name + ".bias") for name in names] if index is not None else [None]
        if biases[0] is not None:
            offset = 0
            for name, bias in zip(names, biases):
                if bias is not None:
                    y[:, offset:offset + len(bias)] += bias
                offset += self.layer(index, name + ".weight").shape[0]
        return y


class Engine:
    """One sequence: its cache and its position."""

    def __init__(self, weights):
        self.weights, self.options, config = weights, weights.options, weights.config
        self.dtype = weights.dtype
        self.hidden = config["hidden_size"]
        self.layers = config["num_hidden_layers"]
        self.heads = config["num_attention_heads"]
        self.kv_heads = config.get("num_key_value_heads", self.heads)
        self.head_dim = config.get("head_dim") or self.hidden // self.heads
        self.eps = config["rms_norm_eps"]
        self.theta = config.get("rope_theta") or config["rope_parameters"]["rope_theta"]
        self.tied = config.get("tie_word_embeddings", False)
        self.keys = [None] * self.layers
        self.values = [None] * self.layers
        self.past = 0
        self.checksum = hashlib.sha256()

    def fault(self, name):
        return self.options.fault == name

    def norm(self, x, weight, layer=None):
        if self.fault("norm_skipped") and layer == 1:
            return x
        eps = 1e-3 if self.fault("norm_eps") else self.eps
        if self.fault("norm_layernorm"):
            x = x - x.mean(-1, keepdims=True)
        square = (x * x).sum(-1, keepdims=True) if self.fault("norm_sum") else (x * x).mean(-1, keepdims=True)
        return (x / np.sqrt(square + self.dtype(eps)) * weight).astype(self.dtype)

    def rope(self, x, positions):
        """x [heads, tokens, head_dim]"""
        if self.fault("rope_skipped"):
            return x
        theta = self.theta * 50 if self.fault("rope_theta") else self.theta
        if self.fault("rope_offset"):
            positions = positions + 1
        if self.fault("rope_stuck") and self.past:
            positions = positions * 0
        dim = self.head_dim // 2 if self.fault("rope_half") else self.head_dim
        half = dim // 2
        frequency = 1.0 / theta ** (np.arange(half, dtype=np.float64) * 2 / dim)
        if self.options.double:
            angle = positions[:, None] * frequency
        else:
            angle = positions[:, None].astype(np.float32) * frequency.astype(np.float32)
        cos, sin = np.cos(angle).astype(self.dtype), np.sin(angle).astype(self.dtype)
        if self.fault("rope_backwards"):
            sin = -sin
        y = x.copy()
        if self.fault("rope_interleaved"):
            a, b = x[..., 0:dim:2], x[..., 1:dim:2]
            y[..., 0:dim:2], y[..., 1:dim:2] = a * cos - b * sin, b * cos + a * sin
        else:
            a, b = x[..., :half], x[..., half:dim]
            y[..., :half], y[..., half:dim] = a * cos - b * sin, b * cos + a * sin
        return y

    def project(self, h, layer):
        """q [heads, tokens, head_dim], k and v [kv_heads, tokens, head_dim]"""
        names = ["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"]
        sizes = [self.heads * self.head_dim, self.kv_heads * self.head_dim, self.kv_heads * self.head_dim]
        if self.options.qkv == "fused":
            joined = self.weights.linear(h, layer, *names)
            parts = np.split(joined, [sizes[0], sizes[0] + sizes[1]], axis=1)
        elif self.options.qkv == "kv":
            joined = self.weights.linear(h, layer, *names[1:])
            parts = [self.weights.linear(h, layer, names[0])] + np.split(joined, [sizes[1]], axis=1)
        else:
            parts = [self.weights.linear(h, layer, name) for name in names]
            if self.fault("kv_swapped"):
                parts[1], parts[2] = parts[2], parts[1]
        return [part.reshape(len(h), -1, self.head_dim).transpose(1, 0, 2) for part in parts]

    def cache(self, layer, k, v):
        """Appends to the cache; -> all keys and values so far, [kv_heads, keys, head_dim]."""
        if self.keys[layer] is None:
            self.keys[layer], self.values[layer] = k.copy(), v.copy()
        else:
            if self.fault("kv_stale") and layer == 1:
                k = self.keys[layer][:, -1:]
            if self.fault("kv_shifted") and layer == 1:
                self.keys[layer] = np.roll(self.keys[layer], 1, axis=1)
            if self.fault("kv_hole") and layer == 1:
                k = k * 0
            self.keys[layer] = np.concatenate([self.keys[layer], k], axis=1)
            self.values[layer] = np.concatenate([self.values[layer], v], axis=1)
        return self.keys[layer], self.values[layer]

    def masked(self, scores):
        """scores [..., tokens, keys]"""
        tokens, keys = scores.shape[-2:]
        if self.fault("mask_missing"):
            return scores
        allowed = keys - tokens + (1 if self.fault("mask_off_by_one") else 0)
        hidden = np.arange(keys)[None, :] > np.arange(tokens)[:, None] + allowed
        return np.where(hidden, self.dtype(-np.inf), scores)

    def softmax(self, scores):
        axis = -2 if self.fault("softmax_axis") and scores.shape[-2] > 1 else -1
        e = np.exp(scores - scores.max(axis, keepdims=True))
        if self.fault("not_normalised"):
            return e
        return e / e.sum(axis, keepdims=True)

    def attend(self, q, keys, values):
        """-> context [heads, tokens, head_dim]"""
        scale = self.dtype(1 / np.sqrt(self.head_dim))
        group = self.heads // self.kv_heads
        if self.fault("scale_missing"):
            scale = self.dtype(1)
        if self.fault("scale_twice"):
            scale = scale * scale
        before = self.dtype(1)
        if self.options.scale == "q":
            q, scale = q * scale, before
        if self.options.scale == "both":
            q, scale = q * np.sqrt(scale), np.sqrt(scale)
            keys, scale = keys * scale, before
        of_head = [h % self.kv_heads if self.fault("head_map") else h // group for h in range(self.heads)]
        way = self.options.attention
        if way == "heads":
            context = []
            for h in range(self.heads):
                k, v = np.ascontiguousarray(keys[of_head[h]]), np.ascontiguousarray(values[of_head[h]])
                if self.options.cache == "transposed":
                    k = np.ascontiguousarray(k.T)
                    scores = np.ascontiguousarray(q[h]) @ k
                elif self.options.cache == "keys_first":
                    scores = np.ascontiguousarray((k @ np.ascontiguousarray(q[h]).T).T)
                else:
                    scores = np.ascontiguousarray(q[h]) @ k.T
                context.append(self.softmax(self.masked(scores * scale)) @ v)
            return np.stack(context)
        if way == "groups":
            tokens, context = q.shape[1], []
            for g in range(self.kv_heads):
                members = [h for h in range(self.heads) if of_head[h] == g]
                joined = q[members].reshape(-1, self.head_dim)
                if self.options.cache == "transposed":
                    scores = joined @ np.ascontiguousarray(keys[g].T)
                else:
                    scores = joined @ np.ascontiguousarray(keys[g]).T
                probs = self.softmax(self.masked(scores.reshape(len(members), tokens, -1) * scale))
                context.append((members, (probs.reshape(-1, keys.shape[1]) @ np.ascontiguousarray(values[g]))
                                .reshape(len(members), tokens, -1)))
            out = np.empty_like(q)
            for members, rows in context:
                out[members] = rows
            return out
        k, v = keys[of_head], values[of_head]
        if way == "einsum":
            scores = np.einsum("htd,hsd->hts", q, k)
            return np.einsum("hts,hsd->htd", self.softmax(self.masked(scores * scale)), v)
        scores = np.matmul(q, k.transpose(0, 2, 1))
        return np.matmul(self.softmax(self.masked(scores * scale)), v)

    def feed_forward(self, h, layer):
        names = ["mlp.gate_proj", "mlp.up_proj"]
        if self.options.mlp == "fused":
            gate, up = np.split(self.weights.linear(h, layer, *names), 2, axis=1)
        else:
            gate, up = [self.weights.linear(h, layer, name) for name in names]
        if self.fault("gate_up_swapped"):
            gate, up = up, gate
        act = gelu if self.fault("gelu") else silu
        if self.fault("relu"):
            act = lambda x: np.maximum(x, 0)
        inner = act(gate) * up
        if self.fault("gate_missing"):
            inner = up
        if self.fault("double_silu"):
            inner = silu(silu(gate)) * up
        return self.weights.linear(inner.astype(self.dtype), layer, "mlp.down_proj")

    def layer(self, x, layer, positions):
        w = self.weights
        h = self.norm(x, w.layer(layer, "input_layernorm.weight"), layer)
        q, k, v = self.project(h, layer)
        q, k = self.rope(q, positions), self.rope(k, positions)
        if self.fault("rope_on_v"):
            v = self.rope(v, positions)
        keys, values = self.cache(layer, k, v)
        context = self.attend(q, keys, values)
        out = w.linear(context.transpose(1, 0, 2).reshape(len(x), -1), layer, "self_attn.o_proj")
        if self.fault("residual_doubled") and layer == 1:
            out = out + x
        x = out if self.fault("residual_missing") and layer == 1 else x + out
        first = x + h - h if not self.fault("norm_order") else h
        h = self.norm(first, w.layer(layer, "post_attention_layernorm.weight"))
        return x + self.feed_forward(h, layer)

    def forward(self, tokens):
        """Logits [rows, vocab] of the last token, or of all."""
        table = self.weights.tensors["model.embed_tokens.weight"]
        tokens = np.array(tokens)
        if self.fault("other_token") and len(tokens) > 3:
            tokens[3] += 1
        if self.fault("embed_wrong_row"):
            tokens = tokens + 1
        x = table[tokens]
        if self.fault("embed_scaled"):
            x = x * self.dtype(np.sqrt(self.hidden))
        positions = self.past + np.arange(len(tokens))
        for layer in range(self.layers):
            x = self.layer(x, layer, positions)
        self.past += len(tokens)
        if self.options.head == "last":
            x = x[-2:-1] if self.fault("head_wrong_row") and len(x) > 1 else x[-1:]
        if not self.fault("final_norm_skipped"):
            x = self.norm(x, self.weights.tensors["model.norm.weight"])
        if self.fault("head_scaled"):
            x = x * self.dtype(0.5)
        logits = self.weights.linear(x, None, "model.embed_tokens.weight" if self.tied else "lm_head.weight")
        self.checksum.update(logits.tobytes())
        return logits

    def prefill(self, tokens):
        step = {"whole": len(tokens), "token": 1, "chunks": 4}[self.options.prefill]
        for start in range(0, len(tokens), step):
            logits = self.forward(tokens[start:start + step])
        return int(logits[-1].argmax())


def generate(weights, tokens, count, results, place):
    engine = Engine(weights)
    made = [engine.prefill(tokens)]
    while len(made) < count:
        made.append(int(engine.forward(made[-1:])[-1].argmax()))
    results[place] = (made, engine.checksum.hexdigest()[:16])


def interleave(weights, prompts, count):
    engines = [Engine(weights) for _ in prompts]
    made = [[engine.prefill(tokens)] for engine, tokens in zip(engines, prompts)]
    for _ in range(count - 1):
        for engine, tokens in zip(engines, made):
            tokens.append(int(engine.forward(tokens[-1:])[-1].argmax()))
    return [(tokens, engine.checksum.hexdigest()[:16]) for engine, tokens in zip(engines, made)]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder")
    parser.add_argument("--tokens", default="1,17,203,88,45,19,260,7,131,64")
    parser.add_argument("-n", type=int, default=4)
    parser.add_argument("--qkv", choices=["apart", "fused", "kv"], default="apart")
    parser.add_argument("--mlp", choices=["apart", "fused"], default="apart")
    parser.add_argument("--scale", choices=["scores", "q", "both"], default="scores")
    parser.add_argument("--layout", choices=["file", "transposed", "left", "vectors"], default="file")
    parser.add_argument("--attention", choices=["heads", "groups", "batched", "einsum"], default="heads")
    parser.add_argument("--cache", choices=["rows", "transposed", "keys_first"], default="rows")
    parser.add_argument("--prefill", choices=["whole", "token", "chunks"], default="whole")
    parser.add_argument("--head", choices=["last", "all"], default="last")
    parser.add_argument("--quantise", choices=["f16"])
    parser.add_argument("--double", action="store_true", help="compute in f64")
    parser.add_argument("--two", choices=["after", "interleaved", "threads"], help="a second prompt")
    parser.add_argument("--fault", choices=FAULTS)
    options = parser.parse_args()
    weights = Weights(options.folder, options)
    tokens = [int(token) for token in options.tokens.split(",")]
    prompts = [tokens] if not options.two else [tokens, [token + 5 for token in tokens[:6]]]
    results = [None] * len(prompts)
    if options.two == "interleaved":
        results = interleave(weights, prompts, options.n)
    else:
        work = [threading.Thread(target=generate, args=(weights, prompt, options.n, results, place))
                for place, prompt in enumerate(prompts)]
        for thread in work:
            thread.start()
            if options.two != "threads":
                thread.join()
        for thread in work:
            thread.join()
    for made, checksum in results:
        print(*made, checksum)


main()
