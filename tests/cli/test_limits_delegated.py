"""Limits of an ordinary user, to whom somebody gave cgroups (CHRUN_TEST_CGROUPS, tools/as-user)."""

from __future__ import annotations

import subprocess
from contextlib import suppress
from pathlib import Path

import pytest

from tests.support.cgroups import HOG, delegated, files
from tests.support.needs import needs

pytestmark = needs("busybox", "overlay", "ordinary user", "delegated cgroups")
_TIMEOUT_SECONDS = 60


@pytest.fixture
def run(chrun, no_cgroup_left):
    """Run chrun in the cgroups that were given, and see that it leaves nothing in them."""

    def run(*words):
        return subprocess.run(
            [*delegated(), *chrun.command("run", *words)],
            capture_output=True,
            text=True,
            env=chrun.env,
            timeout=_TIMEOUT_SECONDS,
            check=False,
        )

    return run


def test_a_users_memory_hog_is_killed_and_the_reason_is_told(run, box):
    done = run("-m", "16m", box, "sh", "-c", HOG)
    assert done.stderr == "chrun: the container ran out of memory: its limit is 16 MiB\n"
    assert done.returncode == 137


def test_a_users_fork_bomb_stops_at_its_limit(run, box):
    bomb = "i=0; while [ $i -lt 100 ]; do sleep 5 & i=$((i+1)); done; echo never"
    done = run("--pids-limit", "20", box, "sh", "-c", bomb)
    assert "can't fork" in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize(
    ("flags", "version_1", "version_2"),
    [
        (("-m", "64m"), ("memory.limit_in_bytes", 64 << 20), ("memory.max", 64 << 20)),
        (("--pids-limit", "33"), ("pids.max", 33), ("pids.max", 33)),
        (("--cpus", "0.5"), ("cpu.cfs_quota_us", 50_000), ("cpu.max", "50000 100000")),
    ],
)
def test_a_users_limit_is_what_the_kernel_shows_inside(run, box, flags, version_1, version_2):
    path = files(version_1[0], version_2[0])
    expected = version_2[1] if path.count("/") == 4 else version_1[1]
    done = run(*flags, box, "cat", path)
    assert (done.stdout, done.stderr) == (f"{expected}\n", "")


def test_cve_2023_25809_a_users_limits_cannot_be_changed_from_inside(run, box):
    """The files are the caller's, who is root inside: only that the mount is read-only protects."""
    path = Path(files("memory.limit_in_bytes", "memory.max"))
    script = (
        f"echo 1g > {path}; mount -o remount,rw,bind {path.parent}; echo 1g > {path}; cat {path}"
    )
    done = run("-m", "64m", box, "sh", "-c", script)
    assert done.stdout == f"{64 << 20}\n"
    assert done.stderr.count("Read-only file system") == 2
    assert "denied" in done.stderr or "not permitted" in done.stderr


def test_a_user_sees_no_cgroup_but_the_containers(run, box):
    done = run("-m", "64m", box, "sh", "-c", "find /sys/fs/cgroup -name 'chrun*' -o -name shell")
    assert (done.stdout, done.stderr) == ("", "")


def test_a_sealed_container_of_a_user_has_its_limits(run, box):
    path = files("pids.max", "pids.max")
    done = run("--isolation", "sealed", box, "cat", path)
    assert (done.stdout, done.stderr) == ("256\n", "")


@needs("single id")
@pytest.mark.parametrize(
    ("limit", "controller", "answering"), [("--cpus=0.5", "cpu", 1), ("--pids-limit=20", "pids", 0)]
)
def test_answers_to_a_container_count_as_its_own_time(
    chrun, no_cgroup_left, box, limit, controller, answering
):
    """A loop of getuid(2) has chrun-init work as much as the container does.

    Where the time is limited, a process answers that is limited with the container.
    """
    script = "id -u; read -r end; id -u"
    words = ("run", "-q", "-i", limit, box, "sh", "-c", script)
    with subprocess.Popen(
        [*delegated(), *chrun.command(*words)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=chrun.env,
    ) as monitor:
        assert monitor.stdout.readline() == "0\n"
        seen = places(controller)
        (here,) = {place for place, command in seen if command == f"sh\0-c\0{script}\0"}
        inside = [command for place, command in seen if place == here]
        assert len([command for command in inside if command.startswith("chrun-init")]) == answering
        assert monitor.communicate("end\n", timeout=_TIMEOUT_SECONDS)[0] == "0\n"
    assert monitor.returncode == 0


def places(controller):
    """Return the cgroup and the command line of each process."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it has ended
            lines = [line.split(":", 2) for line in (process / "cgroup").read_text().splitlines()]
            trees = [place for _, names, place in lines if controller in names.split(",")]
            place = trees[0] if trees else lines[-1][2]
            found.append((place, (process / "cmdline").read_text(errors="replace")))
    return found
