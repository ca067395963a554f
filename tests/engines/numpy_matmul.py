#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""An engine to be traced: products of numpy arrays in the layouts that reach its BLAS. Prints a digest of each.

Runs under any Python with numpy; wheels from PyPI bring an OpenBLAS with names of their own. Exit 77: no numpy.
"""
import hashlib
import sys

try:
    import numpy
except ImportError as missing:
    print(f"skipped: {missing}")
    sys.exit(77)


def products():
    """Name and result; each is one call of BLAS."""
    random = numpy.random.RandomState(7)
    for dtype in (numpy.float32, numpy.float64):
        a, b = random.randn(7, 24).astype(dtype), random.randn(24, 13).astype(dtype)
        x = random.randn(24).astype(dtype)
        name = numpy.dtype(dtype).name
        yield f"{name} matrix matrix", a @ b
        yield f"{name} transposed left", numpy.asfortranarray(a) @ b
        yield f"{name} transposed right", a @ numpy.ascontiguousarray(b.T).T
        yield f"{name} rows of a wider array", numpy.hstack([a, a])[:, :24] @ b
        yield f"{name} matrix vector", a @ x
        yield f"{name} vector vector", numpy.asarray(x @ x)


CALLS = 12

if __name__ == "__main__":
    for what, result in products():
        print(what, hashlib.sha256(numpy.ascontiguousarray(result).tobytes()).hexdigest()[:16])
