# SPDX-License-Identifier: Apache-2.0
"""Running a program with and without the tap, and reading what it captured. Standard library only.

The build sets TENSORTAP_LIBRARY (libtensortap.so) and TENSORTAP_DUMP (the program dump)."""
import json
import os
import shutil
import subprocess
import sys
import tempfile

LIBRARY = os.environ["TENSORTAP_LIBRARY"]
DUMP = os.environ["TENSORTAP_DUMP"]
SKIPPED = 77


def skip(why):
    print("skipped:", why)
    sys.exit(SKIPPED)


def clean_environment(settings):
    environment = {k: v for k, v in os.environ.items() if not k.startswith("TENSORTAP_") and k != "LD_PRELOAD"}
    environment.setdefault("ASAN_OPTIONS", "detect_leaks=0")
    environment.update({k: str(v) for k, v in settings.items()})
    return environment


def preload_list():
    """The library, behind the sanitizers' run-time libraries when it was built with them: those must be first."""
    needed = subprocess.run(["ldd", LIBRARY], stdout=subprocess.PIPE, check=True).stdout.decode().split()
    return " ".join([path for path in needed if path.startswith("/") and "san.so" in path] + [LIBRARY])


PRELOAD = preload_list()
SANITIZED = PRELOAD != LIBRARY


class Run:
    """One run: status, stdout, stderr; captures below `directory`."""

    def __init__(self, command, tapped=True, directory=None, check=None, cwd=None, **settings):
        self.directory = directory or tempfile.mkdtemp(prefix="tap-")
        self.owned = directory is None
        if tapped:
            settings.setdefault("LD_PRELOAD", PRELOAD)
            settings.setdefault("TENSORTAP_OUT", self.directory)
        done = subprocess.run(command, env=clean_environment(settings), stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, cwd=cwd, timeout=300)
        self.status, self.stdout, self.stderr = done.returncode, done.stdout, done.stderr
        if check is not None and self.status != check:
            raise AssertionError(f"{command}: status {self.status}, expected {check}\n{self.stderr.decode()}")

    def captures(self):
        return sorted(os.path.join(self.directory, name) for name in os.listdir(self.directory)
                      if name.startswith("tensortap."))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.owned:
            shutil.rmtree(self.directory, ignore_errors=True)


def dump(capture):
    """(calls, summary) of one capture."""
    text = subprocess.run([DUMP, capture], stdout=subprocess.PIPE, check=True).stdout.decode()
    lines = [json.loads(line) for line in text.splitlines()]
    return lines[:-1], lines[-1]


def only_capture(run):
    captures = run.captures()
    assert len(captures) == 1, f"{len(captures)} captures: {captures}\n{run.stderr.decode()}"
    return dump(captures[0])


def same_behaviour(plain, tapped):
    assert tapped.status == plain.status, (plain.status, tapped.status, tapped.stderr)
    assert tapped.stdout == plain.stdout, "stdout differs under the tap"
    assert tapped.stderr == plain.stderr, ("stderr differs", tapped.stderr)


def main(tests):
    """Runs the functions of `tests` whose names contain an argument, all without arguments."""
    failed = 0
    for name, test in sorted(tests.items()):
        if not name.startswith("test_") or (sys.argv[1:] and not any(word in name for word in sys.argv[1:])):
            continue
        try:
            test()
            print("ok  ", name)
        except (AssertionError, subprocess.SubprocessError, OSError, KeyError, IndexError) as error:
            failed += 1
            print("FAIL", name, type(error).__name__, error)
    sys.exit(1 if failed else 0)
