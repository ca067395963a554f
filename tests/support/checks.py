# SPDX-License-Identifier: Apache-2.0
"""Checks that go on after a failure: each is said, and the exit status tells whether there was one."""
_failures = 0


def check(condition, what):
    global _failures
    if not condition:
        print("FAILED:", what)
        _failures += 1


def failed():
    return _failures != 0
