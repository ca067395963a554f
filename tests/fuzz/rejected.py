# SPDX-License-Identifier: Apache-2.0
"""The command on damaged files: it works (exit 0), or it says what is wrong in one line and exits with 2. Nothing
else: no second line, no signal, no waiting.

  rejected.py TENSORTAP [FILES]     FILES: damaged files of each kind, 25 without"""
import os
import random
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
WORDS = [b"null", b"-1", b"[]", b"{}", b'""', b"1e999", b"0", b"4294967296", b"true", b"\xff", b"\n", b"2.5"]
REF = ["ref", "{}", "--tokens", "1,2,3", "-o", "{out}"]
PARAMS, TOKENIZE, MODELS = ["params", "{}"], ["tokenize", "{}", "Some text, 123."], ["models", "{}", "{}"]
# (seeds of seeds.py, name of the damaged file, what is opened, commands that open it)
KINDS = [("gguf", "model.gguf", "model.gguf", [REF, PARAMS, TOKENIZE]),
         ("safetensors", "model.safetensors", "", [REF, MODELS]),
         ("config", "config.json", "", [REF, PARAMS]),
         ("fp8", "model.safetensors", "", [REF, MODELS]),
         ("gptq_config", "config.json", "", [MODELS]),
         ("tokenizer", "tokenizer.json", "", [TOKENIZE]),
         ("pt", "pytorch_model.bin", "", [REF, MODELS])]
ANSWERS = {"models": (0, 1, 3)}  # exit statuses of an answer, where there are others than 0


def damage(data, chance):
    data = bytearray(data)
    for _ in range(chance.choice((1, 1, 2, 4))):
        at = chance.randrange(chance.randrange(len(data)) + 1)
        kind = chance.randrange(6)
        if kind == 0:
            data[at] ^= 1 << chance.randrange(8)
        elif kind == 1:
            data[at:at + 8] = chance.choice((0, 1, 2**31, 2**32 - 1, 2**62, 2**63, 2**64 - 1)).to_bytes(8, "little")
        elif kind == 2:
            data[at:at + chance.randrange(12)] = chance.choice(WORDS)
        elif kind == 3:
            data[at:at] = data[at:at + chance.randrange(32)]
        elif kind == 4 and b":" in data[at:]:  # a value of JSON
            start = data.index(b":", at) + 1
            ends = [data.find(end, start) for end in (b",", b"}") if data.find(end, start) > 0]
            data[start:min(ends, default=start)] = chance.choice(WORDS)
        elif kind == 5 and chance.random() < 0.3:
            del data[at:]
        if not data:
            return b""
    return bytes(data)


def complaint(command, done):
    """What is wrong with this outcome, None: nothing."""
    lines = done.stderr.decode(errors="replace").splitlines()
    if done.returncode in ANSWERS.get(command, (0,)):
        return None
    if done.returncode != 2:
        return f"exit {done.returncode}"
    if len(lines) != 1 or not lines[0].strip():
        return f"{len(lines)} lines"
    if len(lines[0]) > 600 or not lines[0].isprintable():
        return "a line that is no line"
    return None


def run(program, words, path, folder):
    out = os.path.join(folder, "out")
    words = [word.format(path, out=out) for word in words]
    try:
        done = subprocess.run([program, *words], capture_output=True, timeout=30, cwd=folder)
    except subprocess.TimeoutExpired:
        return "more than 30 seconds", None
    subprocess.run(["rm", "-rf", out], check=True)
    return complaint(words[0], done), done


def kind_cases(seeds, target, chance, count):
    cases = []
    for name in sorted(os.listdir(os.path.join(seeds, target))):
        with open(os.path.join(seeds, target, name), "rb") as file:
            cases.append(file.read())
    return [damage(chance.choice(cases), chance) for _ in range(count)]


def test_kind(program, seeds, kind, count, outcomes):
    target, name, opens, commands = kind
    failures = 0
    with tempfile.TemporaryDirectory() as folder:
        beside = os.path.join(seeds, target + ".beside")
        if os.path.isdir(beside):
            subprocess.run(["cp", "-r", beside + "/.", folder], check=True)
        for i, data in enumerate(kind_cases(seeds, target, random.Random(f"{target}{count}"), count)):
            with open(os.path.join(folder, name), "wb") as file:
                file.write(data)
            for words in commands:
                wrong, done = run(program, words, os.path.join(folder, opens), folder)
                outcomes[done.returncode if done else None] = outcomes.get(done.returncode if done else None, 0) + 1
                if wrong:
                    kept = os.path.join(tempfile.gettempdir(), f"tensortap-rejected-{target}-{i}")
                    subprocess.run(["cp", "-r", folder, kept], check=True)
                    print(f"FAILED: {words[0]} on damaged {target} {i} (kept in {kept}): {wrong}")
                    print("    " + (done.stderr.decode(errors="replace")[:500] if done else ""))
                    failures += 1
    return failures


def main():
    program, count = os.path.abspath(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 25
    outcomes, failures = {}, 0
    with tempfile.TemporaryDirectory() as seeds:
        made = subprocess.run([sys.executable, os.path.join(HERE, "seeds.py"), seeds], stdout=subprocess.DEVNULL)
        if made.returncode != 0:
            sys.exit(77 if made.returncode == 77 else 1)
        for kind in KINDS:
            failures += test_kind(program, seeds, kind, count, outcomes)
    print(f"exit statuses: {outcomes}")
    if not outcomes.get(2):
        failures += 1
        print("FAILED: nothing was refused")
    sys.exit(failures != 0)


main()
