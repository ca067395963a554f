#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The reference engine against families that transformers does not have, each written here in PyTorch from its published
definition: a bidirectional diffusion model (HF names and GGUF), a training framework's own checkpoint, a refinement head
that repeats a block chunk by chunk until it converges. And an encoder-decoder, which transformers has, with its features
as a second input.

    published_families.py [CASE …]     f64 against f64: NMSE <= 1e-20 in logits and in what the loop decided
"""
import contextlib
import json
import math
import os
import sys
import tempfile

from traced import COMMAND, HERE, main as run_cases, require, run

sys.path.insert(0, os.path.join(HERE, "..", "support"))
try:
    import gguf
    import numpy
    import torch
    import torch.nn.functional as F
    from safetensors.torch import save_file
    import reference_capture
    import families
    import tiny_models
except ImportError as missing:
    print(f"skipped: {missing}")
    sys.exit(77)

SAME = 1e-20
torch.set_num_threads(1)


def nmse(found, wanted):
    wanted = numpy.asarray(wanted, numpy.float64)
    return float(((found.reshape(wanted.shape) - wanted) ** 2).sum() / max((wanted**2).sum(), 1e-300))


def same(found, wanted, what):
    error = nmse(found, wanted)
    require(error <= SAME, f"{what}: NMSE {error:.3g}")


def random_weights(shapes, seed):
    """{name: float32 tensor}: matrices that keep sizes, vectors around 1."""
    torch.manual_seed(seed)
    made = {}
    for name, shape in shapes.items():
        noise = torch.randn(shape)
        made[name] = noise * (1.6 / math.sqrt(shape[-1])) if len(shape) > 1 else 1 + 0.3 * noise
        if len(shape) > 1 and ("wte" in name or "embed" in name):
            made[name] = noise * 0.6
        elif name.endswith("bias"):
            made[name] = 0.2 * noise
    return made


def write_model(folder, config, weights):
    os.makedirs(folder)
    with open(os.path.join(folder, "config.json"), "w", encoding="utf-8") as file:
        json.dump(config, file)
    save_file({name: value.contiguous() for name, value in weights.items()}, os.path.join(folder, "model.safetensors"))


def reference(model, folder, tokens, *options):
    made = run([COMMAND, "ref", model, "--tokens", ",".join(map(str, tokens)), "-o", folder, *options])
    require(made.returncode == 0, f"tensortap ref: status {made.returncode}\n{made.stderr.decode()[-2000:]}")
    return reference_capture.read(folder)


def prompt(count, vocabulary):
    return [3 + (i * i * 31 + i * 17 + 5) % (vocabulary - 3) for i in range(count)]


def rms_norm(x, weight, eps):
    y = x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + eps)
    return y if weight is None else weight * y


def rotate_half(x, cos, sin):
    first, second = x.chunk(2, -1)
    return x * cos + torch.cat([-second, first], -1) * sin


def angles(tokens, dim, theta):
    frequency = theta ** (-torch.arange(0, dim, 2).double() / dim)
    return torch.arange(tokens).double()[:, None] * frequency


# ---- a bidirectional model of masked diffusion ----

LLADA = {"architectures": ["LLaDAModelLM"], "model_type": "llada", "d_model": 96, "n_heads": 6, "n_kv_heads": 3,
         "n_layers": 3, "mlp_hidden_size": 160, "rope_theta": 500000.0, "rms_norm_eps": 1e-5, "vocab_size": 331,
         "activation_type": "silu", "block_type": "llama", "scale_logits": True, "input_emb_norm": False,
         "weight_tying": False}


def llada_shapes(config, prefix="model.transformer."):
    d, f, v = config["d_model"], config["mlp_hidden_size"], config["vocab_size"]
    kv = d // config["n_heads"] * config["n_kv_heads"]
    shapes = {"wte.weight": (v, d), "ln_f.weight": (d,), "ff_out.weight": (v, d)}
    for i in range(config["n_layers"]):
        block = {"attn_norm": (d,), "ff_norm": (d,), "q_proj": (d, d), "k_proj": (kv, d), "v_proj": (kv, d),
                 "attn_out": (d, d), "ff_proj": (f, d), "up_proj": (f, d), "ff_out": (d, f)}
        shapes.update({f"blocks.{i}.{name}.weight": shape for name, shape in block.items()})
    return {prefix + name: shape for name, shape in shapes.items()}


def llada_hidden(config, weights, tokens, prefix="model.transformer."):
    """[tokens, d_model] behind the last norm: every token attends to every other one."""
    w = {name[len(prefix):]: value.double() for name, value in weights.items() if name.startswith(prefix)}
    heads, eps = config["n_heads"], config["rms_norm_eps"]
    dim = config["d_model"] // heads
    angle = angles(len(tokens), dim, config["rope_theta"]).repeat(1, 2)
    x = w["wte.weight"][torch.tensor(tokens)]
    for i in range(config["n_layers"]):
        layer = lambda name: w[f"blocks.{i}.{name}.weight"]
        h = rms_norm(x, layer("attn_norm"), eps)
        q, k, v = (F.linear(h, layer(name)).view(len(tokens), -1, dim).transpose(0, 1)
                   for name in ("q_proj", "k_proj", "v_proj"))
        q, k = rotate_half(q, angle.cos(), angle.sin()), rotate_half(k, angle.cos(), angle.sin())
        k, v = (t.repeat_interleave(heads // t.shape[0], 0) for t in (k, v))
        context = torch.softmax(q @ k.transpose(1, 2) / math.sqrt(dim), -1) @ v
        x = x + F.linear(context.transpose(0, 1).reshape(len(tokens), -1), layer("attn_out"))
        h = rms_norm(x, layer("ff_norm"), eps)
        x = x + F.linear(F.silu(F.linear(h, layer("ff_proj"))) * F.linear(h, layer("up_proj")), layer("ff_out"))
    return rms_norm(x, w["ln_f.weight"], eps)


def llada_logits(config, weights, tokens):
    hidden = llada_hidden(config, weights, tokens)
    scale = config["d_model"] ** -0.5 if config["scale_logits"] else 1
    return F.linear(hidden, weights["model.transformer.ff_out.weight"].double()) * scale


GGUF_NAMES = {"wte": "token_embd", "ln_f": "output_norm", "ff_out": "output"}
GGUF_BLOCK = {"attn_norm": "attn_norm", "ff_norm": "ffn_norm", "q_proj": "attn_q", "k_proj": "attn_k", "v_proj": "attn_v",
              "attn_out": "attn_output", "ff_proj": "ffn_gate", "up_proj": "ffn_up", "ff_out": "ffn_down"}


def write_llada_gguf(path, config, weights):
    """Rows of queries and keys in pairs, as this family's GGUF files have them."""
    writer = gguf.GGUFWriter(path, "llada")
    writer.add_block_count(config["n_layers"])
    writer.add_embedding_length(config["d_model"])
    writer.add_feed_forward_length(config["mlp_hidden_size"])
    writer.add_head_count(config["n_heads"])
    writer.add_head_count_kv(config["n_kv_heads"])
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_rope_freq_base(config["rope_theta"])
    dim = config["d_model"] // config["n_heads"]
    for name, tensor in weights.items():
        name, array = name.removeprefix("model.transformer.").removesuffix(".weight"), tensor.numpy()
        if name.startswith("blocks."):
            _, layer, part = name.split(".")
            if part in ("q_proj", "k_proj"):
                array = array.reshape(-1, 2, dim // 2, array.shape[1]).swapaxes(1, 2).reshape(array.shape)
            name = f"blk.{layer}.{GGUF_BLOCK[part]}"
        writer.add_tensor(f"{GGUF_NAMES.get(name, name)}.weight", numpy.ascontiguousarray(array))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def test_llada_gguf(folder):
    config = {**LLADA, "scale_logits": False, "rms_norm_eps": 2.0**-16}  # GGUF keeps numbers as f32
    weights, tokens = random_weights(llada_shapes(config), 5), prompt(40, config["vocab_size"])
    path = os.path.join(folder, "model.gguf")
    write_llada_gguf(path, config, weights)
    found = reference(path, os.path.join(folder, "out"), tokens)
    same(found[0]["logits"], llada_logits(config, weights, tokens), "logits")


def test_llada(folder):
    weights, tokens = random_weights(llada_shapes(LLADA), 5), prompt(40, LLADA["vocab_size"])
    write_model(os.path.join(folder, "model"), LLADA, weights)
    found = reference(os.path.join(folder, "model"), os.path.join(folder, "out"), tokens)
    wanted = llada_logits(LLADA, weights, tokens)
    same(found[0]["logits"], wanted, "logits")
    causal = run([COMMAND, "ref", os.path.join(folder, "model"), "--tokens", "5,6", "-n", "2", "-o", os.path.join(folder, "no")])
    require(causal.returncode == 2 and b"cache" in causal.stderr, f"decode without a cache: {causal.returncode} {causal.stderr!r}")


# ---- a training framework's own checkpoint: model_STEP.pt and meta_STEP.json ----

GPT = {"sequence_len": 128, "vocab_size": 331, "n_layer": 3, "n_head": 6, "n_kv_head": 2, "n_embd": 96}


def gpt_shapes(config):
    d = config["n_embd"]
    kv = d // config["n_head"] * config["n_kv_head"]
    shapes = {"transformer.wte.weight": (config["vocab_size"], d), "lm_head.weight": (config["vocab_size"], d)}
    for i in range(config["n_layer"]):
        block = {"attn.c_q": (d, d), "attn.c_k": (kv, d), "attn.c_v": (kv, d), "attn.c_proj": (d, d),
                 "mlp.c_fc": (4 * d, d), "mlp.c_proj": (d, 4 * d)}
        shapes.update({f"transformer.h.{i}.{name}.weight": shape for name, shape in block.items()})
    return shapes


def gpt_logits(config, weights, tokens):
    """Norms without parameters, keys and queries rotated backwards and then normalised, squared relu, softcap 15; cos and
    sin are kept in bfloat16."""
    w = {name: value.double() for name, value in weights.items()}
    heads, dim, eps = config["n_head"], config["n_embd"] // config["n_head"], 2.0**-23
    norm = lambda x: rms_norm(x, None, eps)
    angle = angles(len(tokens), dim, 10000.0)
    cos, sin = angle.cos().bfloat16().double(), angle.sin().bfloat16().double()
    split = lambda x: x.view(len(tokens), -1, dim).transpose(0, 1)
    turn = lambda x: torch.cat([x[..., :dim // 2] * cos + x[..., dim // 2:] * sin,
                                x[..., dim // 2:] * cos - x[..., :dim // 2] * sin], -1)
    x = norm(w["transformer.wte.weight"][torch.tensor(tokens)])
    for i in range(config["n_layer"]):
        linear = lambda h, name: F.linear(h, w[f"transformer.h.{i}.{name}.weight"])
        h = norm(x)
        q, k = (norm(turn(split(linear(h, name)))) for name in ("attn.c_q", "attn.c_k"))
        k, v = (t.repeat_interleave(heads // config["n_kv_head"], 0) for t in (k, split(linear(h, "attn.c_v"))))
        context = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + linear(context.transpose(0, 1).reshape(len(tokens), -1), "attn.c_proj")
        x = x + linear(F.relu(linear(norm(x), "mlp.c_fc")).square(), "mlp.c_proj")
    return 15 * torch.tanh(F.linear(norm(x), w["lm_head.weight"]) / 15)


def write_checkpoint(folder, step, config, weights, prefix=""):
    torch.save({prefix + name: value for name, value in weights.items()}, os.path.join(folder, f"model_{step:06d}.pt"))
    torch.save({"state": {}, "step": step}, os.path.join(folder, f"optim_{step:06d}_rank0.pt"))
    with open(os.path.join(folder, f"meta_{step:06d}.json"), "w", encoding="utf-8") as file:
        json.dump({"step": step, "val_bpb": 1.0, "model_config": config}, file)


def test_checkpoint(folder):
    model, tokens = os.path.join(folder, "d4"), prompt(40, GPT["vocab_size"])
    os.makedirs(model)
    early, late = random_weights(gpt_shapes(GPT), 6), random_weights(gpt_shapes(GPT), 7)
    late["transformer.wte.weight"] = late["transformer.wte.weight"].bfloat16()
    write_checkpoint(model, 50, GPT, early)
    write_checkpoint(model, 200, GPT, late, "_orig_mod.")  # as a compiled model saves itself
    for path, weights in ((model, late), (os.path.join(model, "model_000050.pt"), early)):
        out = os.path.join(folder, f"out{len(path)}")
        passes = reference(path, out, tokens[:32], "--chunk", "20")
        found = numpy.concatenate([one["logits"] for one in passes])
        same(found, gpt_logits(GPT, weights, tokens[:32]), f"logits of {os.path.basename(path)}")


# ---- hidden states refined chunk by chunk: a block repeated until successive states agree, or a step limit ----

REFINED = {**LLADA, "architectures": ["LLaDATRMHybrid"], "scale_logits": False, "chunk_size": 8, "head_hidden_size": 48,
           "head_layers": 2, "max_recursive_steps": 6, "convergence_threshold": 0.05, "refine_low_confidence_only": True}
BACKBONE = "llada_backbone.model.transformer."


def refined_shapes(config):
    h, d, v = config["head_hidden_size"], config["d_model"], config["vocab_size"]
    wide, inner = d * config["chunk_size"], 256  # multiples of 256
    head = {"chunk_encoder.0.weight": (h, wide), "chunk_encoder.0.bias": (h,), "chunk_encoder.1.weight": (h,),
            "chunk_encoder.1.bias": (h,), "delta_projector.weight": (wide, h), "delta_projector.bias": (wide,),
            "confidence_scorer.0.weight": (h // 2, h), "confidence_scorer.0.bias": (h // 2,),
            "confidence_scorer.2.weight": (1, h // 2), "confidence_scorer.2.bias": (1,)}
    for i in range(config["head_layers"]):
        head[f"delta_generator.{i}.gate_up_proj.weight"] = (2 * inner, h)
        head[f"delta_generator.{i}.down_proj.weight"] = (h, inner)
    return {**llada_shapes(config, BACKBONE), "lm_head.weight": (v, d),
            **{"refinement_head." + name: shape for name, shape in head.items()}}


class RefinementHead:
    """One chunk at a time, with a loop that really ends."""

    def __init__(self, config, weights):
        self.config = config
        self.w = {name[16:]: value.double() for name, value in weights.items() if name.startswith("refinement_head.")}

    def linear(self, x, name):
        return F.linear(x, self.w[name + ".weight"], self.w.get(name + ".bias"))

    def compress(self, state):
        x = self.linear(state.reshape(-1), "chunk_encoder.0")
        norm = [self.w["chunk_encoder.1." + part] for part in ("weight", "bias")]
        return F.gelu(F.layer_norm(x, x.shape, *norm))

    def delta(self, x):
        for i in range(self.config["head_layers"]):
            gate, up = self.linear(x, f"delta_generator.{i}.gate_up_proj").chunk(2, -1)
            x = self.linear(F.silu(gate) * up, f"delta_generator.{i}.down_proj")
        return self.linear(x, "delta_projector")

    def refine(self, state):
        """[chunk_size, d_model], steps, similarities, confidence"""
        previous, similarities = None, []
        for step in range(self.config["max_recursive_steps"]):
            compressed = self.compress(state)
            if previous is not None:
                similarities.append(F.cosine_similarity(compressed, previous, dim=-1).item())
                if similarities[-1] > 1 - self.config["convergence_threshold"]:
                    break
            previous = compressed
            state = state + 0.1 * self.delta(compressed).view_as(state)
        score = self.linear(F.gelu(self.linear(self.compress(state), "confidence_scorer.0")), "confidence_scorer.2")
        return state, step + 1, similarities, torch.sigmoid(score).item()


def certainty(config, weights, hidden):
    """Of each chunk: the mean of its tokens' largest probabilities, 0 for padding."""
    top = torch.softmax(F.linear(hidden, weights["lm_head.weight"].double()), -1).amax(-1)
    return F.pad(top, (0, -len(top) % config["chunk_size"])).view(-1, config["chunk_size"]).mean(-1)


def refined(config, weights, tokens):
    """Logits, and of each chunk: steps (0: sure enough to be left alone), similarities, confidence."""
    hidden = llada_hidden(config, weights, tokens, BACKBONE)
    head, size = weights["lm_head.weight"].double(), config["chunk_size"]
    padding, certain = -len(tokens) % size, certainty(config, weights, hidden)
    chunks = list(F.pad(hidden, (0, 0, 0, padding)).view(-1, size, hidden.shape[-1]))
    refiner, decided = RefinementHead(config, weights), []
    for i, sure in enumerate(certain.tolist()):
        if config["refine_low_confidence_only"] and not sure < config["min_confidence"]:
            decided.append((0, [], sure))
            continue
        chunks[i], *rest = refiner.refine(chunks[i])
        decided.append(tuple(rest))
    return F.linear(torch.cat(chunks)[:len(tokens)], head), decided


def check_refined(folder, config, weights, tokens):
    found = reference(os.path.join(folder, "model"), os.path.join(folder, "out"), tokens)[0]
    logits, decided = refined(config, weights, tokens)
    same(found["lm_head"], logits, "logits")
    layer = config["n_layers"]
    steps = found.iterations[layer, "refine.steps"][-1][:, 0]
    require(steps.tolist() == [steps for steps, _, _ in decided], f"steps {steps}, not {[s for s, _, _ in decided]}")
    same(found["refine.confidence"], [confidence for _, _, confidence in decided], "confidence")
    similar = found.iterations[layer, "refine.similarity"]
    for i, (_, wanted, _) in enumerate(decided):
        require(len(wanted) <= len(similar), f"{len(similar)} similarities, not {len(wanted)}")
        for step, value in enumerate(wanted):
            require(abs(similar[step][i, 0] - value) < 1e-12, f"chunk {i}, step {step + 1}: similarity {similar[step][i, 0]}, not {value}")
    return [steps for steps, _, _ in decided]


def test_refinement(folder):
    weights, tokens = random_weights(refined_shapes(REFINED), 8), prompt(43, REFINED["vocab_size"])
    weights["refinement_head.delta_projector.weight"] *= 12
    sure = sorted(certainty(REFINED, weights, llada_hidden(REFINED, weights, tokens, BACKBONE)).tolist())
    config = {**REFINED, "min_confidence": (sure[-2] + sure[-1]) / 2}
    write_model(os.path.join(folder, "model"), config, weights)
    steps = check_refined(folder, config, weights, tokens)
    limit = REFINED["max_recursive_steps"]
    require(0 in steps and len(set(steps)) > 2, f"steps {steps}: a test of the loop needs chunks that stop at different ones")
    print(f"     steps {steps} of {limit}")
    everything = {**REFINED, "refine_low_confidence_only": False, "convergence_threshold": -1.0}
    with open(os.path.join(folder, "model", "config.json"), "w", encoding="utf-8") as file:
        json.dump(everything, file)
    with tempfile.TemporaryDirectory(dir=folder) as again:
        os.symlink(os.path.join(folder, "model"), os.path.join(again, "model"))
        steps = check_refined(again, everything, weights, tokens)
    require(steps == [limit] * len(steps), f"steps {steps} without convergence")


# ---- an encoder-decoder, against transformers ----

def whisper_passes(module, features, tokens, splits):
    """[{path: rows of the module's output}] of each pass; the encoder runs in the first one only, as in generation."""
    outputs, results, at, given = families.Outputs(module), [], 0, {"input_features": features}
    exact = features.dtype == torch.float64
    with torch.no_grad(), families.Doubled() if exact else contextlib.nullcontext():
        for count in splits:
            made = module(**given, decoder_input_ids=torch.tensor([tokens[at:at + count]]), use_cache=True)
            given = {"encoder_outputs": (made.encoder_last_hidden_state,), "past_key_values": made.past_key_values}
            taken = {path: value.swapaxes(1, 2) if "conv" in path else value for path, value in outputs.taken().items()}
            results.append({**taken, "": made.logits[0].numpy().copy()})
            at += count
    return results


def test_whisper(folder):
    model, audio = os.path.join(folder, "model"), os.path.join(folder, "audio.npy")
    tiny_models.make("whisper", model)
    narrow = families.load(model)
    architecture, wide = families.architecture_of(narrow.config), families.doubled(narrow)
    torch.manual_seed(3)
    features = torch.randn(1, narrow.config.num_mel_bins, 2 * narrow.config.max_source_positions)
    numpy.save(audio, features.numpy())
    tokens, splits, steps = prompt(30, narrow.config.vocab_size), [24] + [1] * 4, ["--chunk", "24", "-n", "4"]
    passes = reference(model, os.path.join(folder, "out"), tokens[:24], "--input", f"audio={audio}", *steps)
    tokens = [int(token) for one in passes for token in one.inputs["tokens"]]
    exact = whisper_passes(wide, features.double(), tokens, splits)
    for index, (found, outputs) in enumerate(zip(passes, exact)):
        checked = families.check_modules(architecture, families.Reference([found]), outputs, SAME, f"pass {index}")
        require(checked > (60 if index == 0 else 25), f"pass {index}: {checked} modules were compared")
        same(found["lm_head"], outputs[""], f"logits of pass {index}")
    rough = whisper_passes(narrow, features, tokens, splits)
    error = nmse(numpy.concatenate([one["lm_head"] for one in passes]), numpy.concatenate([one[""] for one in rough]))
    require(error <= families.SAME_F32, f"logits against f32: NMSE {error:.3g}")
    for options, words in (([], b"--input audio="), (["--input", "video=" + audio], b"audio"),
                           (["--input", "audio=" + os.path.join(folder, "none.npy")], b"none.npy")):
        refused = run([COMMAND, "ref", model, "--tokens", "5", "-o", os.path.join(folder, "no"), *options])
        require(refused.returncode == 2 and words in refused.stderr and refused.stderr.count(b"\n") == 1,
                f"{options}: status {refused.returncode}, {refused.stderr!r}")


CASES = {"llada": test_llada, "llada_gguf": test_llada_gguf, "checkpoint": test_checkpoint,
         "refinement": test_refinement, "whisper": test_whisper}


def in_folder(test):
    with tempfile.TemporaryDirectory() as folder:
        test(folder)


if __name__ == "__main__":
    sys.argv[1:] = [name for name in CASES if name in sys.argv[1:] or len(sys.argv) < 2]
    run_cases({name: lambda test=test: in_folder(test) for name, test in CASES.items()})
