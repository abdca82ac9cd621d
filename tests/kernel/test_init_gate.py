"""The gate: the command stands still behind its execve until whoever asked has looked at it."""

from __future__ import annotations

import errno
import os
import signal
import socket
import subprocess
from pathlib import Path

import pytest

from chrun.runtime.steps import Capabilities, NoNewPrivileges
from tests.support.box import CONTAINER_ID, INIT, TIMEOUT_SECONDS, open_plan, start_init
from tests.support.filters import without_call
from tests.support.guarded import Guarded
from tests.support.needs import needs
from tests.support.waiting import has_taken, wait_until

pytestmark = needs("busybox", "overlay")

BOTH = pytest.mark.parametrize("init", [False, True], ids=["alone", "behind PID 1"])


def status_of(pid):
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {key: content.strip() for key, _, content in (line.partition(":") for line in lines)}


@BOTH
def test_the_command_stands_behind_its_execve_until_the_answer(box, init):
    guarded = Guarded(box.plan("sh", "-c", "echo ran; exit 3", init=init))
    pid = guarded.arrive()
    assert os.readlink(f"/proc/{pid}/exe").endswith("/sh")
    assert sorted(os.listdir(f"/proc/{pid}/fd")) == ["0", "1", "2"]
    # which ends nobody: what the monitor does behind its announcement is done when it took this
    guarded.process.send_signal(signal.SIGWINCH)
    wait_until(lambda: has_taken(guarded.process.pid, signal.SIGWINCH))
    assert status_of(pid)["State"].startswith("t")
    assert guarded.process.poll() is None
    assert guarded.answer() == (3, "ran\n", "")


@BOTH
def test_what_is_seen_at_the_gate_is_what_execve_left(box, init):
    none = Capabilities(0, 0, 0, 0, 0)
    guarded = Guarded(box.plan("true", init=init, after=[none, NoNewPrivileges()]))
    status = status_of(guarded.arrive())
    assert {int(status[name], 16) for name in ("CapPrm", "CapEff", "CapBnd")} == {0}
    assert status["NoNewPrivs"] == "1"
    assert guarded.answer() == (0, "", "")


@BOTH
def test_nothing_of_the_tracing_remains(box, init):
    """Seen from outside: in its own pid namespace a tracer that is not in there is nobody."""
    guarded = Guarded(box.plan("sh", "-c", "echo up; read line", init=init), stdin=subprocess.PIPE)
    pid = guarded.arrive()
    guarded.gate.send(b"+")
    assert guarded.process.stdout.readline() == "up\n"
    first = int(status_of(pid)["PPid"]) if init else pid
    assert [status_of(each)["TracerPid"] for each in (pid, first)] == ["0", "0"]
    guarded.process.stdin.write("line\n")
    assert guarded.end() == (0, "", "")


@BOTH
def test_the_command_can_be_stopped_and_continued_behind_the_gate(box, init):
    script = """
        sh -c 'kill -STOP $$; echo went on' &
        while ! grep -q ' (sh) T' /proc/$!/stat; do :; done
        kill -CONT $!
        wait
    """
    guarded = Guarded(box.plan("sh", "-c", script, init=init))
    guarded.arrive()
    assert guarded.answer() == (0, "went on\n", "")


@BOTH
def test_a_refusal_ends_the_container_before_an_instruction_of_it_ran(box, init):
    guarded = Guarded(box.plan("sh", "-c", "echo ran", init=init))
    pid = guarded.arrive()
    assert guarded.answer(b"-chrun: no\nhint: mend it\n") == (125, "", "chrun: no\nhint: mend it\n")
    assert not Path(f"/proc/{pid}").exists()


@BOTH
def test_without_an_inspector_nothing_runs(box, init):
    guarded = Guarded(box.plan("sh", "-c", "echo ran", init=init))
    guarded.arrive()
    guarded.gate.close()
    status, out, err = guarded.end()
    assert (status, out) == (125, "")
    assert err == "chrun: cannot start the container: nobody is left to look at it first\n"


def test_a_word_that_comes_too_early_opens_nothing(box):
    status, out, _ = Guarded(box.plan("sh", "-c", "echo ran"), early=b"+").end()
    assert (status, out) == (125, "")


@BOTH
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_container_that_stands_at_the_gate(box, init, number):
    guarded = Guarded(box.plan("sh", "-c", "echo ran", init=init))
    guarded.arrive()
    guarded.process.send_signal(number)
    assert guarded.process.wait(TIMEOUT_SECONDS) == 128 + number
    assert guarded.gate.recv(8) == b""
    assert guarded.end()[1:] == ("", "")


@BOTH
def test_the_lifeline_ends_a_container_that_stands_at_the_gate(box, init):
    lifeline, other_end = os.pipe()
    guarded = Guarded(
        box.plan("sh", "-c", "echo ran", init=init), f"lifeline={lifeline}", fds=[lifeline]
    )
    os.close(lifeline)
    guarded.arrive()
    os.close(other_end)
    assert guarded.process.wait(TIMEOUT_SECONDS) == 137
    assert guarded.end()[1:] == ("", "")


@BOTH
def test_a_killed_monitor_takes_who_stands_at_the_gate_along(box, init):
    guarded = Guarded(box.plan("sh", "-c", "echo ran", init=init))
    pid = guarded.arrive()
    guarded.process.kill()
    assert guarded.end()[1:] == ("", "")
    wait_until(lambda: not Path(f"/proc/{pid}").exists())


@BOTH
def test_a_step_that_fails_is_told_as_ever_and_nobody_arrives(box, init):
    guarded = Guarded(box.plan("no-such-command", init=init))
    assert guarded.gate.recv(8) == b""
    status, _, err = guarded.end()
    assert status == 127
    assert 'cannot run "no-such-command"' in err


def test_a_script_arrives_once_as_its_interpreter(box):
    script = "printf '#!/bin/sh\\necho ran\\n' > /tmp/s; chmod +x /tmp/s; exec /tmp/s"
    guarded = Guarded(box.plan("sh", "-c", script))
    guarded.arrive()
    assert guarded.answer() == (0, "ran\n", "")


@BOTH
def test_the_gates_socket_does_not_reach_the_container(box, init):
    script = "ls -l /proc/self/fd /proc/1/fd 2>/dev/null | grep -c socket"
    guarded = Guarded(box.plan("sh", "-c", script, init=init))
    guarded.arrive()
    assert guarded.answer() == (1, "0\n", "")


@needs("no sanitizer")  # which looks for leaks by ptrace(2)
def test_where_ptrace_is_forbidden_the_inspector_hears_it_and_nothing_runs(box):
    """A filter that answers EPERM stands for Yama's scope 3 and for outer containers."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    argv = (INIT, "plan=0", f"id={CONTAINER_ID}", "gate=1")
    outer = without_call("ptrace", errno.EPERM, argv)
    plan_fd = open_plan(box.plan("sh", "-c", "echo ran"))
    process = start_init(outer, stdin=plan_fd, stdout=theirs.fileno())
    theirs.close()
    os.close(plan_fd)
    with ours:
        ours.settimeout(TIMEOUT_SECONDS)
        assert ours.recv(8) == bytes(4) + errno.EPERM.to_bytes(4, "little")
        ours.send(b"-chrun: it is forbidden\n")
        _, err = process.communicate(timeout=TIMEOUT_SECONDS)
    assert (process.returncode, err) == (125, "chrun: it is forbidden\n")
