# SPDX-License-Identifier: Apache-2.0
"""numpy from PyPI (an OpenBLAS of its own, renamed, 64-bit integers, loaded RTLD_LOCAL) and from Debian
(libblas.so.3): each product is found in the capture with exactly numpy's operands and result."""
import json
import os
import subprocess

import tap

PROGRAM = r"""
import json, numpy as np
generator = np.random.default_rng(1)
found = []
def product(op, a, b):
    c = np.matmul(a, b)
    found.append({"op": op, "a": np.asarray(a, np.float64).ravel().tolist(),
                  "b": np.asarray(b, np.float64).ravel().tolist(),
                  "c": np.asarray(c, np.float64).ravel().tolist()})
for dtype in (np.float32, np.float64):
    a = generator.standard_normal((5, 7)).astype(dtype)
    b = generator.standard_normal((7, 6)).astype(dtype)
    product("matmul", a, b)
    product("matmul", b.T, a.T)
    product("matmul", np.asfortranarray(a), b)
    product("matmul", a[:, 1:6], b[1:6, :4])
    product("matvec", a, b[:, 0].copy())
    product("matvec", a.T, a[:, 0].copy())
    product("dot", a[0], a[1])
    stack = generator.standard_normal((3, 4, 5)).astype(dtype)
    product("matmul", stack[1], stack[2].T)
print(json.dumps(found))
"""
ROLES = {"matmul": ("a", "b", "c"), "matvec": ("a", "x", "y"), "dot": ("x", "y", "out")}


def interpreters():
    wanted = [os.environ.get("TENSORTAP_PYTHON", "python3"), "/usr/bin/python3"]
    return [p for i, p in enumerate(wanted) if p not in wanted[:i] and os.path.exists(p) and
            subprocess.run([p, "-c", "import numpy"], stderr=subprocess.DEVNULL).returncode == 0]


def values(call, role):
    """Last recorded operand of that role: for c and y the result."""
    return [o["values"] for o in call["operands"] if o["role"] == role][-1]


def is_product(call, product):
    """The operands themselves, or those of the transposed product, which numpy may choose."""
    if call["op"] != product["op"] or call["attributes"].get("invalid"):
        return False
    have = [values(call, role) for role in ROLES[call["op"]]]
    return have == [product["a"], product["b"], product["c"]]


def check(python):
    command = [python, "-c", PROGRAM]
    with tap.Run(command, tapped=False, check=0) as plain, tap.Run(command, check=0) as tapped:
        tap.same_behaviour(plain, tapped)
        calls, summary = tap.only_capture(tapped)
    products = json.loads(tapped.stdout)
    missing = [p for p in products if not any(is_product(call, p) for call in calls)]
    assert not missing, f"{python}: {len(missing)} of {len(products)} products not found, first {missing[0]}"
    assert summary["finished"]
    print(python, len(products), "products in", len(calls), "calls:", sorted({call["routine"] for call in calls}))


if not interpreters():
    tap.skip("no numpy")
for interpreter in interpreters():
    check(interpreter)
