# SPDX-License-Identifier: Apache-2.0
"""`tensortap tokenize` on GGUF files against llama.cpp itself (the package xllamacpp): every split pattern of tokenizers/gguf.json that
llama.cpp knows, and the other kinds, on mixed lines with the names of special tokens in them. Zero differences."""
import http.client
import json
import os
import subprocess
import sys
import tempfile

try:
    import xllamacpp
    import gguf_files
except ImportError as missing:
    print(missing)
    sys.exit(77)

import vocabularies
from mixed_text import lines

PROGRAM = os.path.join(os.environ["TENSORTAP_BUILD"], "bin", "tensortap")
DATA = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "analyzer", "tokenizers", "gguf.json")
failures = 0


def theirs(path, texts):
    """Ids by llama.cpp, asked through its server on this machine's own interface."""
    params = xllamacpp.CommonParams()
    params.model.path = path
    params.n_ctx = 64
    params.cpuparams.n_threads = 1
    params.warmup = False
    server = xllamacpp.Server(params)
    address = server.listening_address
    link = http.client.HTTPConnection((address() if callable(address) else address).split("//")[-1])
    answers = []
    for text in texts:
        link.request("POST", "/tokenize", json.dumps({"content": text, "add_special": True, "parse_special": True}), {"Content-Type": "application/json"})
        answers.append(json.loads(link.getresponse().read())["tokens"])
    return answers


def ours(path, texts):
    done = subprocess.run([PROGRAM, "tokenize", path, "--each", "null"], input=("\0".join(texts) + "\0").encode(), capture_output=True, timeout=60)
    if done.returncode:
        print(done.stderr.decode(errors="replace"))
        return []
    return [[int(i) for i in line.split()] for line in done.stdout.decode().split("\n")[:-1]]


def same(name, path, texts):
    global failures
    got, wanted = ours(path, texts), theirs(path, texts)
    bad = [i for i in range(len(texts)) if i >= len(got) or got[i] != wanted[i]]
    if bad:
        failures += 1
        print(f"FAILED: {name}: {len(bad)} of {len(texts)} texts differ, as {ascii(texts[bad[0]])}: {got[bad[0]] if got else None} for {wanted[bad[0]]}")


def main():
    corpus, texts = lines(1000, 7, special=False), lines(int(os.environ.get("TENSORTAP_LINES", 300)), 21)
    bytes_, raw = vocabularies.gpt2(corpus), vocabularies.gemma(corpus)
    with open(DATA) as f:
        patterns = json.load(f)["pre"]
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "model.gguf")
        for entry in patterns:
            name = entry["names"][0]
            gguf_files.write_byte_level(path, raw if entry.get("raw") else bytes_, name, bos_token_id=0, eos_token_id=0)
            same("pre " + name, path, texts)
        gguf_files.write_scores(path, vocabularies.llama(corpus), bos_token_id=1)
        same("scores", path, texts)
        gguf_files.write_scores(path, vocabularies.gemma(corpus), bos_token_id=2, add_space_prefix=False)
        same("scores without a blank in front", path, texts)
        gguf_files.write_words(path, vocabularies.bert(corpus))
        same("words", path, texts)
        gguf_files.write_words(path, vocabularies.bert_cased(corpus), **{"normalizer.lowercase": False})
        same("cased words", path, texts)
        gguf_files.write_unigram(path, vocabularies.unigram(corpus), add_space_prefix=True, remove_extra_whitespaces=True)
        same("unigram", path, texts)
    return failures != 0


sys.exit(main())
