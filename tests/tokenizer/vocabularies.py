# SPDX-License-Identifier: Apache-2.0
"""Tokenizers in the manner of well-known families, trained here on a few thousand lines with the package `tokenizers`.

Split patterns are the published ones of the tokenizer.json files of these families.
"""
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

TAIL = r"|\s*[\r\n]+|\s+(?!\S)|\s+"
CONTRACTIONS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
LLAMA3 = CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*" + TAIL
QWEN2 = CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*" + TAIL
CASED = (r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+" + CONTRACTIONS +
         r"?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*" + CONTRACTIONS +
         r"?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*" + TAIL)
DEEPSEEK = r"""[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*""" + TAIL
KIMI = (r"[\p{Han}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]*[\p{Ll}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]+" + CONTRACTIONS +
        r"?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]+[\p{Ll}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]*" + CONTRACTIONS +
        r"?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*" + TAIL)
BYTES = ["<0x%02X>" % i for i in range(256)]
SIZE = 3000


def split(pattern):
    return pre_tokenizers.Split(Regex(pattern), behavior="isolated")


def byte_level(corpus, before, special, added=(), normalizer=None, template=None, ignore_merges=False):
    t = Tokenizer(models.BPE(ignore_merges=ignore_merges))
    if normalizer:
        t.normalizer = normalizer
    bytes_ = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=not before)
    t.pre_tokenizer = pre_tokenizers.Sequence([*before, bytes_]) if before else bytes_
    t.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=SIZE, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False)
    t.train_from_iterator(corpus, trainer)
    t.add_special_tokens([AddedToken(s, special=True, normalized=False) for s in special])
    t.add_tokens(list(added))
    t.post_processor = template(t) if template else processors.ByteLevel(trim_offsets=False)
    return t


def bos_template(name):
    return lambda t: processors.Sequence([processors.ByteLevel(trim_offsets=False), processors.TemplateProcessing(
        single=f"{name} $A", pair=f"{name} $A {name} $B", special_tokens=[(name, t.token_to_id(name))])])


def gpt2(corpus):
    return byte_level(corpus, [], ["<|endoftext|>"])


def llama3(corpus):
    return byte_level(corpus, [split(LLAMA3)], ["<|begin_of_text|>", "<|eot_id|>", "<|endoftext|>"], template=bos_template("<|begin_of_text|>"),
                      ignore_merges=True)


def qwen2(corpus):
    added = [AddedToken("<tool_call>", normalized=False), AddedToken("</tool_call>", normalized=False)]
    return byte_level(corpus, [split(QWEN2)], ["<|endoftext|>", "<|im_start|>", "<|im_end|>"], added, normalizers.NFC())


def gpt4o(corpus):
    return byte_level(corpus, [split(CASED)], ["<|endoftext|>"])


def deepseek(corpus):
    parts = [split(r"\p{N}{1,3}"), split("[一-龥぀-ゟ゠-ヿ]+"), split(DEEPSEEK)]
    added = [AddedToken("added word", lstrip=True, rstrip=True, normalized=True), AddedToken("ADDED", single_word=True, normalized=True)]
    return byte_level(corpus, parts, ["<｜begin▁of▁sentence｜>", "<|endoftext|>"], added, template=bos_template("<｜begin▁of▁sentence｜>"))


def kimi(corpus):
    return byte_level(corpus, [split(KIMI)], ["<|im_end|>"])


def starcoder(corpus):
    return byte_level(corpus, [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)][:1] +
                      [split(r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+")], ["<|endoftext|>"])


def roberta(corpus):
    t = byte_level(corpus, [], ["<s>", "</s>", "<pad>", "<unk>"], [AddedToken("<mask>", lstrip=True, normalized=False, special=True)])
    t.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    t.post_processor = processors.RobertaProcessing(("</s>", t.token_to_id("</s>")), ("<s>", t.token_to_id("<s>")), trim_offsets=False)
    return t


def spm_bpe(corpus, normalizer, special, pre=None, fallback=True):
    """Merges over characters with U+2581 for blanks, as conversions of SentencePiece models have them."""
    t = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=fallback))
    # Trained word by word: only the split of the finished tokenizer is the family's.
    t.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always", split=True)
    trainer = trainers.BpeTrainer(vocab_size=SIZE, special_tokens=[*special, *BYTES], show_progress=False, limit_alphabet=900)
    t.train_from_iterator(corpus, trainer)
    import json
    document = json.loads(t.to_str())
    document["added_tokens"] = [a for a in document["added_tokens"] if a["content"] not in BYTES]
    document["pre_tokenizer"] = None
    t = Tokenizer.from_str(json.dumps(document))
    if normalizer:
        t.normalizer = normalizer
    if pre:
        t.pre_tokenizer = pre
    t.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)])
    return t


def llama(corpus):
    """Normalised to U+2581 with one in front, no split."""
    t = spm_bpe(corpus, normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]), ["<unk>", "<s>", "</s>"])
    t.post_processor = processors.TemplateProcessing(single="<s> $A", pair="<s> $A <s> $B", special_tokens=[("<s>", t.token_to_id("<s>"))])
    return t


def all_merges(t):
    """Merges as converters of SentencePiece models make them: every pair of pieces that makes a piece, the best piece first."""
    import json
    document = json.loads(t.to_str())
    vocabulary = document["model"]["vocab"]
    document["model"]["merges"] = [
        (piece[:i], piece[i:]) for piece, _ in sorted(vocabulary.items(), key=lambda item: item[1]) if piece not in BYTES
        for i in sorted(range(1, len(piece)), key=lambda i: (vocabulary.get(piece[:i], 0), vocabulary.get(piece[i:], 0)))
        if piece[:i] in vocabulary and piece[i:] in vocabulary]
    return Tokenizer.from_str(json.dumps(document))


def llama_metaspace(corpus):
    """The later form: Metaspace, in front of the first text alone."""
    t = spm_bpe(corpus, None, ["<unk>", "<s>", "</s>"], pre_tokenizers.Metaspace("▁", prepend_scheme="first", split=False))
    t.post_processor = processors.TemplateProcessing(single="<s> $A", pair="<s> $A <s> $B", special_tokens=[("<s>", t.token_to_id("<s>"))])
    return t


def gemma(corpus):
    t = spm_bpe(corpus, normalizers.Replace(" ", "▁"), ["<pad>", "<eos>", "<bos>", "<unk>"],
                pre_tokenizers.Split(" ", behavior="merged_with_previous"))
    t.add_special_tokens(["<start_of_turn>"])
    t.add_tokens([AddedToken("\n\n", normalized=False), AddedToken("▁▁", normalized=False), AddedToken("▁▁▁", normalized=False)])
    t.post_processor = processors.TemplateProcessing(single="<bos> $A", pair="<bos> $A <bos> $B",
                                                     special_tokens=[("<bos>", t.token_to_id("<bos>"))])
    return t


def bert(corpus, lowercase=True, strip_accents=None):
    t = Tokenizer(models.WordPiece(unk_token="[UNK]", max_input_chars_per_word=40))
    t.normalizer = normalizers.BertNormalizer(lowercase=lowercase, strip_accents=strip_accents)
    t.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    t.decoder = decoders.WordPiece()
    t.train_from_iterator(corpus, trainers.WordPieceTrainer(vocab_size=SIZE, show_progress=False,
                                                            special_tokens=["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]))
    t.post_processor = processors.BertProcessing(("[SEP]", t.token_to_id("[SEP]")), ("[CLS]", t.token_to_id("[CLS]")))
    return t


def bert_cased(corpus):
    return bert(corpus, lowercase=False)


def unigram(corpus, normalizer=None, fallback=False):
    t = Tokenizer(models.Unigram())
    t.normalizer = normalizer or normalizers.Sequence([normalizers.Nmt(), normalizers.NFKC(), normalizers.Replace(Regex(" {2,}"), " ")])
    t.pre_tokenizer = pre_tokenizers.Metaspace("▁", prepend_scheme="always")
    t.decoder = decoders.Metaspace("▁", prepend_scheme="always")
    t.train_from_iterator(corpus, trainers.UnigramTrainer(vocab_size=SIZE, unk_token="<unk>", show_progress=False,
                                                          special_tokens=["<pad>", "</s>", "<unk>", *(BYTES if fallback else [])]))
    if fallback:
        import json
        document = json.loads(t.to_str())
        document["model"]["byte_fallback"] = True
        document["added_tokens"] = [a for a in document["added_tokens"] if a["content"] not in BYTES]
        t = Tokenizer.from_str(json.dumps(document))
    t.post_processor = processors.TemplateProcessing(single="$A </s>", pair="$A </s> $B </s>", special_tokens=[("</s>", t.token_to_id("</s>"))])
    return t


def unigram_bytes(corpus):
    return unigram(corpus, fallback=True)


FAMILIES = {f.__name__: f for f in (gpt2, llama3, qwen2, gpt4o, deepseek, kimi, starcoder, roberta, llama, llama_metaspace, gemma, bert,
                                    bert_cased, unigram, unigram_bytes)}
