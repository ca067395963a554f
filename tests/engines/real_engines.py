#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Real engines under the tap: they print the same, end the same, and every linear layer is captured.

Usage: real_engines.py [CASE …]
"""
import os
import tempfile

from traced import about, engine, main, require, routines, run, run_plain, trace, trace_alike

PASSES = 4                 # of hf_llama.py: one prefill, three of decode
LLAMA_LINEAR = 3 * 7 + 1   # calls a pass: three layers, the head
MINILM_LINEAR = 6 * 6 + 1  # six layers, the pooler
MINILM_HEADS = 6 * 12 * 2  # six layers, twelve heads, QK and PV
DEBIAN_PYTHON = "/usr/bin/python3"


def check_llama(*options, attention=0):
    """`attention`: calls of sgemm_ that are not linear layers."""
    with tempfile.TemporaryDirectory() as folder:
        command = engine("hf_llama.py", os.path.join(folder, "model"), "-n", str(PASSES), *options)
        run_plain(engine("hf_llama.py", os.path.join(folder, "model"), "--make-only"))
        capture = trace_alike(command, os.path.join(folder, "captures"))
        called = routines(capture)
        files = [os.path.basename(file["path"]) for file in about(capture)["manifest"]["model_files"]]
        require(files == ["model.safetensors"], f"model files: {files}")
        linear = called.get(("sgemm_", "matmul"), 0)
        expected = PASSES * LLAMA_LINEAR + attention
        require(linear == expected, f"{linear} calls of sgemm_ captured, expected {expected}: {called}")
        return called


def llama_eager():
    called = check_llama()
    # Six heads, QK and PV, per layer and pass. Products of fewer than 400 multiply-adds PyTorch does in loops of
    # its own: those of the first decode pass, 1 x 32 by 32 x 12.
    expected = 3 * 6 * 2 * (PASSES - 1)
    heads = called.get(("cblas_sgemm_batch", "matmul"), 0)
    require(heads == expected, f"{heads} products of attention captured, expected {expected}: {called}")


def llama_sdpa():
    # So short a prompt is one tile, in decode too: a product of each kind per layer and head.
    check_llama("--attention", "sdpa", attention=PASSES * 3 * 6 * 2)


def llama_batch():
    check_llama("--batch")


def minilm():
    with tempfile.TemporaryDirectory() as folder:
        called = routines(trace_alike(engine("minilm.py"), folder))
        linear = called.get(("sgemm_", "matmul"), 0)
        require(linear == MINILM_LINEAR, f"{linear} linear layers captured, expected {MINILM_LINEAR}: {called}")
        heads = called.get(("cblas_sgemm_batch", "matmul"), 0)
        require(heads == MINILM_HEADS, f"{heads} products of attention captured, expected {MINILM_HEADS}: {called}")


def check_numpy(python_options):
    with tempfile.TemporaryDirectory() as folder:
        called = routines(trace_alike(engine("numpy_matmul.py", **python_options), folder))
        found = {}
        for (routine, _), count in called.items():
            for kind in ("sgemm", "dgemm", "sgemv", "dgemv", "sdot", "ddot"):
                if kind in routine:
                    found[kind] = found.get(kind, 0) + count
        found["sdot"] = min(found.get("sdot", 0), 1)  # numpy tries one when it is imported
        expected = {"sgemm": 4, "dgemm": 4, "sgemv": 1, "dgemv": 1, "sdot": 1, "ddot": 1}
        require(found == expected, f"captured {found}, expected {expected}: {called}")
        return called


def numpy_wheel():
    called = check_numpy({})
    require(("scipy_cblas_sgemm64_", "matmul") in called, f"not the wheel's own BLAS: {called}")


def numpy_debian():
    called = check_numpy({"python": DEBIAN_PYTHON})
    require(("cblas_sgemm", "matmul") in called, f"not the system's BLAS: {called}")


def exit_status():
    """A program that fails after its products fails alike, and what it computed is there."""
    program = "import numpy, sys; a = numpy.ones((8, 8), 'f'); print((a @ a).sum()); sys.exit(7)"
    command = engine("numpy_matmul.py")[:1] + ["-c", program]
    if run(command).returncode != 7:
        return run_plain(engine("numpy_matmul.py"))  # skipped: no numpy
    with tempfile.TemporaryDirectory() as folder:
        done, captures = trace(command, folder)
        require(done.returncode == 7, f"status {done.returncode} under the tap, 7 without")
        require(done.stdout == run(command).stdout, "printed something else under the tap")
        require(len(captures) == 1, f"expected one capture, found {captures}")
        routines(captures[0])


def without_products():
    """A program that makes no such call leaves nothing behind."""
    with tempfile.TemporaryDirectory() as folder:
        done, captures = trace([DEBIAN_PYTHON, "-c", "print(sum(range(10)))"], folder)
        require(done.stdout == b"45\n" and done.returncode == 0, f"printed {done.stdout}, status {done.returncode}")
        require(not os.listdir(folder), f"left behind: {os.listdir(folder)}")


if __name__ == "__main__":
    main({case.__name__: case for case in (llama_eager, llama_sdpa, llama_batch, minilm, numpy_wheel,
                                           numpy_debian, exit_status, without_products)})
