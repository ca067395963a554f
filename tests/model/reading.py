# SPDX-License-Identifier: Apache-2.0
"""What the tests of this folder share: a file read by the analyzer, values held against another implementation's."""
import json
import os
import subprocess
import sys
import tempfile

import numpy as np

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from checks import check, failed

PROGRAM = os.path.join(os.environ["TENSORTAP_BUILD"], "bin", "model_dump")


def run(*arguments):
    return subprocess.run([PROGRAM, *arguments], capture_output=True, text=True, timeout=60)


def dump(path, kind="model"):
    """{name: (dtype, form or None, f64 values in the shape read)}; a path may be MODEL+ADAPTER=SCALE."""
    with tempfile.TemporaryDirectory() as scratch:
        values_path = os.path.join(scratch, "values")
        done = run("dump-" + kind, path, values_path)
        check(done.returncode == 0, f"{path}: {done.stderr}")
        values, at, found = np.fromfile(values_path), 0, {}
    for line in done.stdout.splitlines():
        entry = json.loads(line)
        count = int(np.prod(entry["shape"], dtype=np.int64))
        found[entry["name"]] = (entry["dtype"], entry.get("form"), values[at:at + count].reshape(entry["shape"]))
        at += count
    return found


def as_array(values):
    return values.detach().double().numpy() if hasattr(values, "detach") else np.asarray(values, dtype=np.float64)


def exact(found, name, expected, form, what):
    """Our f64 rounded to f32 is the other implementation's f32, to the last bit."""
    if name not in found:
        check(False, f"{what}: no tensor {name} among {sorted(found)}")
        return
    _, found_form, values = found[name]
    expected = as_array(expected)
    check(found_form == form, f"{what} {name}: form {found_form}, not {form}")
    check(values.shape == expected.shape, f"{what} {name}: shape {values.shape}, not {expected.shape}")
    same = values.shape == expected.shape and np.array_equal(values.astype(np.float32), expected.astype(np.float32),
                                                             equal_nan=True)
    check(same, f"{what} {name}: values differ")


def near(found, name, expected, form, tolerance, what):
    """Relative to the largest value."""
    _, found_form, values = found[name]
    expected = as_array(expected)
    check(found_form == form, f"{what} {name}: form {found_form}, not {form}")
    check(values.shape == expected.shape, f"{what} {name}: shape {values.shape}, not {expected.shape}")
    if values.shape == expected.shape:
        error, largest = np.abs(values - expected).max(), np.abs(expected).max()
        check(error <= tolerance * largest, f"{what} {name}: differs by {error:.2g}, largest value {largest:.2g}")


def refused(path, words, kind="model"):
    """One line that has these words, exit 2."""
    done = run("dump-" + kind, path, os.devnull)
    check(done.returncode == 2 and done.stderr.count("\n") == 1 and words in done.stderr,
          f"{path}: exit {done.returncode}, not refused with '{words}': {done.stderr}")


def write_config(folder, **config):
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, "config.json"), "w") as file:
        json.dump(config, file)


def main(tests):
    with tempfile.TemporaryDirectory() as folder:
        for test in tests:
            place = os.path.join(folder, test.__name__)
            os.makedirs(place)
            test(place)
    sys.exit(failed())
