# SPDX-License-Identifier: Apache-2.0
"""Memory of a reference run for models of growing depth: what the process itself holds at most (anonymous memory,
read every few milliseconds). Weights in files are mapped and cost nothing that the system could not take back; those
that were converted are kept up to a budget, which small models do not fill. Prints a table; --check: once both fill
it, the deepest model needs no more than the shallowest, but for its further layers' activations and a tenth. Exit 77
without numpy and safetensors.

  reference_memory.py TENSORTAP [--check] [LAYERS …]"""
import json
import os
import subprocess
import sys
import tempfile
import time

try:
    import numpy as np
    from safetensors.numpy import save_file
except ImportError as missing:
    print(f"skipped: {missing}")
    sys.exit(77)

HIDDEN, FFN, HEADS, VOCAB, TOKENS = 512, 1408, 8, 2048, 16
LAYER = 4 * HIDDEN * HIDDEN + 3 * HIDDEN * FFN + 2 * HIDDEN  # weights of one layer


def write_model(folder, layers):
    random = np.random.default_rng(layers)
    weight = lambda *shape: (random.standard_normal(shape, dtype=np.float32) / np.sqrt(shape[-1])).astype(np.float16)
    tensors = {"model.embed_tokens.weight": weight(VOCAB, HIDDEN), "lm_head.weight": weight(VOCAB, HIDDEN),
               "model.norm.weight": np.ones(HIDDEN, np.float16)}
    for layer in range(layers):
        name = f"model.layers.{layer}."
        for part in ("q_proj", "k_proj", "v_proj", "o_proj"):
            tensors[f"{name}self_attn.{part}.weight"] = weight(HIDDEN, HIDDEN)
        tensors |= {name + "mlp.gate_proj.weight": weight(FFN, HIDDEN), name + "mlp.up_proj.weight": weight(FFN, HIDDEN),
                    name + "mlp.down_proj.weight": weight(HIDDEN, FFN)}
        for part in ("input_layernorm", "post_attention_layernorm"):
            tensors[f"{name}{part}.weight"] = np.ones(HIDDEN, np.float16)
    save_file(tensors, os.path.join(folder, "model.safetensors"))
    with open(os.path.join(folder, "config.json"), "w") as file:
        json.dump({"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": HIDDEN,
                   "intermediate_size": FFN, "num_hidden_layers": layers, "num_attention_heads": HEADS,
                   "num_key_value_heads": HEADS, "vocab_size": VOCAB, "rms_norm_eps": 1e-5, "rope_theta": 10000.0,
                   "max_position_embeddings": 512, "tie_word_embeddings": False, "hidden_act": "silu"}, file)


def field(pid, name):
    """A line of /proc/PID/status in MiB, 0 when the process is gone."""
    try:
        with open(f"/proc/{pid}/status") as file:
            for line in file:
                if line.startswith(name + ":"):
                    return int(line.split()[1]) / 1024
    except OSError:
        pass
    return 0


def measure(program, folder):
    """Peak of anonymous memory in MiB, seconds."""
    start, peak = time.monotonic(), 0
    tokens = ",".join(str(i * 37 % VOCAB) for i in range(TOKENS))
    child = subprocess.Popen([program, "ref", folder, "--tokens", tokens, "-o", os.path.join(folder, "out")],
                             stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while child.poll() is None:
        peak = max(peak, field(child.pid, "RssAnon"))
        time.sleep(0.002)
    if child.returncode != 0:
        sys.exit(f"FAILED: tensortap ref: exit {child.returncode}")
    return peak, time.monotonic() - start


def main():
    words = [word for word in sys.argv[2:] if word != "--check"]
    depths, rows = [int(word) for word in words] or ([24, 40] if "--check" in sys.argv else [4, 8, 16, 32, 48]), []
    print(f"weights of one layer in f64: {LAYER * 8 / 2**20:.1f} MiB; {TOKENS} tokens")
    print(f"{'layers':>6} {'model in f64':>13} {'file':>9} {'own memory':>11} {'seconds':>8}")
    for layers in depths:
        with tempfile.TemporaryDirectory() as folder:
            write_model(folder, layers)
            size = os.path.getsize(os.path.join(folder, "model.safetensors")) / 2**20
            peak, seconds = measure(sys.argv[1], folder)
        whole = (layers * LAYER + 2 * VOCAB * HIDDEN) * 8 / 2**20
        print(f"{layers:6} {whole:9.0f} MiB {size:5.0f} MiB {peak:7.1f} MiB {seconds:8.2f}")
        rows.append((layers, peak))
    if "--check" in sys.argv:
        further = (rows[-1][0] - rows[0][0]) * TOKENS * (12 * HIDDEN + 4 * FFN + 3 * HEADS * TOKENS) * 8 / 2**20
        most = rows[0][1] * 1.1 + further
        print(f"{rows[-1][0]} layers: {rows[-1][1]:.1f} MiB, allowed {most:.1f} MiB")
        sys.exit(rows[-1][1] > most)


main()
