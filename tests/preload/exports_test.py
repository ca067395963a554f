# SPDX-License-Identifier: Apache-2.0
"""exports_test.py COMPILER: libtensortap.so exports what its table and this list say, needs libc only, and
tests/preload/calls.c calls every routine of the table."""
import os
import re
import subprocess
import sys

LIBRARY, SOURCE = os.environ["TENSORTAP_LIBRARY"], os.environ["TENSORTAP_SOURCE"]
PRELOAD = os.path.join(SOURCE, "preload")
OTHERS = {
    "_exit", "_Exit", "dlclose",
    "tensortap_mark", "tensortap_pass", "tensortap_start", "tensortap_stop", "tensortap_dtype",
    "tensortap_call_begin", "tensortap_call_attr_i64", "tensortap_call_attr_f64", "tensortap_call_attr_str",
    "tensortap_call_announce", "tensortap_call_operand", "tensortap_call_end",
}
ALLOWED_LIBRARIES = re.compile(r"^(libc|libpthread|libdl|ld-linux-[a-z0-9_-]+)\.so\.\d+$")


def output(*command, text=None):
    return subprocess.run(command, input=text, stdout=subprocess.PIPE, check=True, universal_newlines=True).stdout


def table_names():
    source = "#define TT_NAMES_ONLY 1\n#define TT_NAME_LINE(NAME) @NAME@\n#include \"blas/names.h\"\n"
    return set(re.findall(r"@(\w+)@", output(sys.argv[1], "-E", "-P", "-x", "c", "-I", PRELOAD, "-", text=source)))


def table_routines():
    text = open(os.path.join(PRELOAD, "blas", "routines.h")).read()
    return re.findall(r"^    X\((\w+), \w+,", text, re.M)


def exported():
    lines = output("nm", "-D", "--defined-only", LIBRARY).split("\n")
    return {line.split()[-1] for line in lines if line}


def check_exports():
    expected, have = table_names() | OTHERS, exported()
    assert len(table_names()) > 20 * len(table_routines())
    assert have == expected, f"missing {sorted(expected - have)[:5]}, surplus {sorted(have - expected)[:5]}"


def check_needed():
    needed = re.findall(r"NEEDED.*\[(.*)\]", output("readelf", "-dW", LIBRARY))
    if any("san" in name for name in needed):
        return  # a sanitizer build needs its run-time library
    strangers = [name for name in needed if not ALLOWED_LIBRARIES.match(name)]
    assert not strangers, strangers


def check_tests_cover_table():
    text = open(os.path.join(SOURCE, "tests", "preload", "calls.c")).read()
    called = re.findall(r"^    X\((\w+), \w+,", text, re.M)
    assert sorted(called) == sorted(table_routines()), set(called) ^ set(table_routines())


check_exports()
check_needed()
check_tests_cover_table()
