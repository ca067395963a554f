# SPDX-License-Identifier: Apache-2.0
"""Formats of activations, against ggml's own CPU kernels: rows of x quantised and multiplied by them. The product is right
in the format that the type of weight asks for, and in no other; plain x, where it matters, is not."""
import ctypes
import glob
import importlib.util
import os
import sys

try:
    import gguf
    import numpy as np
except ImportError:
    sys.exit(77)

from ops_driver import Ops, judge

FORMATS = ("q8_0", "q8_1", "q8_k", "f16", "bf16", "int8")
# Formats in which the product of a weight of this type is right.
TYPES = {
    "Q8_0": {"q8_0", "q8_1"}, "Q4_0": {"q8_0", "q8_1"}, "Q5_0": {"q8_0", "q8_1"}, "IQ4_NL": {"q8_0", "q8_1"},
    "MXFP4": {"q8_0", "q8_1"}, "Q4_1": {"q8_1"}, "Q5_1": {"q8_1"}, "Q2_K": {"q8_k"}, "Q3_K": {"q8_k"},
    "Q4_K": {"q8_k"}, "Q5_K": {"q8_k"}, "Q6_K": {"q8_k"}, "IQ4_XS": {"q8_k"}, "F16": {"f16"}, "BF16": {"bf16"},
}
ROWS, OUTPUTS, INPUTS = 4, 24, 2048
VEC_DOT = ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_void_p, ctypes.c_size_t,
                           ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
FROM_FLOAT = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64)


class CpuTraits(ctypes.Structure):
    _fields_ = [("from_float", ctypes.c_void_p), ("vec_dot", ctypes.c_void_p), ("vec_dot_type", ctypes.c_int),
                ("nrows", ctypes.c_int64)]


def library():
    found = importlib.util.find_spec("xllamacpp")
    names = glob.glob(os.path.join(os.path.dirname(found.origin), "*.so")) if found else []
    if not names:
        sys.exit(77)
    ggml = ctypes.CDLL(names[0])
    ggml.ggml_get_type_traits_cpu.restype = ctypes.POINTER(CpuTraits)
    ggml.ggml_row_size.restype = ctypes.c_size_t
    ggml.ggml_row_size.argtypes = [ctypes.c_int, ctypes.c_int64]
    ggml.ggml_quantize_chunk.restype = ctypes.c_size_t
    ggml.ggml_quantize_chunk.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64,
                                         ctypes.c_int64, ctypes.c_void_p]
    ggml.ggml_cpu_init()
    return ggml


def pointer(array):
    return array.ctypes.data_as(ctypes.c_void_p)


def quantised(ggml, number, w):
    """Rows of w as blocks of that type, [OUTPUTS, bytes]."""
    out = np.zeros((len(w), ggml.ggml_row_size(number, w.shape[1])), np.uint8)
    ggml.ggml_quantize_chunk(number, pointer(w), pointer(out), 0, len(w), w.shape[1], None)
    return out


def product(ggml, number, blocks, x):
    """x·Wᵀ as ggml's kernel for that type computes it, [ROWS, OUTPUTS]."""
    traits = ggml.ggml_get_type_traits_cpu(number).contents
    other = ggml.ggml_get_type_traits_cpu(traits.vec_dot_type).contents
    multiply, convert = VEC_DOT(traits.vec_dot), FROM_FLOAT(other.from_float)
    y = np.zeros((len(x), len(blocks)), np.float32)
    row = np.zeros(ggml.ggml_row_size(traits.vec_dot_type, x.shape[1]) + 64, np.uint8)
    for t in range(len(x)):
        convert(pointer(np.ascontiguousarray(x[t])), pointer(row), x.shape[1])
        for n in range(len(blocks)):
            one = np.zeros(1, np.float32)
            multiply(x.shape[1], pointer(one), 0, pointer(blocks[n]), 0, pointer(row), 0, 1)
            y[t, n] = one[0]
    return y


def main():
    ggml, ops, failures = library(), Ops(), []
    rng = np.random.default_rng(11)
    x = rng.standard_normal((ROWS, INPUTS)).astype(np.float32)
    x[2, 77] *= 300  # a massive channel
    w = (rng.standard_normal((OUTPUTS, INPUTS)) * 0.05 + 0.01).astype(np.float32)
    for name, expected in TYPES.items():
        number = int(gguf.GGMLQuantizationType[name])
        blocks = quantised(ggml, number, w)
        weight = gguf.quants.dequantize(blocks, gguf.GGMLQuantizationType[name]).reshape(OUTPUTS, INPUTS)
        observed, right, plain = product(ggml, number, blocks, x), set(), None
        for form in ("plain", *FORMATS):
            value = ops.forward("linear", inputs=[x], weights=[weight], attributes={"activations": form})
            chi2, z = judge(value, observed)
            if form == "plain":
                plain = chi2
            elif chi2 <= 4 and z < 16:
                right.add(form)
        print(f"{name:7} right in {sorted(right)}, plain chi2 {plain:.3g}")
        if right != expected or not plain > 100:
            failures.append(f"{name}: right in {sorted(right)}, expected {sorted(expected)}; plain x: chi2 {plain:.3g}")
    ops.close()
    print("\n".join(failures))
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
