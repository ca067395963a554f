#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The reference engine against transformers, family by family.

    families.py [CASE | GROUP …]       all without any; --list names them

Each case is a tiny model with random weights (tests/support/tiny_models.py), run three ways over the same tokens:

- `tensortap ref`, in f64: the prompt in chunks and four steps of decode; and one long prompt in a single pass;
- transformers in float32 on the CPU, eager attention, with its cache: logits within NMSE 1e-11 below position 64;
- the same modules with every float32 in them replaced by float64: logits and the output of each module that the
  architecture file names ("hf") within NMSE 1e-20, at every position. That is the proof that the graph is the model;
  the run in float32 shows that the first one is not a mistake of the substitution.

A family is added by a line in CASES.
"""
import contextlib
import copy
import json
import os
import re
import sys
import tempfile

from traced import COMMAND, HERE, Failed, main as run_cases, require, run

for beside in ("support", "models"):
    sys.path.insert(0, os.path.join(HERE, "..", beside))
try:
    import numpy
    import torch
    import transformers
    from torch.overrides import TorchFunctionMode
    import convert
    import reference_capture
    import tiny_models
except ImportError as missing:
    print(f"skipped: {missing}")
    sys.exit(77)

ARCHITECTURES = os.path.join(HERE, "..", "..", "analyzer", "architectures")
SAME = 1e-20          # NMSE of two f64 computations
SAME_F32 = 1e-11      # of one in f32
NEAR = 64             # positions below which it holds
DECODED = 4
CHUNK = 20


class Case:
    """One model and the runs over it.

    `members` replace those of the tiny model's configuration, `tokens` is the length of the short prompt, `long` that
    of the long one (0: none). `decodes`: the model has a cache. `f32`: NMSE at which float32 counts as the same; more
    than 1e-11 where transformers itself is that far from itself in float64. `f64`: the same for float64.
    `gguf`: NMSE within which the model converted to GGUF, in F32, gives the same; None: not tried. More than 1e-20
    where the file rounds what it is computed with: norms stored as w + 1, factors of frequencies, multipliers. `old`:
    config.json as transformers 4 wrote it. `bare`: members that config.json lacks, so that the defaults count, which
    the model must have been given.
    """

    def __init__(self, group, family, tokens=48, long=600, decodes=True, f32=SAME_F32, f64=SAME, gguf=None, old=False,
                 bare=(), **members):
        self.group, self.family, self.tokens, self.long, self.decodes = group, family, tokens, long, decodes
        self.f32, self.f64, self.gguf, self.old, self.members = f32, f64, gguf, old, members
        self.bare = bare


def rope(theta, kind, **scaling):
    return {"rope_parameters": {"rope_theta": theta, "rope_type": kind, **scaling}}


CASES = {
    "llama": Case("llama", "llama", gguf=SAME),
    "llama3": Case("llama", "llama3", gguf=1e-13),
    "llama_bias": Case("llama", "llama", gguf=SAME, long=0, attention_bias=True, mlp_bias=True),
    "llama_linear": Case("llama", "llama", gguf=SAME, **rope(10000.0, "linear", factor=4.0)),
    "llama_yarn": Case("llama", "llama", gguf=SAME, **rope(
        10000.0, "yarn", factor=4.0, original_max_position_embeddings=512)),
    "llama_dynamic": Case("llama", "llama", max_position_embeddings=256, **rope(10000.0, "dynamic", factor=4.0)),
    "llama3_old": Case("llama", "llama3", long=0, old=True),
    "llama_tied": Case("llama", "llama", long=0, tie_word_embeddings=True),
    "mistral": Case("llama", "mistral", gguf=SAME),
    "qwen2": Case("qwen", "qwen2", gguf=SAME),
    "qwen2_window": Case("qwen", "qwen2", use_sliding_window=True, sliding_window=24, max_window_layers=1),
    "qwen3": Case("qwen", "qwen3", gguf=SAME),
    "qwen2_bare": Case("qwen", "qwen2", long=0, num_hidden_layers=1, use_sliding_window=True, sliding_window=16,
                       bare=("max_window_layers", "layer_types", "rms_norm_eps", "rope_parameters"), **rope(10000.0, "default"),
                       rms_norm_eps=1e-6, max_window_layers=28),
    "qwen3_bare": Case("qwen", "qwen3", long=0, head_dim=128, rms_norm_eps=1e-6, **rope(10000.0, "default"),
                       bare=("head_dim", "rms_norm_eps", "rope_parameters", "use_sliding_window")),
    "olmo2": Case("qwen", "olmo2", gguf=SAME),
    "olmo2_bare": Case("qwen", "olmo2", long=0, **rope(10000.0, "default"), bare=("rms_norm_eps", "rope_parameters")),
    "olmo3": Case("qwen", "olmo3", gguf=1e-13),
    "smollm3": Case("llama", "smollm3", gguf=SAME),
    "smollm3_window": Case("llama", "smollm3", long=0, use_sliding_window=True, sliding_window=16,
                           no_rope_layers=[0, 1, 1, 0]),
    "glm4": Case("others", "glm4", gguf=SAME),
    "granite": Case("qwen", "granite", gguf=1e-17),
    "granite_bare": Case("qwen", "granite", long=0, f32=1e-9, embedding_multiplier=1.0, logits_scaling=1.0,
                         residual_multiplier=1.0, attention_multiplier=1.0,
                         bare=("embedding_multiplier", "logits_scaling", "residual_multiplier", "attention_multiplier")),
    "gemma": Case("gemma", "gemma", gguf=1e-13),
    "gemma2_uncapped": Case("gemma", "gemma2", long=0, attn_logit_softcapping=None, final_logit_softcapping=None),
    "gemma2_bare": Case("gemma", "gemma2", long=0, head_dim=256, query_pre_attn_scalar=256, attn_logit_softcapping=50.0,
                        final_logit_softcapping=30.0, bare=("head_dim", "query_pre_attn_scalar", "attn_logit_softcapping",
                                                            "final_logit_softcapping", "layer_types")),
    "gemma3_capped": Case("gemma", "gemma3", long=0, attn_logit_softcapping=2.0, final_logit_softcapping=3.0),
    "gemma3_vision": Case("gemma", "gemma3_vision", long=0),
    "gemma2": Case("gemma", "gemma2"),
    "gemma3": Case("gemma", "gemma3"),
    "gemma3_old": Case("gemma", "gemma3", long=0, old=True),
    "gemma2_plain": Case("gemma", "gemma2", long=0, gguf=1e-12, query_pre_attn_scalar=32),  # GGUF cannot say another
    "gemma3_plain": Case("gemma", "gemma3", long=0, gguf=1e-12, query_pre_attn_scalar=32),
    "phi3": Case("others", "phi3", gguf=SAME),
    "phi3_long": Case("others", "phi3_long", gguf=1e-11, tokens=62, f32=2e-11),
    "phi3_long_old": Case("others", "phi3_long", tokens=62, f32=2e-11, old=True),
    "phi3_partial": Case("others", "phi3", gguf=SAME, long=0, **rope(10000.0, "default", partial_rotary_factor=0.5)),
    "gpt2": Case("gpt", "gpt2", gguf=SAME),
    "gpt2_by_layer": Case("gpt", "gpt2", long=0, scale_attn_by_inverse_layer_idx=True),
    "gpt_neox": Case("gpt", "gpt_neox", gguf=SAME),
    "gpt_neox_serial": Case("gpt", "gpt_neox", gguf=SAME, long=0, use_parallel_residual=False, attention_bias=False),
    "cohere": Case("cohere", "cohere", gguf=SAME),
    "cohere_qk_norm": Case("cohere", "cohere", gguf=SAME, long=0, use_qk_norm=True),
    "cohere2": Case("cohere", "cohere2", gguf=SAME),
    "bloom": Case("gpt", "bloom", gguf=SAME, f64=1e-19),  # its gelu has √(2/π) with eight digits
    "bloom_normed": Case("gpt", "bloom", f64=1e-19, long=0, apply_residual_connection_post_layernorm=True),
    "mpt": Case("gpt", "mpt", gguf=SAME, f32=2e-11),
    "bert": Case("others", "bert", gguf=SAME, long=500, decodes=False),
    "mixtral": Case("experts", "mixtral", gguf=SAME),
    "mixtral_window": Case("experts", "mixtral", long=0, sliding_window=16),
    "qwen2_moe": Case("experts", "qwen2_moe", gguf=SAME),
    "qwen2_moe_mixed": Case("experts", "qwen2_moe", long=0, decoder_sparse_step=2, norm_topk_prob=True),
    "qwen2_moe_window": Case("experts", "qwen2_moe", long=0, use_sliding_window=True, sliding_window=16,
                             max_window_layers=2),
    "qwen3_moe_window": Case("experts", "qwen3_moe", long=0, use_sliding_window=True, sliding_window=16),
    "qwen3_moe": Case("experts", "qwen3_moe", gguf=SAME),
    "qwen3_moe_mixed": Case("experts", "qwen3_moe", long=0, mlp_only_layers=[1], norm_topk_prob=False),
    "olmoe": Case("routed", "olmoe", gguf=SAME),
    "olmoe_limited": Case("routed", "olmoe", long=0, clip_qkv=0.8),
    "granite_moe": Case("routed", "granite_moe", gguf=1e-17),
    "gpt_oss": Case("routed", "gpt_oss", gguf=SAME, num_hidden_layers=2,
                    layer_types=["sliding_attention", "full_attention"]),
    "gpt_oss_loud": Case("routed", "gpt_oss", long=0, num_hidden_layers=2, swiglu_limit=0.6,
                         layer_types=["full_attention", "sliding_attention"]),
    "deepseek_v2": Case("latent", "deepseek_v2"),
    "deepseek_v2_groups": Case("latent", "deepseek_v2", long=0, q_lora_rank=96, n_routed_experts=8, n_group=4,
                               topk_group=2, topk_method="group_limited_greedy", routed_scaling_factor=4.0),
    "deepseek_v2_yarn": Case("latent", "deepseek_v2", **rope(
        10000.0, "yarn", factor=40.0, beta_fast=32, beta_slow=1, mscale=0.707, mscale_all_dim=0.9,
        original_max_position_embeddings=64)),
    "deepseek_v3": Case("latent", "deepseek_v3"),
    "deepseek_v3_half": Case("latent", "deepseek_v3", long=0, q_lora_rank=None, rope_interleave=False,
                             norm_topk_prob=False, attention_bias=True),
    "gemma3n": Case("special", "gemma3n"),
    "nanochat": Case("special", "nanochat"),
}


# ---- the architecture file that describes a model ----

def merged(base, over):
    result = dict(base)
    for key, value in over.items():
        if value is None:
            result.pop(key, None)
        elif isinstance(value, dict) and isinstance(result.get(key), dict):
            result[key] = merged(result[key], value)
        else:
            result[key] = value
    return result


def read_architecture(name):
    with open(os.path.join(ARCHITECTURES, name), encoding="utf-8") as file:
        found = json.load(file)
    if "extends" in found:
        found = merged(read_architecture(found["extends"] + ".json"), found)
    return found


def architecture_of(config):
    """The file whose "select" names this model's class."""
    for name in sorted(os.listdir(ARCHITECTURES)):
        for entry in read_architecture(name).get("select", []):
            if entry["key"] == "architectures.0" and config.architectures[0] in entry["values"]:
                return read_architecture(name)
    raise Failed(f"no architecture file selects {config.architectures[0]}")


def path_of(node, weights, stack):
    """Of the module whose output a node is: "hf", else the one that holds the node's weight."""
    if "hf" in node:
        return node["hf"]
    own = node.get("weights", {})
    name = f"{stack}.{node['name']}" if stack else node["name"]
    entry = weights.get(own.get("weight", own.get("table", name + ".weight")), {})
    source = entry.get("hf", "")
    source = source[0] if isinstance(source, list) else source
    return source[:-len(".weight")] if isinstance(source, str) and source.endswith(".weight") else ""


def excluded(node, config):
    """Whether a family's own switch rules the node out: "when" is the name of an entry that is always 0 (or "!" and 1).
    Other conditions need the model; where one does not hold the reference has no such value."""
    switch = re.fullmatch(r"(!?)(\w+)", node.get("when", ""))
    value = config.get(switch.group(2), {}).get("default") if switch else None
    return value == ("1" if switch and switch.group(1) else "0")


def module_paths(architecture):
    """[(component, stack, inside a block, pattern of the module's path)] of all nodes that are modules' outputs."""
    found = []

    def walk(nodes, inside, stack):
        for node in nodes:
            if "nodes" in node:
                walk(node["nodes"], True, node.get("stack", stack))
            elif not excluded(node, architecture["config"]) and (path := path_of(node, architecture["weights"], stack)):
                found.append((node["name"], stack, inside, path))
    walk(architecture["graph"], False, "")
    return found


# ---- transformers ----

class Doubled(TorchFunctionMode):
    """Every float32 that code under it asks for is float64: modules compute norms, angles and softmax in float32
    whatever the model's type."""

    def __torch_function__(self, function, types, arguments=(), named=None):
        def wide(value):
            return torch.float64 if value is torch.float32 else value
        if function is torch.Tensor.float:
            function = torch.Tensor.double
        return function(*map(wide, arguments), **{name: wide(value) for name, value in (named or {}).items()})

    def __enter__(self):
        torch.set_default_dtype(torch.float64)
        return super().__enter__()

    def __exit__(self, *problem):
        torch.set_default_dtype(torch.float32)
        return super().__exit__(*problem)


def load(folder):
    """The module as transformers reads it from the folder, float32, eager: experts one after another, too."""
    config = transformers.AutoConfig.from_pretrained(folder)
    kind = getattr(transformers, config.architectures[0])
    return kind.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager",
                                experts_implementation="eager").eval()


def doubled(module):
    """The same module in float64; what it computes once (frequencies, scales) is computed anew."""
    config = copy.deepcopy(module.config)
    for part in (config, *(getattr(config, name) for name in config.sub_configs)):  # models within it ask theirs
        part.dtype = torch.float64
    with Doubled():
        wide = type(module)(config).eval()
        wide.load_state_dict({name: value.double() for name, value in module.state_dict().items()})
    return wide


class Outputs:
    """What the modules of a model put out, by path; several calls of one module in one pass are joined by none: the
    last counts, as in the graph."""

    def __init__(self, module):
        self.found = {}
        self.handles = [part.register_forward_hook(self.keeper(path)) for path, part in module.named_modules() if path]

    def keeper(self, path):
        def keep(module, given, output):
            while isinstance(output, (tuple, list)) and output:
                output = output[0]
            if isinstance(output, torch.Tensor):
                self.found[path] = output.detach().clone()  # some clamp it in place
        return keep

    def taken(self):
        """{path: array} since the last call of this."""
        found, self.found = self.found, {}
        return {path: value.numpy().copy() for path, value in found.items()}


def passes_of(module, tokens, splits):
    """[{path: array}] per pass: `tokens` fed in pieces of these lengths, through the module's cache."""
    outputs, results, cache, at = Outputs(module), [], None, 0
    mode = Doubled() if next(module.parameters()).dtype == torch.float64 else contextlib.nullcontext()
    with torch.no_grad(), mode:
        for count in splits:
            given = {"input_ids": torch.tensor([tokens[at:at + count]])}
            if len(splits) > 1:
                given.update(past_key_values=cache, use_cache=True)
            result = module(**given)
            cache = getattr(result, "past_key_values", None)
            taken = outputs.taken()
            last = result.logits if hasattr(result, "logits") else result[0]
            taken[""] = last.reshape(-1, last.shape[-1]).numpy().copy()
            results.append(taken)
            at += count
    return results


# ---- comparison ----

def nmse(found, wanted):
    wanted = wanted.astype(numpy.float64)
    return float(((found - wanted) ** 2).sum() / max((wanted ** 2).sum(), 1e-300))


class Reference:
    """Values of a reference run: the rows of successive passes joined."""

    def __init__(self, passes):
        self.passes = passes

    def rows(self, layer, component, stack=""):
        """[tokens, channels] of a component, found as `stack`.component or plain; None: there is none."""
        name = next((name for name in (f"{stack}.{component}", component) if (layer, name) in self.passes[0]), None)
        if name is None:
            return None
        parts = [one[layer, name] for one in self.passes]
        return numpy.concatenate([part.reshape(part.shape[0], -1) for part in parts])

    def logits(self):
        for name in ("logits", "lm_head"):
            rows = self.rows(-1, name)
            if rows is not None:
                return rows
        return None


def reference(model, folder, tokens, *options):
    made = run([COMMAND, "ref", model, "--tokens", ",".join(map(str, tokens)), "-o", folder, *options])
    require(made.returncode == 0, f"tensortap ref: status {made.returncode}\n{made.stderr.decode()[-2000:]}")
    return reference_capture.read(folder)


def in_rows(output, tokens):
    """[tokens, channels] of a module's output [1, tokens, …] or, behind a transposition, [1, heads, tokens, …]."""
    if output.ndim == 4 and output.shape[1] != tokens:
        output = output.swapaxes(1, 2)
    return output.reshape(tokens, -1) if output.size % tokens == 0 else output


def check_modules(architecture, reference_rows, outputs, same, where):
    """Each module that the file names, in every layer: NMSE of f64 against f64. Returns how many there were."""
    prefixes, checked, problems = architecture.get("prefix", {}).get("hf", [""]) + [""], 0, []
    for component, stack, inside, pattern in module_paths(architecture):
        compiled = re.compile("(?:" + "|".join(map(re.escape, prefixes)) + ")" +
                              re.escape(pattern).replace(re.escape("{layer}"), "([0-9]+)"))
        for path, wanted in outputs.items():
            matched = compiled.fullmatch(path)
            if not matched:
                continue
            rows = reference_rows.rows(int(matched.group(1)) if inside else -1, component, stack)
            if rows is None:
                continue
            wanted = in_rows(wanted, len(rows))
            require(rows.shape == wanted.shape, f"{where}: {component} is {rows.shape}, {path} is {wanted.shape}")
            checked += 1
            error = nmse(rows, wanted)
            if not error <= same:
                problems.append(f"{component} ({path}): NMSE {error:.3g}")
    require(not problems, f"{where}: {len(problems)} of {checked} modules differ, first {'; '.join(problems[:4])}")
    return checked


def check_logits(found, outputs, bound, rows, where):
    """The first `rows` (None: all) rows of logits of all passes together, where the model has a head."""
    ours = [one.logits() for one in found]
    if ours[0] is None:
        return
    wanted = numpy.concatenate([one[""] for one in outputs])[:rows]
    error = nmse(numpy.concatenate(ours)[:rows], wanted)
    require(error <= bound, f"{where}: logits NMSE {error:.3g}, at most {bound:g} was expected")


def grouped(passes, splits):
    """References of the passes of transformers: the chunks of the prompt are one pass there."""
    prompt = len(passes) - (len(splits) - 1)
    return [Reference(passes[:prompt])] + [Reference([one]) for one in passes[prompt:]]


def check_run(case, architecture, modules, passes, splits, where):
    """One run of `tensortap ref` against both forms of the module."""
    tokens = [int(token) for one in passes for token in one.inputs["tokens"]]
    found = grouped(passes, splits)
    exact = passes_of(modules["f64"], tokens, splits)
    for index, outputs in enumerate(exact):
        place = f"{where}, pass {index}"
        checked = check_modules(architecture, found[index], outputs, case.f64, place)
        require(checked > 0, f"{place}: no module of the architecture file was found in transformers' model")
    check_logits(found, exact, case.f64, None, f"{where}, f64")
    check_logits(found, passes_of(modules["f32"], tokens, splits), case.f32, NEAR, f"{where}, f32")


def prompt(count, vocabulary):
    """Token ids without a pattern, none of them a special one."""
    return [3 + (i * i * 31 + i * 17 + 5) % (vocabulary - 3) for i in range(count)]


def write_old_config(folder):
    """Turns config.json into what transformers 4 wrote: rope in several members, layers by a pattern."""
    path = os.path.join(folder, "config.json")
    with open(path, encoding="utf-8") as file:
        config = json.load(file)
    rope = config.pop("rope_parameters")
    if "full_attention" in rope:
        config["rope_local_base_freq"] = rope["sliding_attention"]["rope_theta"]
        config["sliding_window_pattern"] = config.pop("layer_types").index("full_attention") + 1
        rope = rope["full_attention"]
    config["rope_theta"] = rope.pop("rope_theta")
    rope.pop("partial_rotary_factor", None)
    config["rope_scaling"] = rope if rope["rope_type"] != "default" else None
    config["torch_dtype"] = config.pop("dtype")
    with open(path, "w", encoding="utf-8") as file:
        json.dump(config, file)


def leave_out(folder, members):
    """config.json without these members."""
    path = os.path.join(folder, "config.json")
    with open(path, encoding="utf-8") as file:
        config = json.load(file)
    with open(path, "w", encoding="utf-8") as file:
        json.dump({name: value for name, value in config.items() if name not in members}, file)


def check_case(case):
    with tempfile.TemporaryDirectory() as folder:
        model = os.path.join(folder, "model")
        tiny_models.make(case.family, model, **case.members)
        if case.old:
            write_old_config(model)
        leave_out(model, case.bare)
        narrow = load(model)
        architecture, modules = architecture_of(narrow.config), {"f32": narrow, "f64": doubled(narrow)}
        tokens = prompt(max(case.tokens, case.long), narrow.config.get_text_config().vocab_size)
        options = ["--chunk", str(CHUNK), "-n", str(DECODED)] if case.decodes else []
        passes = reference(model, os.path.join(folder, "short"), tokens[:case.tokens], *options)
        splits = [case.tokens] + [1] * (DECODED if case.decodes else 0)
        check_run(case, architecture, modules, passes, splits, "short prompt")
        if case.long:
            passes = reference(model, os.path.join(folder, "long"), tokens[:case.long])
            check_run(case, architecture, modules, passes, [case.long], "long prompt")
        if case.gguf is not None:
            check_gguf(case, model, folder, tokens[:case.tokens])


def check_gguf(case, model, folder, tokens):
    """The reference of the model as GGUF against that of its own folder."""
    image = os.path.join(folder, "model.gguf")
    convert.convert(model).write(image, "f32")
    chunks = ["--chunk", str(CHUNK)] if case.decodes else []
    both = [Reference(reference(path, os.path.join(folder, name), tokens, *chunks))
            for path, name in ((model, "from_hf"), (image, "from_gguf"))]
    layer = max(layer for layer, _ in both[0].passes[0].values)
    for place, component in ((-1, "logits"), (-1, "lm_head"), (layer, "ffn_residual_norm")):
        rows = [one.rows(place, component) for one in both]
        if rows[0] is not None:
            break
    require(rows[0] is not None, "neither logits nor a last layer to compare")
    require(rows[1] is not None and rows[0].shape == rows[1].shape, f"GGUF: {component} differs in shape")
    error = nmse(rows[1], rows[0])
    require(error <= case.gguf, f"GGUF: {component} NMSE {error:.3g}, at most {case.gguf:g} was expected")


def chosen(words):
    """Names of the cases that are asked for by name or group."""
    unknown = [word for word in words if word not in CASES and word not in {case.group for case in CASES.values()}]
    if unknown:
        sys.exit(f"no such case: {' '.join(unknown)}; --list names them")
    return [name for name, case in CASES.items() if not words or name in words or case.group in words]


if __name__ == "__main__":
    if "--list" in sys.argv:
        print("\n".join(f"{case.group:10} {name}" for name, case in CASES.items()))
        sys.exit(0)
    transformers.logging.set_verbosity_error()
    torch.set_num_threads(1)
    sys.argv[1:] = chosen(sys.argv[1:])
    run_cases({name: lambda case=case: check_case(case) for name, case in CASES.items()})
