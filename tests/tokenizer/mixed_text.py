# SPDX-License-Identifier: Apache-2.0
"""Lines of mixed text, made by rules: scripts, emoji, white space, digits, code, names of special tokens, odd sequences.

Characters are such as Unicode 3.2 knew, and emoji: tables of different versions agree on them.
"""
import random
import unicodedata

WORDS = """the of and to in that was is for it with as his on be at by had not are but from or have an they which one you
were all her she there would their we him been has when who will no more if out so up said what about than into them can
only other time new some could these two may first then do any like my now over such our man me even most made after also
model token layer attention engine weight gradient softmax residual transformer quantisation embedding tokenizer prompt
don't I'm we've they'll she'd it's you're O'Neill rock'n'roll mother-in-law naïve café résumé Übermäßig straße İstanbul
antidisestablishmentarianism supercalifragilisticexpialidocious HTTPServer camelCaseWord snake_case_word __init__ kebab-case
Ξεσκεπάζω την ψυχοφθόρα βδελυγμία ΑΣΤΗΡ Съешь же ещё этих мягких французских булок Ґанок їжак Đặng Nguyễn Việt Nam tiếng
המהיר עברית שָׁלוֹם العربية مُحَمَّد ٱلسَّلَامُ فارسی می‌خواهم हिन्दी क्षत्रिय नमस्ते বাংলা தமிழ் తెలుగు ไทย ภาษาไทย ລາວ བོད་ ქართული
Հայերեն አማርኛ ខ្មែរ မြန်မာ 日本語 東京特許許可局 ひらがな カタカナ ｶﾀｶﾅ ﾊﾟﾋﾟﾌﾟ 漢字 中文字符 简体 繁體 한국어 안녕하세요 대한민국 ᄒᆞᆫ글 ㄱㄴㄷ
ﬁnance ﬂow ﬀ ½ ¼ x² H₂O ℌ ℕ Ⅷ ① ㈱ ㎏ Å Ω ﷺ ｆｕｌｌｗｉｄｔｈ ＡＢＣ １２３ 𝐛𝐨𝐥𝐝 𝔉𝔯𝔞𝔨 𝟙𝟚𝟛""".split()
EMOJI = "😀 🙂 👍 👍🏽 👩‍👩‍👧‍👦 👨🏿‍🚀 🏳️‍🌈 🏴‍☠️ 🇩🇪 🇯🇵🇫🇷 1️⃣ #️⃣ ❤️ ☺︎ ✂ ♻️ 🤷🏼‍♀️ ⌨️ ✊🏾 🧑‍💻 🐻‍❄️ ⛄ ™ © ↔️".split()
SPACES = [" ", "  ", "   ", "    ", "\t", "\t\t", " \t ", "\n", "\n\n", "\r\n", "\r\n\r\n", "\r", "\n \n", " \n", "\n    ", "\u00a0", "\u3000",
          "\u2003", "\u2009", "\u202f", "\u2028", "\u2029", "\u0085", "\u1680", "\x0b", "\x0c", "\u200b", "\u180e", "\ufeff", " \u3000 "]
CODE = ["for (int i = 0; i < n; i++) {", "    return x->y[i] != NULL && ~mask;", "def f(self, *args, **kw):\n\treturn {k: v for k, v in kw}",
        "#include <stdio.h>", "<div class=\"a b\">&nbsp;</div>", "SELECT * FROM t WHERE a='b' -- c", "a+=b<<3;//x", "$HOME/.cache/x-y_z.tar.gz",
        "https://example.org/path?q=1&r=%20#frag", "user@example.com", "[[1,2],[3.14,-2e-9]]", "{\"key\": \"v\\n\"}", "x = y ** 2 ; z //= 3",
        "0xDEADBEEF", "C:\\Users\\x", "`code`", "**bold** _it_ ~~no~~", "```python\nprint('hi')\n```", "<<<>>>", "!!!???...", "——…‘’“”«»", "、。「」！？"]
NUMBERS = ["0", "7", "42", "123", "1234", "12345", "1234567890", "3.14159", "1,000,000", "-17", "1e-9", "2024-02-29", "12:34:56", "50%", "$9.99",
           "٠١٢٣٤", "१२३४", "๑๒๓", "１２３４", "Ⅳ", "²³", "½", "㊿", "1st", "2nd", "x1y2z3"]
SPECIAL = ["<s>", "</s>", "<unk>", "<pad>", "<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|begin_of_text|>", "<|eot_id|>", "[CLS]", "[SEP]",
           "[MASK]", "[UNK]", "[PAD]", "<bos>", "<eos>", "<start_of_turn>", "<mask>", "<|im_", "im_end|>", "<0x41>", "<0xZZ>", "▁", "▁▁", "Ġ", "Ċ",
           "<｜begin▁of▁sentence｜>", "<tool_call>", "</tool_call>", "<tool", "added word", "ADDED", "stripped"]
ODD = ["e\u0301", "e\u0323\u0302", "o\u0302\u0323", "\u0301", "\u0344", "a\u0315\u0300\u05ae\u0301b", "\u1e9b\u0323", "\u212b", "\u0958", "\u0f73\u0f71",
       "\u1100\u1161\u11a8", "\uac00\u11a8", "\uffa1\uffc2", "\u30cf\u309a", "\uff8a\uff9f", "\u0130", "\u03a3", "\u0149", "\u01c5", "\u1e9e",
       "\u200d", "\u200c", "\u200e\u202e", "\u2060", "\ufe0f", "\ufffd", "\ufffe", "\ufdd0", "\ue000", "\U000f0000", "\x01\x02", "\x1b[0m", "\x7f",
       "\x80\x9f", "\u00ad", "\u034f", "Z\u0353\u0342a\u0321l\u0334g\u0308\u0301o\u0488", "\U0001d15e", "\u2f00", "\u3243", "\u1ff7", "\ufb1d",
       "\U0002f800", "'\u017f", "'\u212a", "'S", "'LL", "'Ve", "\u2019s", "\u02bcs"]
BLOCKS = [(0x20, 0x7f), (0xa0, 0x250), (0x250, 0x370), (0x370, 0x530), (0x530, 0x780), (0x900, 0xe00), (0xe00, 0x1200), (0x1200, 0x1800),
          (0x1e00, 0x2070), (0x2070, 0x2500), (0x2500, 0x2c00), (0x2e80, 0x3100), (0x3100, 0x4dc0), (0x4e00, 0xa000), (0xa000, 0xa4d0),
          (0xac00, 0xd7a4), (0xf900, 0xfb00), (0xfb00, 0x10000), (0x10300, 0x10450), (0x1d000, 0x1d800), (0x20000, 0x2a6d7)]


def known(character):
    return unicodedata.ucd_3_2_0.category(character) not in ("Cn", "Cs") and \
        unicodedata.ucd_3_2_0.category(character) == unicodedata.category(character)


POOLS = [[c for c in map(chr, range(*block)) if known(c)] for block in BLOCKS]


def word(r):
    w = r.choice(WORDS)
    form = r.random()
    if form < 0.1:
        w = w.upper()
    elif form < 0.2:
        w = w.capitalize()
    elif form < 0.25:
        w = unicodedata.normalize(r.choice(["NFC", "NFD", "NFKC", "NFKD"]), w)
    elif form < 0.3:
        w = w[:r.randrange(len(w) + 1)] + r.choice(WORDS)[r.randrange(3):]
    return w


def piece(r, special=True):
    kind = r.random()
    if kind < 0.55:
        return r.choice(["", " "]) + word(r)
    if kind < 0.63:
        return r.choice(SPACES)
    if kind < 0.70:
        return r.choice(NUMBERS)
    if kind < 0.76:
        return r.choice(EMOJI) * r.choice([1, 1, 2])
    if kind < 0.82:
        return r.choice(CODE)
    if kind < 0.88:
        return r.choice(SPECIAL) if special else word(r)
    if kind < 0.93:
        return r.choice(ODD)
    return "".join(r.choice(r.choice(POOLS)) for _ in range(r.randrange(1, 6)))


def lines(count, seed=1, special=True):
    """`count` texts; some hold line ends, none a zero byte. `special`: names of special tokens occur."""
    r = random.Random(seed)
    made = []
    for i in range(count):
        text = "".join((" " if r.random() < 0.5 else "") + piece(r, special) for _ in range(r.randrange(0, 14)))
        if r.random() < 0.05:
            text = r.choice(SPACES) + text + r.choice(SPACES)
        if r.random() < 0.02:
            text = r.choice(WORDS + EMOJI) * r.randrange(2, 60)
        made.append(text)
    return made
