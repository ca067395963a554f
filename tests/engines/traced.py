# SPDX-License-Identifier: Apache-2.0
"""Running an engine with and without the tap, and asking `tensortap` about what was captured.

Standard library only. TENSORTAP_BUILD names the build folder, TENSORTAP_PYTHON the Python that has the engines.
"""
import json
import os
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
BUILD = os.environ["TENSORTAP_BUILD"]
PYTHON = os.environ.get("TENSORTAP_PYTHON", sys.executable)
LIBRARY = os.path.join(BUILD, "lib", "libtensortap.so")
COMMAND = os.path.join(BUILD, "bin", "tensortap")
SKIPPED = 77


class Failed(Exception):
    """What a test found wrong."""


def require(condition, text):
    if not condition:
        raise Failed(text)


def engine(name, *arguments, python=PYTHON):
    """The command line of the Python engine tests/engines/NAME."""
    return [python, os.path.join(HERE, name), *arguments]


def run(command, **settings):
    """The finished process; its environment holds no TENSORTAP_* and no LD_PRELOAD beside `settings`."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("TENSORTAP_") and k != "LD_PRELOAD"}
    environment.update(settings)
    return subprocess.run(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=600)


def run_plain(command):
    """The engine as it is. Ends the test as skipped when the engine says that something is missing."""
    done = run(command)
    if done.returncode == SKIPPED:
        print(done.stdout.decode(), end="")
        sys.exit(SKIPPED)
    return done


def trace(command, folder, **settings):
    """(process, captures): the engine under the tap, capturing into `folder`."""
    os.makedirs(folder, exist_ok=True)
    done = run(command, LD_PRELOAD=LIBRARY, TENSORTAP_OUT=folder, **settings)
    names = sorted(name for name in os.listdir(folder) if name.startswith("tensortap."))
    return done, [os.path.join(folder, name) for name in names]


def trace_alike(command, folder):
    """The one capture of a run that printed and ended exactly as it does without the tap."""
    plain = run_plain(command)
    traced, captures = trace(command, folder)
    require(plain.returncode == 0, f"the engine failed by itself:\n{plain.stderr.decode()}")
    require(traced.returncode == 0, f"status {traced.returncode} under the tap:\n{traced.stderr.decode()}")
    require(plain.stdout and traced.stdout == plain.stdout,
            f"printed without the tap:\n{plain.stdout.decode()}with it:\n{traced.stdout.decode()}")
    require(len(captures) == 1, f"expected one capture, found {captures}")
    return captures[0]


def ask(*arguments, status=None):
    """The JSON document that `tensortap ARGUMENTS --json` prints."""
    done = run([COMMAND, *arguments, "--json"])
    told = f"tensortap {' '.join(arguments)}: status {done.returncode}"
    require(status is None or done.returncode == status,
            f"{told}, expected {status}\n{done.stderr.decode()}{done.stdout.decode()[:4000]}")
    try:
        return json.loads(done.stdout)
    except ValueError:
        raise Failed(f"{told}, no JSON:\n{done.stderr.decode()}") from None


def about(capture):
    """What `tensortap info` tells of one capture."""
    [only] = ask("info", capture, status=0)["captures"]
    return only


def routines(capture):
    """{routine: number of calls} of a capture, from `tensortap info`; batches and the products inside them are
    told apart by their op: {("sgemm_", "matmul"): 88, …}."""
    told = about(capture)
    require(told["finished"], f"{capture} was not closed")
    require(not told["losses"], f"{capture} lost something: {told['losses']}")
    return {(row["routine"], row["op"]): row["calls"] for row in told["routines"]}


def main(cases):
    """Runs the cases named on the command line, all without any."""
    failed = 0
    for name in sys.argv[1:] or cases:
        try:
            cases[name]()
            print(f"ok   {name}")
        except Failed as problem:
            failed += 1
            print(f"FAIL {name}: {problem}")
    sys.exit(1 if failed else 0)
