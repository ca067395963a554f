# SPDX-License-Identifier: Apache-2.0
"""Programs that fork, die, thread, load plugins: they behave as without the tap, and the capture is right."""
import os
import subprocess

import tap

ROOM = os.environ["TENSORTAP_ROOM"]
SCENES = os.path.join(ROOM, "preload-scenes")


def scene(*words):
    return [SCENES, *words]


def both(command, **settings):
    """Runs without and with the tap, demands the same behaviour; returns the tapped run."""
    with tap.Run(command, tapped=False) as plain:
        tapped = tap.Run(command, **settings)
        tap.same_behaviour(plain, tapped)
        return tapped


def finished_with(run, ncalls):
    calls, summary = tap.only_capture(run)
    assert summary["finished"], "no end record"
    assert len(calls) == ncalls, f"{len(calls)} calls, expected {ncalls}"
    return calls, summary


def test_plain_run_records_one_call():
    with both(scene("once")) as run:
        calls, _ = finished_with(run, 1)
    assert calls[0]["routine"] == "cblas_sgemm"
    assert calls[0]["operands"][0]["values"] == [1, 2, 3, 4, 5, 6]
    assert calls[0]["attributes"]["order"] == "row" and calls[0]["attributes"]["k"] == 3


def test_nothing_set_writes_below_current_directory():
    with tap.Run(scene("nothing"), tapped=False) as plain:  # gives a folder
        done = subprocess.run(scene("once"), cwd=plain.directory, stdout=subprocess.DEVNULL,
                              env=tap.clean_environment({"LD_PRELOAD": tap.PRELOAD}))
        assert done.returncode == 3
        calls, _ = tap.only_capture(plain)
        assert len(calls) == 1


def test_program_without_tapped_call_leaves_nothing():
    with both(scene("nothing")) as run:
        assert os.listdir(run.directory) == []
    with both(["/bin/ls", "/"]) as run:
        assert os.listdir(run.directory) == []


def test_mode_off_leaves_nothing():
    with both(scene("once"), TENSORTAP_MODE="off") as run:
        assert os.listdir(run.directory) == []


def test_every_way_to_exit_closes_the_capture():
    for name in ("_exit", "_Exit", "quick_exit"):
        with both(scene(name)) as run:
            finished_with(run, 1)


def test_killed_program_loses_nothing_complete():
    with both(scene("kill")) as run:
        assert run.status == -9
        calls, summary = tap.only_capture(run)
    assert len(calls) == 20 and all(call["ended"] for call in calls)
    assert not summary["finished"]
    assert all(o["values"] is not None for call in calls for o in call["operands"])


def test_exit_inside_a_signal_handler_does_not_hang():
    for _ in range(8):
        with both(scene("exit_in_handler")) as run:
            calls, _ = tap.only_capture(run)
            assert len(calls) == 1


def test_fork_gives_each_process_a_capture():
    with both(scene("fork")) as run:
        captures = [tap.dump(c) for c in run.captures()]
    assert sorted(len(calls) for calls, _ in captures) == [1, 2], captures
    assert all(summary["finished"] for _, summary in captures)
    child = next(calls for calls, _ in captures if len(calls) == 1)
    assert child[0]["operands"][0]["values"][0] == 10


def test_vfork_leaves_the_parent_whole():
    for name in ("vfork_exec", "vfork_fail"):
        with both(scene(name)) as run:
            finished_with(run, 2)


def test_exec_keeps_what_was_before():
    with both(scene("exec")) as run:
        captures = [tap.dump(c) for c in run.captures()]
    assert [len(calls) for calls, _ in captures] == [1, 1]


def test_threads():
    with both(scene("threads")) as run:
        calls, _ = finished_with(run, 1600)
    assert len({call["thread"] for call in calls}) == 8
    assert all(call["ended"] for call in calls)


def test_exit_while_threads_compute():
    for _ in range(3):
        with both([SCENES + "-stub", "busy_exit"]) as run:
            calls, _ = tap.only_capture(run)
            assert len(calls) > 4


def test_fork_under_busy_threads():
    with both([SCENES + "-stub", "busy_fork"]) as run:
        captures = [(path, *tap.dump(path)) for path in run.captures()]
    children = [(calls, summary) for _, calls, summary in captures if len(calls) == 1]
    assert len(captures) == 9 and len(children) == 8, [len(calls) for _, calls, _ in captures]
    assert all(summary["finished"] and calls[0]["operands"][0]["values"][0] == 100 for calls, summary in children)


def test_errno_and_float_environment_are_the_programs():
    both(scene("environment")).__exit__()


def test_unmasked_traps_meet_nan():
    with both(scene("traps")) as run:
        calls, _ = tap.only_capture(run)
    assert [call["op"] for call in calls] == ["axpy", "axpy"]


def test_invalid_and_empty_calls_have_no_operands():
    with both(scene("invalid")) as run:
        calls, _ = finished_with(run, 6)
    assert all(call["attributes"].get("invalid") == 1 and not call["operands"] for call in calls), calls


def test_alpha_zero_reads_no_inputs():
    with both(scene("alpha_zero")) as run:
        calls, _ = finished_with(run, 1)
    assert [(o["role"], o["when"]) for o in calls[0]["operands"]] == [("c", "before"), ("c", "after")]


def test_marks_start_and_stop():
    with both(scene("marks")) as run:
        calls, summary = finished_with(run, 3)
    assert "first" in summary["marks"] and "second pass" in summary["marks"], summary["marks"]
    assert calls[1]["epoch"] > calls[0]["epoch"]
    assert [call["operands"][0]["values"][0] for call in calls] == [1, 2, 4]


def test_glue_interface():
    with both(scene("glue")) as run:
        calls, _ = finished_with(run, 2)
    outer, inner = calls
    assert (outer["tap"], outer["op"], outer["routine"]) == ("python", "linear", "torch.linear")
    assert outer["attributes"] == {"features": 3, "scale": 0.5, "module": "layers.0.q_proj"}
    assert inner["parent"] == outer["id"] and inner["tap"] == "blas"
    assert outer["operands"][0]["values"] == [1, 2, 3, 4, 5, 6]
    assert outer["operands"][1]["values"] == [1, 4, 2, 5, 3, 6]


def test_a_pass_begins_with_the_call_whose_announced_weight_recurs():
    with both(scene("glue_passes")) as run:
        calls, _ = finished_with(run, 9)
    epochs = [call["epoch"] for call in calls]
    assert epochs == [0, 0, 0, 1, 1, 1, 2, 2, 2], epochs
    assert [call["operands"][0]["values"][0] for call in calls] == epochs


def plugins(*names):
    return [os.path.join(ROOM, f"libpreload-plugin-{name}.so") for name in names]


def test_each_plugin_reaches_its_own_blas():
    """1·4+2·4·2+… = 56, plus the library's tag; RTLD_NEXT knows neither library."""
    for flags in ("local",) if tap.SANITIZED else ("local", "deep"):  # sanitizers refuse RTLD_DEEPBIND
        with both([os.path.join(ROOM, "preload-host"), flags, *plugins("one", "two")]) as run:
            assert run.stdout.split() == [b"156", b"256", b"256", b"156"], run.stdout
            if flags == "local":
                calls, _ = finished_with(run, 8)
                dots = [call["operands"][-1]["values"] for call in calls if call["op"] == "dot"]
                assert dots == [[156], [256], [256], [156]], dots


def test_global_plugins_share_the_first_blas():
    with both([os.path.join(ROOM, "preload-host"), "global", *plugins("one", "two")]) as run:
        finished_with(run, 8)


def test_functions_that_only_share_a_name():
    with both([os.path.join(ROOM, "preload-own-names-user")]) as run:
        assert os.listdir(run.directory) == []


def test_upper_case_names():
    with both([os.path.join(ROOM, "preload-upper")]) as run:
        calls, _ = finished_with(run, 2)
    assert [call["routine"] for call in calls] == ["SGEMM", "DDOT"]
    assert calls[0]["operands"][-1]["values"] == [35, 44, 44, 56]


tap.main(globals())
