# SPDX-License-Identifier: Apache-2.0
"""Usage of the command line: help, misspellings, exit statuses, the error document."""
import json
import os
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from checks import check, failed

PROGRAM = os.path.join(os.environ["TENSORTAP_BUILD"], "bin", "tensortap")


def run(*arguments, **more):
    return subprocess.run([PROGRAM, *arguments], capture_output=True, text=True, timeout=60, **more)


def check_error(arguments, status, *words):
    """One line on stderr with these words, nothing on stdout; with --json one document on stdout."""
    done = run(*arguments)
    where = " ".join(arguments)
    check(done.returncode == status, f"{where}: exit {done.returncode}")
    check(done.stdout == "" and done.stderr.count("\n") == 1, f"{where}: {done.stdout!r} {done.stderr!r}")
    for word in words:
        check(word in done.stderr, f"{where}: '{word}' not in {done.stderr!r}")
    done = run(arguments[0], "--json", *arguments[1:])
    check(done.returncode == status, f"{where} --json: exit {done.returncode}")
    document = json.loads(done.stdout)
    check(document["schema"] == "tensortap.error/1" and document["status"] == status, f"{where}: {document}")
    check(document["error"] in done.stderr, f"{where}: document and line differ")


def test_help():
    bare, asked, by_command = run(), run("--help"), run("help")
    check(bare.returncode == 2 and bare.stdout == "" and bare.stderr == asked.stdout, "bare call")
    check(asked.returncode == 0 and asked.stderr == "" and by_command.stdout == asked.stdout, "--help")
    commands = [command["name"] for command in json.loads(run("help", "--json").stdout)["commands"]]
    check({"run", "info", "ls", "show", "repair", "help"} <= set(commands), f"commands {commands}")
    for name in commands:
        page, same = run(name, "--help"), run("help", name)
        check(page.returncode == 0 and page.stdout == same.stdout, f"page of {name}")
        check(page.stdout.startswith(f"tensortap {name} - "), f"page of {name} starts {page.stdout[:40]!r}")
        check(f"usage: tensortap {name} " in page.stdout, f"usage of {name}")
        for line in page.stdout.splitlines():
            check(len(line) <= 80, f"help of {name} is too wide: {line}")
        for option in ("--json", "--md", "--config", "--select", "--strict", "--allow-partial", "--stop-at-first",
                       "--focus", "--model", "--out", "--quiet"):
            check(option in page.stdout, f"{name} without {option}")
    version = run("--version")
    check(version.returncode == 0 and version.stdout.startswith("tensortap "), "version")


def test_errors(folder):
    check_error(["inof"], 2, "did you mean info?")
    check_error(["quantumfoam"], 2, "tensortap help")
    check_error(["info"], 2, "usage: tensortap info")
    check_error(["info", "--selct=x", folder], 2, "did you mean --select?")
    check_error(["info", folder], 2, "no capture here", "tensortap run")
    check_error(["info", os.path.join(folder, "none")], 2, "No such file")
    check_error(["ls", "--select", "layr=3", folder], 2, "did you mean layer?", "character 1")
    check_error(["ls", "--out", os.path.join(folder, "no/such"), folder], 2, "cannot write")
    check_error(["show", folder], 2, "usage: tensortap show")
    check_error(["show", folder, "1.a", "b"], 2, "unexpected argument 'b'")
    check_error(["run"], 125, "usage: tensortap run")
    check_error(["run", "--mode=some", "true"], 125, "off|stats|hash|data")


def test_job_file(folder):
    job = os.path.join(folder, "job.json")
    with open(job, "w") as out:
        json.dump({"command": "help", "json": True, "args": []}, out)
    check(json.loads(run("help", "--config", job).stdout)["schema"] == "tensortap.help/1", "job file")
    check(run("info", "--config", job).returncode == 2, "job of another command")


def main():
    with tempfile.TemporaryDirectory() as folder:
        test_help()
        test_errors(folder)
        test_job_file(folder)
    sys.exit(failed())


main()
