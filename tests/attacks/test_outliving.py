"""Containers that try to live on after the end of their monitor, which limits their time."""

from __future__ import annotations

import os
import platform
import select
import signal
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from chrun.linux.seccomp.numbers import call_numbers
from tests.support.calls import PROGRAM_PATH
from tests.support.chrun import Chrun
from tests.support.needs import needs
from tests.support.processes import children_of, first_process
from tests.support.waiting import is_abandoned, wait_until

pytestmark = needs("busybox", "overlay")

PR_SET_PDEATHSIG = 1
# The first process asks the kernel not to end it with its parent, and stays
SHAKE_OFF = (PROGRAM_PATH, "stay", str(call_numbers(platform.machine())["prctl"]),
             str(PR_SET_PDEATHSIG), "0")  # fmt: skip
# The same, with a child in a session of its own
DAEMONIZE = ("sh", "-c", f"setsid sleep 60 & exec {' '.join(SHAKE_OFF)}")


class Started:
    """A container that runs, and pidfds of its processes, the reaper's first."""

    def __init__(self, monitor: int) -> None:
        self.monitor = monitor
        first = first_process(monitor)
        (self.reaper,) = children_of(monitor)
        self.pids = [self.reaper, first, *children_of(first)]
        self.fds = [os.pidfd_open(pid) for pid in self.pids]

    def ends(self) -> bool:
        """Wait until none of the processes lives."""
        wait_until(lambda: not any(map(lives, self.pids)))
        return True

    def close(self) -> None:
        for fd in self.fds:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(fd, signal.SIGKILL)
            os.close(fd)


@contextmanager
def started(chrun, *words):
    """Run a container whose first process has shaken off its parent's death signal."""
    with chrun.start("run", "-q", *words) as monitor:
        assert monitor.stdout.readline().endswith(" 0\n")
        container = Started(monitor.pid)
        try:
            yield container
        finally:
            container.close()
    chrun.clear_up()


def lives(process):
    """Return whether a process is there and no zombie."""
    try:
        stat = Path(f"/proc/{process}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


@pytest.mark.parametrize("flags", [(), ("--init",), ("--isolation", "sealed")])
def test_a_killed_monitor_ends_a_daemon_that_cleared_its_death_signal(chrun, calls_dir, flags):
    with started(chrun, *flags, calls_dir, *DAEMONIZE) as container:
        os.kill(container.monitor, signal.SIGKILL)
        assert container.ends()


@needs("root")
def test_a_killed_monitor_ends_a_server_that_became_another_user(chrun, calls_dir):
    """commit_creds() of the kernel clears the death signal, so every such server is without."""
    script = "exec su -s /bin/sh www-data -c 'echo 0 0; sleep 60; :'"
    with started(chrun, calls_dir, "sh", "-c", script) as container:
        os.kill(container.monitor, signal.SIGKILL)
        assert container.ends()


@needs("root")
def test_a_killed_monitor_ends_a_container_before_its_ids_are_given_to_another(
    chrun, calls_dir, tmp_path
):
    """Ranges are counted for the whole host, data directories are not."""
    words = ("run", "-q", "--userns", "auto", calls_dir, "cat", "/proc/self/uid_map")
    with started(chrun, "--userns", "auto", calls_dir, *SHAKE_OFF) as container:
        before = Path(f"/proc/{container.pids[1]}/uid_map").read_text().split()
        os.kill(container.monitor, signal.SIGKILL)
        after = Chrun(tmp_path / "other")(*words).stdout.split()
        assert after != before or not lives(container.pids[1])
        assert container.ends()


def test_the_deadline_ends_a_daemon_whose_monitor_is_stopped(chrun, calls_dir):
    with started(chrun, "--timeout", "1", calls_dir, *DAEMONIZE) as container:
        os.kill(container.monitor, signal.SIGSTOP)
        assert container.ends()


def test_the_deadline_ends_a_daemon_without_a_pid_namespace(chrun, calls_dir):
    with started(chrun, "--pid", "host", "--timeout", "1", calls_dir, *DAEMONIZE) as container:
        assert container.ends()


def test_the_deadline_of_a_stopped_monitor_ends_a_daemon_without_a_pid_namespace(chrun, calls_dir):
    words = ("--pid", "host", "--timeout", "1", calls_dir, *DAEMONIZE)
    with started(chrun, *words) as container:
        os.kill(container.monitor, signal.SIGSTOP)
        assert container.ends()


@pytest.mark.parametrize(
    "flags", [("--pid", "host"), pytest.param(("--isolation", "chroot"), marks=needs("root"))]
)
def test_a_killed_monitor_ends_a_daemon_without_a_pid_namespace(chrun, calls_dir, flags):
    with started(chrun, *flags, calls_dir, *DAEMONIZE) as container:
        os.kill(container.monitor, signal.SIGKILL)
        assert container.ends()


def test_the_next_command_ends_a_daemon_whose_monitor_and_reaper_were_killed(chrun, calls_dir):
    with started(chrun, "--pid", "host", calls_dir, *DAEMONIZE) as container:
        (container_dir,) = (chrun.home / "containers").iterdir()
        os.kill(container.monitor, signal.SIGSTOP)  # it must not see the reaper's end
        for pid in (container.reaper, container.monitor):
            os.kill(pid, signal.SIGKILL)
        wait_until(lambda: is_abandoned(container_dir))
        assert all(map(lives, container.pids[1:]))
        chrun("images")
        assert container.ends()


def test_a_group_wide_sigterm_is_the_containers_to_handle(chrun, calls_dir):
    """The reaper is in the monitor's process group, and must not take the signal for its end."""
    script = "trap 'echo caught; exit 3' TERM; echo 0 0; while :; do sleep 0.05; done"
    words = ("run", "-q", "--pid", "host", calls_dir, "sh", "-c", script)
    with chrun.start(*words, start_new_session=True) as monitor:
        assert monitor.stdout.readline() == "0 0\n"
        os.killpg(monitor.pid, signal.SIGTERM)
        out, _ = monitor.communicate(timeout=20)
    assert (out, monitor.returncode) == ("caught\n", 3)


COUNT, MOST, SECONDS = 1200, 1500, 60


@pytest.mark.parametrize(
    "limit",
    [
        pytest.param(("--pids-limit", str(MOST)), marks=needs("root"), id="in a cgroup"),
        pytest.param(("--ulimit", f"nproc={MOST}:{MOST}"), marks=needs("ordinary user"), id="user"),
        pytest.param(
            ("--user", "54321", "--ulimit", f"nproc={MOST}:{MOST}"),
            marks=needs("root"),
            id="no cgroup",
        ),
    ],
)
def test_processes_that_multiply_end_with_their_container(chrun, calls_dir, limit):
    """In the host's pid namespace the kernel ends none of them, and each leaves a child."""
    words = (calls_dir, PROGRAM_PATH, "multiply", str(COUNT), str(SECONDS))
    with chrun.start("run", "-q", "--pid", "host", *limit, *words) as monitor:
        assert monitor.wait(SECONDS / 2) == 0
    assert count_running(PROGRAM_PATH) == 0


def count_running(program):
    """Count the processes that run a program of a container."""
    count = 0
    for process in Path("/proc").iterdir():
        with suppress(OSError):  # it is no process, or has ended
            count += (process / "cmdline").read_bytes().startswith(program.encode() + b"\0multiply")
    return count


@pytest.mark.parametrize("flags", [(), ("--timeout", "60s")])
def test_a_container_that_kills_its_reaper_leaves_no_daemon(chrun, calls_dir, flags):
    """With the host's pids its first process sees the reaper, as its parent."""
    daemon = "setsid sleep 90 & until grep -qx sleep /proc/$!/comm; do :; done"
    script = f"{daemon}\n{daemon}\necho 0 0; kill -9 $PPID; sleep 62"
    words = ("run", "-q", "--pid", "host", *flags, calls_dir, "sh", "-c", script)
    with chrun.start(*words) as monitor:
        assert monitor.wait(20) == 137
        assert monitor.stdout.readline() == "0 0\n"
        assert select.select([monitor.stdout], [], [], 20)[0]  # its end: no process has it
