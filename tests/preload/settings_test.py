# SPDX-License-Identifier: Apache-2.0
"""TENSORTAP_* variables, the configuration file, and disks that refuse."""
import json
import os
import subprocess
import tempfile

import tap

SCENES = os.path.join(os.environ["TENSORTAP_ROOM"], "preload-scenes")


def tapped(*words, **settings):
    """A tapped run that behaves like a plain one."""
    with tap.Run([SCENES, *words], tapped=False) as plain:
        run = tap.Run([SCENES, *words], **settings)
        tap.same_behaviour(plain, run)
        return run


def problems(run):
    return " ".join(tap.only_capture(run)[1]["manifest"].get("problems", []))


def test_modes():
    for mode, kept, readable in (("stats", 3, False), ("hash", 2, False), ("data", 1, True)):
        with tapped("once", TENSORTAP_MODE=mode) as run:
            calls, _ = tap.only_capture(run)
        for operand in calls[0]["operands"]:
            assert operand["kept"] == kept and operand["stats"], (mode, operand)
            assert (operand["values"] is not None) == readable


def test_wrong_mode_is_told_and_capture_goes_on():
    with tapped("once", TENSORTAP_MODE="everything") as run:
        assert "TENSORTAP_MODE=everything" in problems(run), problems(run)


def test_limit():
    with tapped("many", "20", "200", TENSORTAP_LIMIT="1M") as run:
        calls, summary = tap.only_capture(run)
        size = sum(os.path.getsize(os.path.join(run.captures()[0], name)) for name in os.listdir(run.captures()[0])
                   if name.endswith(".safetensors"))
    assert len(calls) == 20 and all(o["stats"] for call in calls for o in call["operands"])
    assert size <= 1.5 * 2**20, size
    assert "budget" in summary["losses"], summary


def test_wrong_limit_is_told():
    with tapped("once", TENSORTAP_LIMIT="lots") as run:
        assert "TENSORTAP_LIMIT=lots" in problems(run)


def test_programs():
    with tapped("once", TENSORTAP_PROGRAMS="nobody,preload-sc*") as run:
        assert len(run.captures()) == 1
    with tapped("once", TENSORTAP_PROGRAMS="nobody:else") as run:
        assert run.captures() == []


def test_select():
    with tapped("once", TENSORTAP_SELECT="op=dot") as run:
        calls, _ = tap.only_capture(run) if run.captures() else ([], None)
    assert all(o["values"] is None for call in calls for o in call["operands"])


def test_select_chooses_the_products_of_a_batch():
    program = os.path.join(os.environ["TENSORTAP_ROOM"], "preload-calls-lp64")
    for select, ops in (("op=matmul", {"matmul", "matmul_batch"}), ("op=matmul_batch", {"matmul_batch"}),
                        ("op=dot", {"dot"})):
        with tap.Run([program, os.devnull], check=7, TENSORTAP_SELECT=select) as run:
            calls, summary = tap.only_capture(run)
        assert {call["op"] for call in calls} == ops, (select, {call["op"] for call in calls})
        assert any(call["parent"] for call in calls) == (select == "op=matmul"), select
        assert "filtered" in summary["losses"], summary["losses"]


def with_config(text, *words, **settings):
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        file.write(text)
        file.flush()
        return tapped(*words, TENSORTAP_CONFIG=file.name, **settings)


def test_config_file():
    with with_config('{"mode": "stats", "limit": 1000000, "programs": "preload-*"}', "once") as run:
        calls, summary = tap.only_capture(run)
    assert all(o["kept"] == 3 for o in calls[0]["operands"])
    assert summary["manifest"]["configuration"]["limit"] == "1000000"


def test_environment_wins_over_config_file():
    with with_config('{"mode": "off"}', "once", TENSORTAP_MODE="data") as run:
        calls, _ = tap.only_capture(run)
    assert calls[0]["operands"][0]["values"]


def test_bad_config_files_are_told():
    for text in ('{"mode": "stats"', '["mode"]', '{"mode": {"deep": 1}}', '{"mode" "stats"}', "", '{"mode":"stats"} x'):
        with with_config(text, "once") as run:
            assert "TENSORTAP_CONFIG" in problems(run), text
    with with_config('{"mood": "stats"}', "once") as run:
        assert 'unknown key "mood"' in problems(run)
    with tapped("once", TENSORTAP_CONFIG="/no/such/file.json") as run:
        assert "/no/such/file.json" in problems(run)


def test_odd_text_keeps_the_manifest_valid():
    with tapped("once", TENSORTAP_STACK='a"b\\c\x01\xff', TENSORTAP_MODE="\u00e9\u20ac") as run:
        captures = run.captures()
        json.load(open(os.path.join(captures[0], "manifest.json"), encoding="utf-8"))


def test_unwritable_directory():
    with tapped("once", TENSORTAP_OUT="/proc/nowhere") as run:
        assert os.listdir(run.directory) == []
    with tempfile.NamedTemporaryFile() as file:
        tapped("once", TENSORTAP_OUT=file.name).__exit__()


def test_full_disk():
    """A file system of 1 MiB, when this user may mount one; else a limit on file sizes."""
    with tapped("limited", "20", "300"):
        pass
    with tempfile.TemporaryDirectory() as mount:
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", mount], stderr=subprocess.DEVNULL)
        if done.returncode != 0:
            return
        try:
            run = tapped("many", "20", "300", directory=mount)
            calls, summary = tap.only_capture(run)
            assert calls and summary["losses"], summary
        finally:
            subprocess.run(["umount", mount], check=True)


def test_no_file_descriptors_left():
    command = ["/bin/sh", "-c", 'ulimit -n 5; exec "$0" many 3 50', SCENES]
    with tap.Run(command, tapped=False, check=0) as plain, tap.Run(command) as run:
        tap.same_behaviour(plain, run)


tap.main(globals())
