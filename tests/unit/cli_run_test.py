# SPDX-License-Identifier: Apache-2.0
"""tensortap run as a wrapper: streams, statuses, signals, terminal, environment. What is preloaded does not matter
for that, so the C mathematics library stands in where the tap is not built."""
import ctypes.util
import json
import os
import pty
import signal
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from checks import check, failed

BUILD = os.environ["TENSORTAP_BUILD"]
PROGRAM = os.path.join(BUILD, "bin", "tensortap")
TAP = os.path.join(BUILD, "lib", "libtensortap.so")


def stand_in():
    name = ctypes.util.find_library("m")
    for folder in ("/lib/x86_64-linux-gnu", "/lib/aarch64-linux-gnu", "/lib64", "/usr/lib64", "/usr/lib", "/lib"):
        if name and os.path.exists(os.path.join(folder, name)):
            return os.path.join(folder, name)
    print("skipped: no library to preload")
    sys.exit(77)


def environment(folder, **more):
    base = {key: value for key, value in os.environ.items() if not key.startswith("TENSORTAP_")}
    return {**base, "TENSORTAP_LIBRARY": TAP if os.path.exists(TAP) else stand_in(), "TENSORTAP_OUT": folder, **more}


def run(folder, *arguments, **more):
    more.setdefault("env", environment(folder))
    return subprocess.run([PROGRAM, "run", *arguments], capture_output=True, text=True, timeout=60, **more)


def test_streams_and_status(folder):
    done = run(folder, "--", "sh", "-c", "cat; echo err >&2; exit 7", input="hello\n")
    check(done.returncode == 7 and done.stdout == "hello\n", f"{done}")
    check(done.stderr.startswith("err\n") and "nothing captured" in done.stderr, f"{done.stderr!r}")
    quiet = run(folder, "-q", "sh", "-c", "echo err >&2")
    check(quiet.stderr == "err\n", f"quiet: {quiet.stderr!r}")
    check(run(folder, "sh", "-c", "kill -9 $$").returncode == 137, "ended by a signal")
    check("signal 9" in run(folder, "sh", "-c", "kill -9 $$").stderr, "the signal is told")
    check(run(folder, "/no/such/program").returncode == 127, "not found")
    check(run(folder, "/etc/passwd").returncode == 126, "not executable")


def test_document(folder):
    done = run(folder, "--json", "--", "sh", "-c", "exit 3")
    document = json.loads(done.stdout)
    check(done.returncode == 3 and document["schema"] == "tensortap.run/1", f"{done}")
    check(document["status"] == 3 and document["captures"] == [] and document["nothing_captured"], f"{document}")
    done = run(folder, "--json", "/no/such/program")
    check(done.returncode == 127 and json.loads(done.stdout)["status"] == 127, f"{done}")


def test_environment(folder):
    out = os.path.join(folder, "made", "deep")
    done = run(folder, "-q", "-o", out, "--mode", "stats", "--limit", "1.5K", "--passes", "0-3,7", "--select",
               "op=mat*|dot,role!=a", "--programs", "a*", "--live", "--stack=9", "env",
               env=environment(folder, LD_PRELOAD="/x/first.so"))
    found = dict(line.split("=", 1) for line in done.stdout.splitlines() if "=" in line)
    expected = {"TENSORTAP_OUT": out, "TENSORTAP_MODE": "stats", "TENSORTAP_LIMIT": "1536", "TENSORTAP_PASSES": "0-3,7",
                "TENSORTAP_SELECT": "op=mat*,dot,role!=a", "TENSORTAP_PROGRAMS": "a*", "TENSORTAP_LIVE": "1",
                "TENSORTAP_STACK": "9"}
    for key, value in expected.items():
        check(found.get(key) == value, f"{key} is {found.get(key)!r}")
    check(found["LD_PRELOAD"].endswith(":/x/first.so") and ".so" in found["LD_PRELOAD"].split(":")[0],
          found["LD_PRELOAD"])
    check(os.path.isdir(out), "the directory is made")


def test_set_up_failures(folder):
    plain = os.path.join(folder, "file")
    open(plain, "w").close()
    closed = os.path.join(folder, "closed")
    os.mkdir(closed, 0o500)
    refused = [["-o", plain], ["-o", "/proc/none"], ["--passes", "3-x"], ["--select", "layer=x"], ["--select", "pass=-1"], ["--limit", "many"],
               ["--nothing"]]
    if os.geteuid() != 0:
        refused.append(["-o", closed])
    for arguments in refused:
        done = run(folder, *arguments, "--", "echo", "ran")
        check(done.returncode == 125 and done.stdout == "" and done.stderr.count("\n") == 1, f"{arguments}: {done}")
    done = run(folder, "echo", "ran", env=environment(folder, TENSORTAP_LIBRARY="/no/such.so"))
    check(done.returncode == 125 and "/no/such.so" in done.stderr, f"{done}")


def test_signals(folder):
    """A signal to us alone reaches the program; it decides about the status."""
    script = "trap 'echo got; exit 5' TERM; echo ready; while :; do sleep 0.05; done"
    child = subprocess.Popen([PROGRAM, "run", "-q", "sh", "-c", script], stdout=subprocess.PIPE, text=True,
                             env=environment(folder), start_new_session=True)
    check(child.stdout.readline() == "ready\n", "start")
    os.kill(child.pid, signal.SIGTERM)
    check(child.stdout.readline() == "got\n" and child.wait(20) == 5, f"SIGTERM gives {child.returncode}")
    inherited = "import signal; print(signal.getsignal(signal.SIGCHLD) == signal.SIG_IGN, " \
                "signal.pthread_sigmask(signal.SIG_BLOCK, [])  == set())"
    done = run(folder, "-q", sys.executable, "-c", inherited,
               preexec_fn=lambda: signal.signal(signal.SIGCHLD, signal.SIG_IGN))
    check(done.stdout == "True True\n" and done.returncode == 0, f"dispositions: {done}")


def read_until(descriptor, text, seconds=20):
    seen, end = "", time.time() + seconds
    while text not in seen and time.time() < end:
        try:
            seen += os.read(descriptor, 4096).decode(errors="replace")
        except OSError:
            break
    return seen


def test_terminal(folder):
    """Ctrl-C reaches the program once and we wait for what it makes of it."""
    script = "trap 'echo got; sleep 0.2; exit 6' INT; echo ready; while :; do sleep 0.05; done"
    pid, terminal = pty.fork()
    if pid == 0:
        os.execve(PROGRAM, [PROGRAM, "run", "-q", "sh", "-c", script], environment(folder))
    check("ready" in read_until(terminal, "ready"), "start on a terminal")
    os.write(terminal, b"\x03")
    seen = read_until(terminal, "nothing of this")
    _, status = os.waitpid(pid, 0)
    check(os.WIFEXITED(status) and os.WEXITSTATUS(status) == 6, f"Ctrl-C gives {status}")
    check(seen.count("got") == 1, f"Ctrl-C arrived {seen.count('got')} times")


def test_reasons(folder):
    if not os.path.exists("/sbin/ldconfig"):
        return
    kind = subprocess.run(["readelf", "-l", "/sbin/ldconfig"], capture_output=True, text=True)
    if kind.returncode == 0 and "INTERP" not in kind.stdout:
        check("static executable" in run(folder, "/sbin/ldconfig", "-p").stderr, "static executable")
    check("import no BLAS routine" in run(folder, "true").stderr, "no BLAS")
    check("the mode is off" in run(folder, "--mode=off", "true").stderr, "mode off")


def test_capture(folder):
    """With the tap and a numpy: the last lines and the document tell what info tells."""
    if not os.path.exists(TAP) or subprocess.run([sys.executable, "-c", "import numpy"], capture_output=True).returncode:
        print("not tried: capturing, there is no tap or no numpy")
        return
    product = "import numpy as np; a = np.ones((9, 8), 'f4'); print((a @ np.ones((8, 7), 'f4'))[0, 0])"
    done = run(folder, "--json", "-o", os.path.join(folder, "captures"), "--", sys.executable, "-c", product)
    own, _, text = done.stdout.partition("\n")
    document = json.loads(text)
    check(done.returncode == 0 and own == "8.0", f"{done}")
    check(len(document["captures"]) == 1 and document["captures"][0]["operands"] >= 3, f"{document}")
    path = document["captures"][0]["capture"]
    lines = done.stderr.splitlines()
    check(lines[0].startswith(f"tensortap: {path}: ") and "matmul" in lines[0], f"{lines}")
    check(lines[-1].startswith("tensortap: next: tensortap ") and lines[-1].endswith(path), f"{lines}")
    info = json.loads(subprocess.run([PROGRAM, "info", "--json", path], capture_output=True, text=True).stdout)
    for key in ("calls", "operands", "epochs", "kept"):
        check(info["captures"][0][key] == document["captures"][0][key], key)
    shapes = [t["shape"] for t in json.loads(subprocess.run([PROGRAM, "ls", "--json", path], capture_output=True,
                                                            text=True).stdout)["captures"][0]["tensors"]]
    check([9, 8] in shapes and [9, 7] in shapes, f"{shapes}")


def main():
    with tempfile.TemporaryDirectory() as folder:
        for test in (test_streams_and_status, test_document, test_environment, test_set_up_failures, test_signals,
                     test_terminal, test_reasons, test_capture):
            test(folder)
    sys.exit(failed())


main()
