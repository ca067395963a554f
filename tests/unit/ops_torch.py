# SPDX-License-Identifier: Apache-2.0
"""What the tests of primitives against torch share: numbers, the judgement of right and wrong forms, running the tests."""
import sys

import numpy as np
import torch

from ops_driver import judge

f32 = np.float32
failures = []
torch.set_num_threads(1)


def bf16(x):
    return torch.tensor(np.asarray(x, f32)).bfloat16()


def f64(tensor):
    return tensor.double().numpy()


def fail(text):
    failures.append(text)


def right(name, expected, observed):
    if expected.v.shape != np.shape(observed):
        return fail(f"{name}: shape {expected.v.shape}, not {np.shape(observed)}")
    chi2, z = judge(expected, observed)
    if not (chi2 <= 4 and z < 16):
        fail(f"{name}: a right engine has chi2 {chi2:.3g}, z {z:.3g}")


def wrong(name, expected, other):
    chi2 = judge(expected, other.v.astype(f32))[0]
    if not chi2 > 100:
        fail(f"{name}: only chi2 {chi2:.3g} from the right form")


def equal(name, found, expected):
    if not np.array_equal(found, expected):
        fail(f"{name}: {np.sum(found != expected)} of {np.size(expected)} differ")


class Numbers:
    """Random numbers of one test."""

    def __init__(self, seed):
        self.rng = np.random.default_rng(seed)

    def normal(self, *shape, scale=1.0):
        return (self.rng.standard_normal(shape) * scale).astype(f32)

    def massive(self, *shape, size=300.0):
        """Gaussian rows with one channel far above the rest, as residual streams have."""
        x = self.normal(*shape)
        x[..., 3] *= size
        return x


def run(names, ops):
    """All test_… of `names`, the caller's globals(); an argument chooses among them. Ends the program."""
    for name, test in sorted(names.items()):
        if name.startswith("test_") and (len(sys.argv) < 2 or sys.argv[1] in name):
            test()
    ops.close()
    print("\n".join(failures) or "ok")
    sys.exit(bool(failures))
