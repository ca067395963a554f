# SPDX-License-Identifier: Apache-2.0
"""`tensortap ref` by text: the tokenizer's ids run, are told and kept; what a prompt cannot show is said."""
import json
import os
import subprocess
import sys
import tempfile

try:
    import torch
    from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM, MistralConfig, MistralForCausalLM
except ImportError as missing:
    print(missing)
    sys.exit(77)

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from checks import check, failed
from mixed_text import lines
from vocabularies import gpt2, llama_metaspace

PROGRAM = os.path.join(os.environ["TENSORTAP_BUILD"], "bin", "tensortap")


def make(folder, kind, tokenizer, **config):
    name, configuration = kind
    torch.manual_seed(1)
    model = name(configuration(vocab_size=tokenizer.get_vocab_size(), hidden_size=32, intermediate_size=48, num_hidden_layers=2,
                               num_attention_heads=2, num_key_value_heads=1, max_position_embeddings=128, **config))
    model.save_pretrained(folder)
    tokenizer.save(os.path.join(folder, "tokenizer.json"))


def ref(model, *options):
    with tempfile.TemporaryDirectory() as folder:
        out = os.path.join(folder, "ref")
        done = subprocess.run([PROGRAM, "ref", model, "--json", "-o", out, *options], capture_output=True, text=True, timeout=120)
        if done.returncode:
            return done, None
        with open(os.path.join(out, "manifest.json")) as f:
            manifest = json.load(f)
        document = json.loads(done.stdout)
        check(manifest["prompt"] == document["prompt"], "the manifest keeps the prompt")
        return done, document


def by_text(folder, tokenizer):
    text = "Some naïve text, <s> 12 😀"
    done, document = ref(folder, "--prompt", text)
    wanted = tokenizer.encode(text).ids
    check(document["prompt"] == {"text": text, "tokens": wanted}, f"{document['prompt']} for {wanted}")
    check(",".join(map(str, wanted)) in done.stderr, done.stderr)
    _, bare = ref(folder, "--prompt", text, "--no-bos")
    check(bare["prompt"]["tokens"] == wanted[1:], "--no-bos")
    _, plain = ref(folder, "--prompt", "a<s>b", "--no-special")
    tokenizer.encode_special_tokens = True
    check(plain["prompt"]["tokens"] == tokenizer.encode("a<s>b").ids, "--no-special")
    tokenizer.encode_special_tokens = False
    for options, words in ((["--prompt", "a", "--tokens", "1"], "both given"), (["--prompt", "a", "--probe"], "leave --prompt out"),
                           (["--prompt", "a", "--bos", "--no-bos"], "contradict"), (["--prompt", "a\udcff"], "not UTF-8"),
                           (["--prompt", "", "--no-bos"], "no token")):
        done, _ = ref(folder, *options)
        check(done.returncode == 2 and words in done.stderr and done.stderr.count("\n") == 1, f"{options}: {done.stderr!r}")


def unseen(folder, tokenizer):
    """One token at position 0 is not rotated, masked, nor read from a cache; a prompt and decoded steps show all of that."""
    done, document = ref(folder)
    first = tokenizer.encode("What", add_special_tokens=False).ids[:1]
    check(document["prompt"]["tokens"] == first and document["passes"] == 1, f"default: {document}")
    hidden = document["unobservable"]
    for cause in ("rope.pairing", "rope.direction", "rope.skipped", "attn.mask_missing", "kv.stale", "attn.scale"):
        check(cause in hidden, f"{cause} is not shown by one token: {hidden}")
    # Weights of a fresh model are ones: that a norm leaves them out shows nowhere.
    check(not any(c.startswith(("norm.", "residual.")) and c != "norm.weight_missing" for c in hidden), f"norms are shown: {hidden}")
    check("one token at position 0 cannot show: " in done.stderr and "rope.*" in done.stderr and "kv.stale" in done.stderr, done.stderr)
    _, longer = ref(folder, "--prompt", "The weather today is not what it was before", "--decode", "2")
    for cause in ("rope.pairing", "attn.mask_missing", "attn.scale", "kv.stale"):
        check(cause not in longer["unobservable"], f"{cause} is shown by a prompt with decoded steps: {longer['unobservable']}")
    _, prompt = ref(folder, "--prompt", "The weather today is not what it was before")
    check("kv.stale" in prompt["unobservable"] and "rope.theta" not in prompt["unobservable"], f"no decoded step: {prompt['unobservable']}")


def probe(folder, tokenizer, window):
    done, document = ref(folder, "--probe")
    ids = document["prompt"]["tokens"]
    check(len(set(ids)) == len(ids) and len(ids) > window, f"{len(ids)} tokens, window {window}")
    check(document["passes"] == 5, f"{document['passes']} passes")
    special = {i for i in range(tokenizer.get_vocab_size()) if tokenizer.id_to_token(i) in ("<unk>", "<s>", "</s>", "<|endoftext|>")}
    check(not special & set(ids), "no special tokens")
    hidden = document.get("unobservable", [])
    check(not any(c.startswith(("rope.", "attn.mask", "attn.window", "kv.")) for c in hidden), f"{hidden}")


def as_transformers(folder, tokenizer):
    """BOS and EOS as transformers decides: by the file's template alone, whatever tokenizer_config.json says."""
    texts = lines(40, seed=4)
    path = os.path.join(folder, "tokenizer.json")
    document = json.loads(tokenizer.to_str())
    cases = [({**document, "post_processor": processor}, config) for processor in (document["post_processor"], None)
             for config in ({}, {"add_bos_token": True}, {"add_bos_token": False}, {"add_bos_token": True, "add_eos_token": True})]
    for case, config in cases:
        with open(path, "w") as f:
            json.dump(case, f)
        with open(os.path.join(folder, "tokenizer_config.json"), "w") as f:
            json.dump({"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", **config}, f)
        theirs = AutoTokenizer.from_pretrained(folder)
        done = subprocess.run([PROGRAM, "tokenize", folder, "--each", "null"], input="\0".join(texts).encode() + b"\0", capture_output=True, timeout=60)
        ours = [[int(i) for i in line.split()] for line in done.stdout.decode().split("\n")[:-1]]
        check(ours == [theirs(text)["input_ids"] for text in texts], f"{config}, {case['post_processor'] and 'template'}: other ids than transformers")
    os.remove(os.path.join(folder, "tokenizer_config.json"))


ENGINE = """
import sys, torch
from transformers import AutoModelForCausalLM
torch.set_num_threads(1)
model = AutoModelForCausalLM.from_pretrained(sys.argv[1], attn_implementation="eager", dtype=torch.float32)
with torch.no_grad():
    model(torch.tensor([[int(i) for i in sys.argv[2].split(",")]]))
"""


def verified(folder, tokenizer):
    """verify and compare take the prompt as text too."""
    text = "Some text of a few tokens"
    with tempfile.TemporaryDirectory() as out:
        ids = ",".join(map(str, tokenizer.encode(text).ids))
        done = subprocess.run([PROGRAM, "run", "-q", "-o", os.path.join(out, "run"), "--", sys.executable, "-c", ENGINE, folder, ids],
                              capture_output=True, text=True, timeout=300)
        check(done.returncode == 0, done.stderr[-500:])
        reference = os.path.join(out, "ref")
        subprocess.run([PROGRAM, "ref", folder, "--prompt", text, "-o", reference], check=True, capture_output=True, timeout=120)
        capture = next(os.path.join(out, "run", name) for name in os.listdir(os.path.join(out, "run")))
        for command in (["verify", capture], ["compare", capture, reference]):
            done = subprocess.run([PROGRAM, *command, "--model", folder, "--prompt", text, "--json"], capture_output=True, text=True, timeout=120)
            verdict = json.loads(done.stdout)
            check(done.returncode == 0 and verdict["verdict"] == "match", f"{command[0]}: {done.returncode} {verdict.get('verdict')} {done.stderr}")
            check(ids in done.stderr, f"{command[0]} tells the ids: {done.stderr!r}")
        done = subprocess.run([PROGRAM, "verify", capture, "--model", folder, "--prompt", "a", "--tokens", "1"], capture_output=True, text=True, timeout=60)
        check(done.returncode == 2 and "both given" in done.stderr, done.stderr)


def main():
    corpus = lines(300, seed=7, special=False) + ["What is it"] * 50
    with tempfile.TemporaryDirectory() as folder:
        tokenizer = llama_metaspace(corpus)
        make(folder, (LlamaForCausalLM, LlamaConfig), tokenizer)
        by_text(folder, tokenizer)
        unseen(folder, tokenizer)
        probe(folder, tokenizer, 0)
        verified(folder, tokenizer)
        as_transformers(folder, tokenizer)
    with tempfile.TemporaryDirectory() as folder:
        tokenizer = gpt2(corpus)
        make(folder, (MistralForCausalLM, MistralConfig), tokenizer, sliding_window=64)
        probe(folder, tokenizer, 64)
    return failed()


sys.exit(main())
