"""Limits where systemd keeps the cgroups: each container is given one on request.

Played where a user has a session of systemd's, which the virtual machine's second guise gives.
"""

from __future__ import annotations

import pytest

import chrun as api
from tests.support.box import unpack_busybox
from tests.support.cgroups import HOG
from tests.support.needs import needs

pytestmark = [
    needs("busybox", "overlay", "cgroups 2", "systemd session"),
    pytest.mark.usefixtures("no_cgroup_left"),
]


def test_a_limit_holds_in_a_scope_that_systemd_gives(chrun, box):
    script = "cat /sys/fs/cgroup/memory.max /sys/fs/cgroup/pids.max /proc/self/cgroup"
    done = chrun("run", "-m", "64m", "--pids-limit", "33", box, "sh", "-c", script)
    assert done.stdout == f"{64 << 20}\n33\n0::/\n"
    assert done.stderr == ""


def test_a_memory_hog_is_killed_and_the_reason_is_told(chrun, box):
    done = chrun("run", "-m", "16m", box, "sh", "-c", HOG, status=137)
    assert done.stderr == "chrun: the container ran out of memory: its limit is 16 MiB\n"


def test_standard_streams_and_the_exit_status_pass_through_systemd_run(chrun, box):
    done = chrun("run", "-i", "-m", "64m", box, "sh", "-c", "cat; exit 5", input="in", status=5)
    assert done.stdout == "in"


def test_the_scope_is_the_containers_alone(chrun, box):
    command = ("run", "-q", "-m", "64m", box, "sh", "-c", "echo up; sleep 1000")
    with chrun.start(*command) as running:
        assert running.stdout.readline() == "up\n"
        (directory,) = (chrun.home / "containers").iterdir()
        listed = (directory / "cgroups").read_text().splitlines()
    assert [path.rpartition("-")[2] for path in listed] == [directory.name, "monitor"]
    assert all(".scope/chrun-" in path for path in listed)


def test_a_sealed_container_has_its_limits(chrun, box):
    done = chrun("run", "--isolation", "sealed", box, "cat", "/sys/fs/cgroup/pids.max")
    assert (done.stdout, done.stderr) == ("256\n", "")


def test_a_python_program_gets_a_scope_for_its_container(tmp_path):
    (tmp_path / "rootfs").mkdir()
    unpack_busybox(tmp_path / "rootfs")
    done = api.run(
        str(tmp_path / "rootfs"), ["cat", "/sys/fs/cgroup/memory.max"], memory="64m",
        capture_output=True, text=True, root=str(tmp_path / "data"),
    )  # fmt: skip
    assert (done.stdout, done.stderr) == (f"{64 << 20}\n", "")


def test_info_tells_what_can_be_limited(chrun):
    shown = chrun("info").stdout
    assert "limits              memory, processes" in shown
