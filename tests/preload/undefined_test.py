# SPDX-License-Identifier: Apache-2.0
"""undefined_test.py COMPILER PROGRAM BLAS: the program's BLAS is replaced by a library that defines nothing. Its
calls then find the tap's wrappers, which compute what BLAS would, record it, and say so."""
import os
import subprocess
import sys
import tempfile

import tap

compiler, program, blas = sys.argv[1:]


def without_blas(folder, **settings):
    return tap.Run([program, os.devnull], LD_LIBRARY_PATH=folder, **settings)


folder = tempfile.mkdtemp()
empty = os.path.join(folder, os.path.basename(blas))
subprocess.run([compiler, "-shared", "-x", "c", os.devnull, "-o", empty], check=True)
assert without_blas(folder, tapped=False).status == 127  # nothing else defines the names
with tap.Run([program, os.devnull], tapped=False, check=7) as expected, without_blas(folder, check=7) as run:
    calls, summary = tap.only_capture(run)
    expected, have = expected.stdout.decode().splitlines(), run.stdout.decode().splitlines()
problems = summary["manifest"]["problems"]
assert any(problem.startswith("cblas_sgemm: no loaded library defines it") for problem in problems), problems
assert len(calls) == 2936 and len(have) == len(expected)
for want, got in zip(expected, have):
    name, *wanted = want.split()
    other, *gotten = got.split()
    assert name == other and len(wanted) == len(gotten)
    # The stub cuts narrow results off, the tap rounds them: one unit in the last place of bf16.
    tolerance = 1 / 128 if name.strip("_").removeprefix("cblas_") in ("bgemm", "hgemm") else 0
    for a, b in zip(map(float, wanted), map(float, gotten)):
        assert abs(a - b) <= tolerance * max(abs(a), abs(b)), (name, a, b)
off = without_blas(folder, check=7, TENSORTAP_MODE="off")
assert off.stdout.decode().splitlines() == have and not off.captures()
off.__exit__()
os.remove(empty)
os.rmdir(folder)
