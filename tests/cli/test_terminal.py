"""chrun run -it on a real terminal."""

from __future__ import annotations

import os
import signal
import termios

import pexpect
import pytest

from tests.support.needs import needs
from tests.support.waiting import has_taken, wait_until

pytestmark = needs("busybox", "overlay")
PROMPT = "/ [#$] "


@pytest.fixture
def start(chrun):
    """Start a command on a terminal of 30 lines and 100 columns."""
    started = []

    def spawn(*words):
        program, *arguments = chrun.command(*words)
        child = pexpect.spawn(
            program, arguments, env=chrun.env, dimensions=(30, 100), timeout=15, encoding="utf-8"
        )
        started.append(child)
        return child

    yield spawn
    for child in started:
        child.close(force=True)


def ended(child):
    child.expect(pexpect.EOF)
    child.close()
    return child.exitstatus


def test_one_line_says_what_runs_where(start, chrun, box):
    child = start("run", "-it", box, "true")
    child.expect_exact(f"chrun: {box}:latest (confined, overlay of 1 layer) in {chrun.home}")
    assert ended(child) == 0


def test_quiet_says_nothing(start, box):
    child = start("run", "-qit", box, "echo", "only this")
    child.expect(pexpect.EOF)
    assert child.before == "only this\r\n"


@pytest.mark.parametrize(
    "flags",
    [
        (),
        ("--isolation", "sealed"),
        pytest.param(("--isolation", "chroot"), marks=needs("root")),
    ],
)
def test_what_is_typed_is_not_for_a_command_without_i(start, box, flags):
    child = start("run", "-q", *flags, box, "sh", "-c", "echo ready; cat 0<&1; true")
    child.expect_exact("ready")
    child.sendline("a secret")
    child.expect_exact("Bad file descriptor")
    assert ended(child) == 0


def test_a_shell_is_interactive_and_leaves_with_its_status(start, box):
    child = start("run", "-qit", box, "sh")
    child.expect(PROMPT)
    child.sendline("tty; exit 7")
    child.expect_exact("/dev/pts/0")
    assert ended(child) == 7


def test_the_window_has_the_callers_size_and_follows_it(start, box):
    child = start("run", "-qit", box, "sh")
    child.expect(PROMPT)
    child.sendline("stty size")
    child.expect_exact("30 100")
    child.setwinsize(50, 60)
    wait_until(lambda: has_taken(child.pid, signal.SIGWINCH))  # and only then reads on
    child.sendline("stty size")
    child.expect_exact("50 60")
    child.sendline("exit")
    assert ended(child) == 0


def start_job(child):
    """Start a job that lasts, and wait until it is in the foreground."""
    child.sendline("sh -c 'echo $((40 + 1)); exec sleep 100'")
    child.expect_exact("41\r\n")


def test_interrupt_reaches_the_foreground_job_and_not_the_shell(start, box):
    child = start("run", "-qit", box, "sh")
    child.expect(PROMPT)
    start_job(child)
    child.sendcontrol("c")
    child.expect(PROMPT)
    child.sendline("echo still $((40 + 2))")
    child.expect_exact("still 42")
    child.sendcontrol("d")
    assert ended(child) == 0


def test_job_control_stops_and_continues_a_job(start, box):
    child = start("run", "-qit", box, "sh")
    child.expect(PROMPT)
    start_job(child)
    child.sendcontrol("z")
    child.expect("Stopped")
    child.sendline("kill %1; fg")
    child.expect(PROMPT)
    child.sendline("exit 0")
    assert ended(child) == 0


def test_a_background_job_takes_no_input_before_it_is_in_the_foreground(chrun, box):
    shell = pexpect.spawn(
        "bash", ["--norc"], env={**chrun.env, "PS1": "ready> "}, timeout=15, encoding="utf-8"
    )
    shell.setecho(False)
    shell.expect_exact("ready> ")
    shell.sendline(f"{chrun.command()[0]} run -qit {box} sh -c 'echo up; cat' &")
    shell.expect_exact("up")
    shell.sendline("fg")  # by now the job was stopped, or not: the shell may read faster than it
    shell.expect_exact("cat'")
    shell.sendline("hello")
    shell.expect_exact("hello\r\nhello\r\n")  # the pty's echo, and cat's answer
    shell.sendcontrol("d")
    shell.expect_exact("ready> ")
    shell.close(force=True)


def test_the_callers_terminal_is_as_it_was(start, box, chrun):
    child = start("run", "-qit", box, "sh", "-c", "stty raw -echo; exit 3")
    before = termios.tcgetattr(child.child_fd)
    child.expect(pexpect.EOF)
    assert termios.tcgetattr(child.child_fd)[:4] == before[:4]
    child.close()
    assert child.exitstatus == 3


def test_a_terminal_that_hangs_up_ends_the_container(start, box, chrun):
    child = start("run", "-qit", box, "sh")
    child.expect(PROMPT)
    child.close(force=False)
    wait_until(lambda: chrun.leftovers() == [])


def test_all_output_arrives_before_the_end(start, box):
    child = start("run", "-qt", box, "seq", "1", "20000")
    child.expect(pexpect.EOF)
    assert child.before.split() == [str(number) for number in range(1, 20001)]
    assert ended(child) == 0


def test_a_killed_monitor_leaves_no_process(start, box, chrun):
    child = start("run", "-qit", box, "sh")
    child.expect(PROMPT)
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    chrun("run", box, "true")
    assert chrun.leftovers() == []


def test_no_progress_bar_is_drawn_into_a_pipe(chrun, registry):
    done = chrun("pull", f"{registry.host}/busybox")
    assert "\x1b" not in done.stderr
