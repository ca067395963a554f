#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The five checks as commands: embed, attention, weights, rope, hidden, each driven by one JSON file, against
transformers.

    checks_test.py CASE…
"""
import json
import os
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
BUILD = os.environ["TENSORTAP_BUILD"]
COMMAND = os.path.join(BUILD, "bin", "tensortap")
for beside in ("support", "models"):
    sys.path.insert(0, os.path.join(HERE, "..", beside))
try:
    import numpy
    import safetensors.numpy
    import tokenizers
    import torch
    import tiny_models
    from checks import check, failed
except ImportError as missing:
    print(f"skipped: {missing}")
    sys.exit(77)

PROMPT = "The color of the sky is"
SAME = 1e-10  # NMSE of transformers in float32 and the reference in f64


def run(*arguments, status=0):
    """The document of a command; its exit status is part of what is checked."""
    done = subprocess.run([COMMAND, *arguments, "--json"], capture_output=True, text=True, timeout=120)
    check(done.returncode == status, f"{' '.join(arguments)}: exit {done.returncode}: {done.stderr.strip()}")
    return json.loads(done.stdout) if done.stdout else {}


def job(folder, **members):
    """The path of a job file."""
    path = os.path.join(folder, f"job-{len(os.listdir(folder))}.json")
    with open(path, "w", encoding="utf-8") as file:
        json.dump(members, file)
    return path


def nmse(values, expected):
    values, expected = numpy.asarray(values, "f8").ravel(), numpy.asarray(expected, "f8").ravel()
    if values.size != expected.size:
        return numpy.inf
    return float(((values - expected) ** 2).sum() / (expected ** 2).sum())


def make_tokenizer(folder, size):
    """A byte-level BPE that fits into a tiny vocabulary."""
    made = tokenizers.Tokenizer(tokenizers.models.BPE())
    made.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = tokenizers.trainers.BpeTrainer(vocab_size=size, show_progress=False,
                                             initial_alphabet=tokenizers.pre_tokenizers.ByteLevel.alphabet())
    made.train_from_iterator([PROMPT, "the sky is blue", "the color of the sea"] * 4, trainer)
    made.save(os.path.join(folder, "tokenizer.json"))
    return made


class Model:
    """A tiny model, its folder, the ids of the prompt, and everything that transformers computes for it."""

    def __init__(self, family, folder, **members):
        self.folder = os.path.join(folder, family)
        tiny_models.make(family, self.folder, 7, **members)
        self.ids = make_tokenizer(self.folder, 300).encode(PROMPT).ids
        self.module = tiny_models.model(family, 7, **members)
        self.outputs, self.inputs = {}, {}
        for path, part in self.module.named_modules():
            part.register_forward_hook(self.keep(path))
        with torch.no_grad():
            self.result = self.module(torch.tensor([self.ids]), output_hidden_states=True, output_attentions=True)

    def keep(self, path):
        def hook(part, inputs, output):
            first = output[0] if isinstance(output, tuple) else output
            if isinstance(first, torch.Tensor):
                self.outputs[path] = first.detach().numpy()[0]
            if inputs and isinstance(inputs[0], torch.Tensor):
                self.inputs[path] = inputs[0].detach().numpy()[0]
        return hook


def by_name(document):
    return {item["name"]: item for item in document.get("components", [])}


def compare(items, name, expected, what=""):
    if name not in items or "values" not in items[name]:
        check(False, f"{name}{what}: not in the document")
        return
    check(items[name]["shape"][0] == len(expected), f"{name}{what}: shape {items[name]['shape']}")
    found = nmse(items[name]["values"], expected)
    check(found < SAME, f"{name}{what}: NMSE {found:.3g}")


def test_embed(folder):
    for family in ("gemma2", "gpt2"):
        model = Model(family, folder)
        document = run("embed", "--config", job(folder, model=model.folder, prompt=PROMPT), "--all")
        items = by_name(document)
        check(document["schema"] == "tensortap.embed/1" and document["tokens"] == model.ids, f"{family}: {document.get('tokens')}")
        hidden = [state[0].numpy() for state in model.result.hidden_states]
        last = [name for name, item in items.items() if item.get("what") == "input of layer 0"][-1]
        compare(items, last, hidden[0], " of " + family)
        output = next((item for item in items.values() if item.get("what") == "output of layer 0"), None)
        check(output is not None, f"{family}: no output of layer 0")
        compare(items, output["name"], hidden[1], " of " + family)
        check(numpy.allclose(items[last]["first"], hidden[0][:, :8], rtol=1e-5), f"{family}: first values of each token")


def test_attention(folder):
    model = Model("gemma2", folder)
    items = by_name(run("attention", "--config", job(folder, model=model.folder, prompt=PROMPT, layer=1), "--all"))
    at = "model.layers.1."
    for name, path in {"attn_norm": "input_layernorm", "attn.q_proj": "self_attn.q_proj", "attn.k_proj": "self_attn.k_proj",
                       "attn.v_proj": "self_attn.v_proj", "attn.o_proj": "self_attn.o_proj",
                       "attn_post_norm": "post_attention_layernorm"}.items():
        compare(items, "L1." + name, model.outputs[at + path])
    compare(items, "L1.attn.context", model.inputs[at + "self_attn.o_proj"])
    compare(items, "L1.attn.probs", model.result.attentions[1][0].numpy().transpose(1, 0, 2))
    compare(items, "L1.attn_residual", model.inputs[at + "pre_feedforward_layernorm"])
    check(not any("cache" in name for name in items) and "L1.attn.q_rope" in items, f"{list(items)}")


def test_hidden(folder):
    model = Model("qwen3", folder)
    wanted = job(folder, model=model.folder, prompt=PROMPT, layers=[0, 1, -1], token=-1)
    document = run("hidden", "--config", wanted)
    hidden = [state[0].numpy() for state in model.result.hidden_states]
    last = model.inputs["model.norm"]  # the last entry of hidden_states is behind the final norm
    for item, expected in zip(document["components"], [hidden[1], hidden[2], last]):
        check(nmse(item["values"], expected[-1]) < SAME, f"{item['name']}: {nmse(item['values'], expected[-1]):.3g}")
    check(len(document["components"]) == 3 and document["components"][0]["token"] == len(model.ids) - 1, "token -1")
    for item in run("hidden", "--config", wanted, "--token", "0")["components"]:
        check(item["token"] == 0, "the command line wins over the file")
    saved = os.path.join(folder, "hidden.safetensors")
    safetensors.numpy.save_file({"p0/L1.ffn_residual": hidden[2][None], "p0/input_ids": numpy.array([model.ids])}, saved)
    same = run("hidden", model.folder, "--layers", "0-2", "--against", saved)
    check([item["against"]["verdict"] for item in same["components"]] == ["unmeasured", "match", "unmeasured"], f"{same}")
    wrong = hidden[2].copy()
    wrong[3, 5] *= 1.01
    numpy.save(os.path.join(folder, "hidden.npy"), wrong)
    found = run("hidden", model.folder, "--tokens", ",".join(map(str, model.ids)), "--layers", "1", "--against",
                os.path.join(folder, "hidden.npy"), status=1)["components"][0]["against"]
    check(found["verdict"] == "mismatch" and found["at"][:2] == [3, 5], f"{found}")


def test_rope(folder):
    for family, length, classes in (("llama3", 7, 1), ("gemma3", 7, 2), ("phi3_long", 7, 1), ("phi3_long", 100, 1)):
        model = Model(family, folder)
        document = run("rope", model.folder, "--pos", "6", "--length", str(length))
        check(len(document["classes"]) == classes, f"{family}: {len(document['classes'])} classes")
        for each in document["classes"]:
            rotary = model.module.model.rotary_emb
            position, extra = torch.arange(length)[None], []
            if family == "gemma3":
                extra = [model.module.config.layer_types[each["layers"][0]]]
            cos, sin = (value[0, 6].numpy() for value in rotary(torch.zeros(1, length, 1), position, *extra))
            found = [[pair["cos"], pair["sin"]] for pair in each["pairs"]]
            expected = numpy.stack([cos, sin], 1)[:len(found)]
            check(numpy.allclose(found, expected, atol=2e-6), f"{family}: {numpy.abs(found - expected).max()}")
            check(each["pairs"][1]["channels"] == [1, 1 + each["dims"] // 2] and each["explanation"], f"{family}: pairs")
    bare = run("rope", "--config", job(folder, pos=6, dim=256, theta=10000.0))["classes"][0]["pairs"]
    frequency = 10000.0 ** (-numpy.arange(128) / 128)
    check(numpy.allclose([pair["frequency"] for pair in bare], frequency, rtol=1e-14), "frequencies of bare numbers")
    check(numpy.allclose([pair["cos"] for pair in bare], numpy.cos(6 * frequency), atol=1e-14), "cosines of bare numbers")
    check(numpy.allclose([pair["wavelength"] for pair in bare], 2 * numpy.pi / frequency), "wavelengths")
    llama = Model("llama", folder).folder
    run("rope", "--config", job(folder, model=llama, pos=6, dim=32, theta=10000.0))
    different = run("rope", "--config", job(folder, model=llama, pos=6, dim=32, theta=500000.0), status=1)
    check(different["verdict"] == "mismatch" and "10000" in different["difference"], f"{different.get('difference')}")


def test_weights(folder):
    import gguf
    model = Model("llama", folder)
    stored = safetensors.numpy.load_file(os.path.join(model.folder, "model.safetensors"))
    value = stored["model.layers.1.self_attn.v_proj.weight"]
    document = run("weights", "--config", job(folder, model=model.folder, layer=1, proj="v"), "--all")["weights"]
    check(len(document) == 1 and document[0]["tensor"] == "model.layers.1.self_attn.v_proj.weight", f"{document}")
    check(numpy.array_equal(numpy.float32(document[0]["values"]), value.ravel()), "values of v")
    check(numpy.isclose(document[0]["measured"]["mean"], value.mean(dtype="f8")), "mean of v")
    converted = os.path.join(folder, "q8_0.gguf")
    done = subprocess.run([sys.executable, os.path.join(HERE, "..", "models", "convert.py"), model.folder, converted, "--type", "q8_0"],
                          capture_output=True, text=True, timeout=120)
    check(done.returncode == 0, done.stderr[-500:])
    tensor = next(t for t in gguf.GGUFReader(converted).tensors if t.name == "blk.1.ffn_up.weight")
    out = os.path.join(folder, "up.npy")
    run("weights", converted, "--layer", "1", "--proj", "up", "-o", out)
    check(numpy.array_equal(numpy.load(out), gguf.quants.dequantize(tensor.data, tensor.tensor_type)), "dequantised values")
    run("weights", converted, "--layer", "1", "--proj", "up", "--against", out)
    both = run("weights", converted, "--layer", "0-2", "--proj", "q,k,v,o,gate,up,down", "--against", model.folder)["weights"]
    check(len(both) == 21 and all(0 < w["against"]["nmse"] < 1e-4 for w in both), f"{[w['against'] for w in both][:3]}")
    check("pairing" in both[0]["against"]["transform"], "rows of q in the other order")
    other = Model("llama", os.path.join(folder, "other"))
    name = "model.layers.1.self_attn.v_proj.weight"
    wrong = safetensors.numpy.load_file(os.path.join(other.folder, "model.safetensors"))
    wrong[name][3, 4] += 0.5
    safetensors.numpy.save_file(wrong, os.path.join(other.folder, "model.safetensors"), metadata={"format": "pt"})
    found = run("weights", model.folder, "--layer", "1", "--proj", "v", "--against", other.folder, status=1)["weights"][0]
    check(abs(found["against"]["max_abs"] - 0.5) < 1e-3, f"{found['against']}")


def test_adapters(folder):
    """--lora belongs to the model, not to the one that it is compared with."""
    model = Model("llama", folder)
    name, module = "model.layers.1.self_attn.q_proj.weight", "base_model.model.model.layers.1.self_attn.q_proj."
    tensors = safetensors.numpy.load_file(os.path.join(model.folder, "model.safetensors"))
    random = numpy.random.default_rng(5)
    a, b = (random.standard_normal(shape).astype("f4") * 0.1 for shape in ((4, tensors[name].shape[1]), (tensors[name].shape[0], 4)))
    adapter, merged = os.path.join(folder, "adapter"), os.path.join(folder, "merged")
    os.mkdir(adapter)
    shutil.copytree(model.folder, merged)
    safetensors.numpy.save_file({module + "lora_A.weight": a, module + "lora_B.weight": b}, os.path.join(adapter, "adapter_model.safetensors"))
    with open(os.path.join(adapter, "adapter_config.json"), "w", encoding="utf-8") as file:
        json.dump({"peft_type": "LORA", "r": 4, "lora_alpha": 8, "target_modules": ["q_proj"]}, file)
    tensors[name] = (tensors[name] + 2.0 * (b.astype("f8") @ a.astype("f8"))).astype("f4")
    safetensors.numpy.save_file(tensors, os.path.join(merged, "model.safetensors"), metadata={"format": "pt"})
    for scale, status in (("", 0), ("=0.5", 1)):
        options = ("--lora", adapter + scale)
        run("weights", model.folder, "--layer", "1", "--proj", "q", "--against", merged, *options, status=status)
        found = run("models", model.folder, merged, *options, status=status)["findings"]
        check([item["component"] for item in found] == ["attn.q_proj"] * status, f"adapter{scale}: {found}")


def test_jobs(folder):
    """One file may serve all five; what is no key is one line."""
    model = Model("llama", folder)
    all_keys = job(folder, model=model.folder, prompt=PROMPT, layer=1, layers=[0, 1], token=-1, proj="v", pos=6, dim=32,
                   theta=10000.0)
    for command in ("embed", "attention", "weights", "rope", "hidden"):
        run(command, "--config", all_keys)
    for content, line in (('{"model": "%s", "promt": "x"}' % model.folder, "--promt"), ('{"model": 3', ":1:"),
                          ('{"model": {}}', "model"), ("[]", "object")):
        path = os.path.join(folder, "bad.json")
        with open(path, "w", encoding="utf-8") as file:
            file.write(content)
        done = subprocess.run([COMMAND, "embed", "--config", path], capture_output=True, text=True, timeout=60)
        check(done.returncode == 2 and len(done.stderr.splitlines()) == 1 and line in done.stderr, f"{content}: {done}")


def test_inject(folder):
    """A replaced context, against transformers with the same replacement."""
    model = Model("qwen3", folder)
    width = model.inputs["model.layers.1.self_attn.o_proj"].shape[1]
    context = numpy.random.default_rng(3).standard_normal((len(model.ids), width)).astype("f4")
    numpy.savez(os.path.join(folder, "context.npz"), first=context, other=context[:1])
    target = model.module.model.layers[1].self_attn.o_proj
    target.register_forward_pre_hook(lambda part, inputs: (torch.from_numpy(context)[None],))
    with torch.no_grad():
        expected = model.module(torch.tensor([model.ids])).logits[0].numpy()
    out = os.path.join(folder, "injected")
    done = subprocess.run([COMMAND, "ref", model.folder, "--tokens", ",".join(map(str, model.ids)), "--inject",
                           f"L1.attn.context={folder}/context.npz#first", "-o", out], capture_output=True, text=True, timeout=60)
    check(done.returncode == 0 and f"{len(model.ids)} rows replaced" in done.stderr, f"{done}")
    import reference_capture
    passes = reference_capture.read(out)
    values = passes[0]["logits"] if "logits" in passes[0] else passes[0]["lm_head"]
    check(nmse(values, expected) < SAME, f"logits: NMSE {nmse(values, expected):.3g}")
    check(nmse(passes[0][1, "attn.context"], context) < 1e-30, "the injected value itself")


def main():
    for case in sys.argv[1:]:
        with tempfile.TemporaryDirectory() as folder:
            globals()["test_" + case](folder)
    sys.exit(failed())


if __name__ == "__main__":
    main()
