"""Signals to the monitor, and how containers end before their time."""

from __future__ import annotations

import os
import select
import signal
import time
from pathlib import Path

import pytest

from chrun.runtime.plan import RemoveTree
from chrun.runtime.steps import Bind, User
from tests.support.box import TIMEOUT_SECONDS, start_init
from tests.support.needs import needs
from tests.support.processes import children_of, first_process
from tests.support.waiting import has_taken, unread_bytes, wait_until

pytestmark = needs("busybox", "overlay")

_OPTIONS = {"init": bool, "words": tuple, "fds": tuple}
READY = "echo ready; while :; do sleep 0.05; done"


def start(box, script, **options):
    """Start a shell script that says `ready` when it is."""
    init, words, fds = (options.pop(key, kind()) for key, kind in _OPTIONS.items())
    process = start_init(box.plan("sh", "-c", script, init=init, **options), *words, fds=fds)
    assert process.stdout.readline() == "ready\n"
    return process


def start_sleep(box, *, init=False):
    """Start a program that does nothing about signals, unlike a shell before its exec."""
    process = start_init(box.plan("sleep", "1000", init=init))
    wait_until(lambda: "sleep" in names_below(process.pid))
    return process


def names_below(pid):
    names = []
    for child in children_of(pid):
        names += [Path(f"/proc/{child}/comm").read_text().strip(), *names_below(child)]
    return names


def end(process):
    out, err = process.communicate(timeout=TIMEOUT_SECONDS)
    return process.returncode, out, err


def state_of(pid):
    return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("init", [False, True])
def test_a_signal_ends_a_container_that_does_nothing_about_it(box, number, init):
    # the kernel would spare a PID 1 without a handler
    process = start_sleep(box, init=init)
    process.send_signal(number)
    assert end(process) == (128 + number, "", "")


@pytest.mark.parametrize("init", [False, True])
def test_a_signal_that_is_caught_is_the_containers_to_handle(box, init):
    process = start(box, f"trap 'echo caught; exit 7' TERM; {READY}", init=init)
    process.terminate()
    assert end(process)[:2] == (7, "caught\n")


def test_a_signal_that_is_ignored_does_nothing(box):
    process = start(box, "trap '' TERM; trap 'exit 9' USR1; " + READY)
    process.terminate()
    wait_until(lambda: has_taken(process.pid, signal.SIGTERM))
    process.send_signal(signal.SIGUSR1)
    assert end(process)[0] == 9


@pytest.mark.parametrize("moment", range(20))
def test_a_signal_before_the_command_runs_ends_the_container_too(box, moment):
    process = start_init(box.plan("sleep", "1000"))
    time.sleep(moment * 0.0002)
    process.terminate()
    # -15 where it came before the monitor began to take signals
    assert end(process)[0] in {-signal.SIGTERM, 128 + signal.SIGTERM}


def test_kill_9_of_the_monitor_ends_the_whole_container(box):
    process = start(box, f"sleep 1000 & {READY}")
    first = first_process(process.pid)
    wait_until(lambda: children_of(first))
    family = [*children_of(process.pid), first, *children_of(first)]
    process.kill()
    process.wait()
    wait_until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in family))
    process.stdout.close()
    process.stderr.close()


@needs("root")
def test_kill_9_of_the_monitor_ends_a_container_of_another_user(box):
    process = start(box, READY, after=[User(1000, 1000, (), False)])
    first = first_process(process.pid)
    process.kill()
    process.wait()
    wait_until(lambda: not Path(f"/proc/{first}").exists())
    process.stdout.close()
    process.stderr.close()


@pytest.mark.parametrize("moment", range(20))
def test_kill_9_of_the_monitor_at_any_moment_leaves_no_process(box, moment):
    reader, writer = os.pipe()
    plan = box.plan("sleep", "1000")
    process = start_init(plan, stdout=writer, stderr=writer)
    os.close(writer)
    time.sleep(moment * 0.0002)
    process.kill()
    process.wait()
    # every process of the container holds the pipe: it ends when they have all ended
    assert select.select([reader], [], [], TIMEOUT_SECONDS)[0]
    assert os.read(reader, 100) == b""
    os.close(reader)


@pytest.mark.parametrize("init", [False, True])
def test_the_end_of_the_lifeline_ends_the_container_and_cleans_up(box, tmp_path, init):
    scratch = tmp_path / "scratch"
    (scratch / "deep" / "er").mkdir(parents=True)
    reader, writer = os.pipe()
    process = start(
        box,
        f"trap 'echo alive' USR1; {READY}",
        init=init,
        words=(f"lifeline={reader}", f"scratch={scratch}"),
        fds=(reader,),
        cleanup=[RemoveTree("%")],
    )
    os.close(reader)
    os.write(writer, b"bytes do not matter")
    wait_until(lambda: unread_bytes(writer) == 0)
    process.send_signal(signal.SIGUSR1)
    assert process.stdout.readline() == "alive\n"
    os.close(writer)
    assert end(process)[0] == 137
    assert not scratch.exists()


def test_a_stopped_container_stops_with_its_monitor_and_goes_on_with_it(box):
    process = start_sleep(box)
    first = first_process(process.pid)
    process.send_signal(signal.SIGTSTP)
    wait_until(lambda: state_of(process.pid) == "T" and state_of(first) == "T")
    process.send_signal(signal.SIGCONT)
    wait_until(lambda: state_of(first) != "T")
    process.terminate()
    assert end(process)[0] == 143


def test_a_container_under_init_is_stopped_too(box):
    process = start_sleep(box, init=True)
    first = first_process(process.pid)
    (command,) = children_of(first)
    process.send_signal(signal.SIGTSTP)
    wait_until(lambda: state_of(process.pid) == "T" and state_of(command) == "T")
    process.send_signal(signal.SIGCONT)
    wait_until(lambda: state_of(command) != "T")
    process.terminate()
    assert end(process)[0] == 143


def test_signals_that_the_caller_ignores_stay_ignored_but_sigchld_and_pythons(box):
    def ignore():
        for number in (signal.SIGCHLD, signal.SIGPIPE, signal.SIGXFSZ, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)

    process = start_init(box.plan("grep", "SigIgn", "/proc/self/status"), preexec_fn=ignore)
    status, out, _ = end(process)
    assert (status, int(out.split()[1], 16)) == (0, 1 << signal.SIGHUP - 1)


def test_a_broken_pipe_ends_the_command_as_in_a_shell(box):
    process = start_init(box.plan("yes"))
    process.stdout.readline()
    process.stdout.close()
    process.stderr.close()
    assert process.wait(TIMEOUT_SECONDS) != 0


def test_the_first_failure_stands_when_clean_up_fails_too(box, tmp_path):
    plan = box.plan("sh", "-c", "exit 5", cleanup=[RemoveTree("%/missing")])
    process = start_init(plan, f"scratch={tmp_path}")
    status, _, err = end(process)
    assert (status, err) == (
        5,
        "chrun: cannot remove the scratch directory: no such file or directory\n",
    )


def test_clean_up_runs_after_a_step_failed(box, tmp_path):
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    plan = box.plan(
        "true", inside=[Bind("/nonexistent", "/x", False, 0)], cleanup=[RemoveTree("%")]
    )
    status, _, _ = end(start_init(plan, f"scratch={scratch}"))
    assert status == 125
    assert not scratch.exists()


@needs("no sanitizer")  # which needs memory of its own
def test_the_monitor_is_small(box):
    process = start(box, READY)
    rollup = Path(f"/proc/{process.pid}/smaps_rollup").read_text()
    process.terminate()
    end(process)
    resident_kilobytes = next(int(line.split()[1]) for line in rollup.splitlines() if "Rss" in line)
    assert resident_kilobytes < 1000  # with musl 100, with glibc 700
