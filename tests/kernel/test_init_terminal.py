"""The container's own terminal, as the caller's terminal or pipe sees it."""

from __future__ import annotations

import fcntl
import mmap
import os
import pty
import select
import signal
import struct
import subprocess
import termios
import time
from pathlib import Path

import pytest

from chrun.runtime.limits import Deadline
from chrun.runtime.steps import Terminal, User
from tests.support.box import TIMEOUT_SECONDS, run_init, start_init
from tests.support.needs import needs
from tests.support.processes import children_of
from tests.support.waiting import has_taken, unread_bytes, wait_until

pytestmark = needs("busybox", "overlay")


FULL_BYTES = 40_000  # of the 65,536 that fit into a pipe: pieces leave some of each page unused


class Caller:
    """A terminal with a user before it: the other side of chrun-init's stdio."""

    def __init__(self, plan, rows=24, columns=80):
        self.master, slave = pty.openpty()
        self.resize(rows, columns)
        self.before = termios.tcgetattr(slave)
        self.process = start_init(
            plan, stdin=slave, stdout=slave, stderr=slave, preexec_fn=self._lead
        )
        self.slave = slave
        self.seen = b""

    def _lead(self):
        os.setsid()
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)

    def resize(self, rows, columns):
        size = struct.pack("HHHH", rows, columns, 0, 0)
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, size)

    def type(self, text):
        os.write(self.master, text.encode())

    def expect(self, text):
        """Wait until a text appears behind what was seen before."""
        deadline = time.monotonic() + TIMEOUT_SECONDS
        while text.encode() not in self.seen:
            assert time.monotonic() < deadline, self.seen
            if select.select([self.master], [], [], 0.1)[0]:
                self.seen += os.read(self.master, 65536)
        _, _, self.seen = self.seen.partition(text.encode())

    def end(self):
        """Wait for the exit status, and make sure that the terminal is as it was."""
        deadline = time.monotonic() + TIMEOUT_SECONDS
        while self.process.poll() is None:
            assert time.monotonic() < deadline
            if select.select([self.master], [], [], 0.05)[0]:
                self.seen += os.read(self.master, 65536)
        after = termios.tcgetattr(self.slave)
        os.close(self.slave)
        os.close(self.master)
        assert after == self.before
        return self.process.returncode


def plan_of(box, script, **options):
    return box.plan("sh", "-c", script, inside=[Terminal()], **options)


@pytest.mark.parametrize("init", [False, True])
def test_stdio_is_the_terminal_and_so_is_the_console(box, init):
    script = "tty; readlink /proc/self/fd/2; test -c /dev/console; exec >/dev/console; echo console"
    done = run_init(plan_of(box, script, init=init))
    assert done.stdout.splitlines() == ["/dev/pts/0", "/dev/pts/0", "console"]


def test_what_is_typed_arrives_and_what_is_answered_is_shown(box):
    caller = Caller(plan_of(box, "read -r line; echo got:$line; exit 3"))
    caller.type("hello\r")
    caller.expect("got:hello")
    assert caller.end() == 3


@pytest.mark.parametrize("init", [False, True])
def test_control_c_interrupts_the_command_and_not_the_monitor(box, init):
    script = "trap 'echo interrupted; exit 4' INT; echo ready; while :; do sleep 0.05; done"
    caller = Caller(plan_of(box, script, init=init))
    caller.expect("ready")
    caller.type("\x03")
    caller.expect("interrupted")
    assert caller.end() == 4


def is_running(pid, name):
    """Say whether a process below another one is not stopped."""
    children = children_of(pid)
    stats = [Path(f"/proc/{child}/stat").read_text() for child in children]
    return any(f" ({name}) S" in stat for stat in stats) or any(
        is_running(child, name) for child in children
    )


def test_an_interactive_shell_has_job_control(box):
    caller = Caller(box.plan("sh", "-i", inside=[Terminal()], init=True))
    caller.type("echo $((40 + 2))\r")
    caller.expect("42")
    caller.type("sh -c 'echo $((40 + 3)); exec sleep 1000'\r")
    caller.expect("43\r\n")
    caller.type("\x1a")
    caller.expect("Stopped")
    caller.type("fg\r")
    wait_until(lambda: is_running(caller.process.pid, "sleep"))
    caller.type("\x03")
    caller.type("exit 6\r")
    assert caller.end() == 6


def test_the_window_size_is_the_callers_from_the_start_and_later(box):
    caller = Caller(plan_of(box, "stty size; read x; stty size"), rows=33, columns=99)
    caller.expect("33 99")
    caller.resize(44, 111)
    wait_until(lambda: has_taken(caller.process.pid, signal.SIGWINCH))
    caller.type("\r")
    caller.expect("44 111")
    assert caller.end() == 0


def test_the_window_size_is_found_on_whichever_stdio_is_a_terminal(box):
    master, slave = pty.openpty()
    fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("HHHH", 12, 34, 0, 0))
    done = run_init(plan_of(box, "stty size"), stderr=slave)
    os.close(master)
    os.close(slave)
    assert done.stdout == "12 34\n"


def test_the_end_of_a_pipe_is_the_end_of_input(box):
    done = run_init(plan_of(box, "stty -echo; cat; echo end"), input="one\ntwo\n")
    assert done.stdout.endswith("two\nend\n")


def test_an_unfinished_line_before_the_end_is_not_lost(box):
    done = run_init(plan_of(box, "stty -echo; cat; echo :end"), input="unfinished")
    assert done.stdout.endswith("unfinished:end\n")


def test_all_output_arrives_before_the_end(box):
    done = run_init(plan_of(box, "seq 100000; echo last"))
    assert done.stdout.count("\n") == 100_001
    assert done.stdout.endswith("100000\nlast\n")


def test_a_slow_reader_holds_the_writer_back_and_loses_nothing(box):
    process = start_init(plan_of(box, "seq 30000; echo last"))
    wait_until(lambda: unread_bytes(process.stdout.fileno()) >= FULL_BYTES)
    assert process.poll() is None
    out = process.communicate(timeout=TIMEOUT_SECONDS)[0]
    assert out.count("\n") == 30_001


@pytest.fixture
def unread(box):
    """Start a script; its output goes into a pipe that one write fills, and that nobody reads."""
    reader, writer = os.pipe()
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, mmap.PAGESIZE)
    started = []

    def start(script, **options):
        process = start_init(plan_of(box, script, **options), stdout=writer)
        started.append(process)
        wait_until(lambda: unread_bytes(reader) or process.poll() is not None)
        return process

    yield start
    os.close(writer)
    os.close(reader)
    for process in started:
        process.communicate(timeout=TIMEOUT_SECONDS)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_a_container_whose_output_nobody_reads(unread, number):
    process = unread("exec /bin/yes")  # a shell that waits for it would handle SIGINT
    process.send_signal(number)
    assert process.wait(TIMEOUT_SECONDS) == 128 + number


def test_a_signal_ends_a_monitor_that_is_left_with_output_nobody_reads(unread):
    process = unread("seq 1300")  # most of it is left in the pty
    wait_until(lambda: not children_of(process.pid))
    assert process.poll() is None
    process.terminate()
    assert process.wait(TIMEOUT_SECONDS) == 128 + signal.SIGTERM


@pytest.mark.parametrize("script", ["yes", "seq 1300"])
def test_time_is_up_also_when_nobody_reads_the_output(unread, script):
    process = unread(script, after=[Deadline(1000, "1 s")])
    assert process.wait(TIMEOUT_SECONDS) == 124


def test_time_is_up_also_on_a_terminal_that_nobody_reads(box):
    # Unlike a pipe, a terminal lets poll(2) say that it takes more, and then does not take all
    caller = Caller(plan_of(box, "yes", after=[Deadline(1000, "1 s")]))
    assert caller.process.wait(TIMEOUT_SECONDS) == 124
    os.close(caller.slave)
    os.close(caller.master)


def test_idling_costs_no_time(box):
    plan = plan_of(box, "exec 0<&- 1>&- 2>&-; sleep 1", after=[Deadline(20_000, "20 s")])
    with start_init(plan, stdin=subprocess.PIPE) as process:
        _, status, used = os.wait4(process.pid, 0)
    assert status == 0
    assert used.ru_utime + used.ru_stime < 0.2


def test_a_reader_that_goes_away_ends_the_writer(box):
    process = start_init(plan_of(box, "yes"))
    process.stdout.readline()
    process.stdout.close()
    assert process.wait(TIMEOUT_SECONDS) != 0
    process.stderr.close()


@needs("root")
def test_the_terminal_belongs_to_the_user(box):
    done = run_init(
        plan_of(
            box,
            "echo again >/proc/self/fd/1; stat -c %u $(tty)",
            after=[User(1000, 1000, (), False)],
        )
    )
    assert done.stdout.replace("\r", "") == "again\n1000\n"


def test_the_terminal_is_restored_when_the_container_is_killed(box):
    caller = Caller(plan_of(box, "echo ready; sleep 1000"))
    caller.expect("ready")
    assert termios.tcgetattr(caller.slave) != caller.before
    caller.process.send_signal(signal.SIGTERM)
    assert caller.end() == 143


def test_the_terminal_is_restored_when_the_command_is_missing(box):
    caller = Caller(box.plan("missing", inside=[Terminal()]))
    caller.expect('chrun: cannot run "missing"')
    assert caller.end() == 127


def test_the_terminal_is_the_callers_while_the_container_is_stopped(box):
    caller = Caller(plan_of(box, "echo ready; exec sleep 1000"))
    caller.expect("ready")
    caller.process.send_signal(signal.SIGTSTP)
    wait_until(lambda: os.waitid(os.P_PID, caller.process.pid, os.WSTOPPED | os.WNOHANG))
    assert termios.tcgetattr(caller.slave) == caller.before
    caller.process.send_signal(signal.SIGCONT)
    wait_until(lambda: termios.tcgetattr(caller.slave) != caller.before)
    caller.process.terminate()
    assert caller.end() == 143
