"""Containers that would live on when their monitor was killed, and nobody counts them any more."""

from __future__ import annotations

import os
import platform
import signal
from contextlib import contextmanager, suppress
from pathlib import Path

from chrun.linux.seccomp.numbers import call_numbers
from tests.support.calls import PROGRAM_PATH
from tests.support.chrun import Chrun
from tests.support.needs import needs
from tests.support.waiting import has_taken

pytestmark = needs("busybox", "overlay")

PR_SET_PDEATHSIG = 1
# Be let off when the monitor dies, and stay
SHAKE_OFF = (PROGRAM_PATH, "stay", str(call_numbers(platform.machine())["prctl"]),
             str(PR_SET_PDEATHSIG), "0")  # fmt: skip


@contextmanager
def outlive(chrun, *flags):
    """Start a container, kill its monitor, and give its first process and user map."""
    with chrun.start("run", "-q", *flags) as started:
        assert started.stdout.readline().endswith(" 0\n")
        children = Path(f"/proc/{started.pid}/task/{started.pid}/children").read_text()
        (process,) = map(int, children.split())
        fd = os.pidfd_open(process)
        started.kill()
    try:
        # the attack is one: who is not let off was sent it before the monitor could be waited for
        assert has_taken(process, signal.SIGKILL)
        assert lives(process)
        yield process, Path(f"/proc/{process}/uid_map").read_text().split()
    finally:
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(fd, signal.SIGKILL)
        os.close(fd)


def lives(process):
    """Say whether a process is there and no zombie."""
    try:
        stat = Path(f"/proc/{process}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


def test_who_shakes_a_killed_monitor_off_ends_with_the_next_command(chrun, calls_dir):
    with outlive(chrun, calls_dir, *SHAKE_OFF) as (process, _map):
        chrun("images")
        assert not lives(process)


@needs("root")
def test_who_becomes_another_user_is_let_off_and_ends_too(chrun, calls_dir):
    """commit_creds() of the kernel forgets whose death ends a process: so every server that drops
    its rights is let off, without meaning to be.
    """
    script = "exec su -s /bin/sh www-data -c 'echo 0 0; sleep 60; :'"
    with outlive(chrun, calls_dir, "sh", "-c", script) as (process, _map):
        chrun("images")
        assert not lives(process)


@needs("root")
def test_ids_are_not_given_to_two_containers_when_one_outlives_its_monitor(
    chrun, calls_dir, tmp_path
):
    """Ranges are counted for the whole machine, data directories are not."""
    words = ("run", "-q", "--userns", "auto", calls_dir, "cat", "/proc/self/uid_map")
    with outlive(chrun, "--userns", "auto", calls_dir, *SHAKE_OFF) as (process, before):
        after = Chrun(tmp_path / "other")(*words).stdout.split()
        assert not lives(process) or after != before
        chrun("images")
        assert not lives(process)
