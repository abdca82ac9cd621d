"""The virtual machine is what it is made for: else tests would pass in it for the wrong reason."""

from __future__ import annotations

import os
import platform
from pathlib import Path

from tests.support.needs import needs

pytestmark = needs("virtual machine")


def test_the_kernel_is_older_than_what_chrun_likes_best():
    assert platform.release().startswith("6.1.")
    assert not Path("/proc/sys/vm/memfd_noexec").exists()


def test_all_controllers_are_those_of_cgroup_v2():
    there = set(Path("/sys/fs/cgroup/cgroup.controllers").read_text().split())
    assert there >= {"cpu", "cpuset", "io", "memory", "pids"}


def test_there_is_no_network_but_loopback():
    assert os.listdir("/sys/class/net") == ["lo"]


@needs("systemd", "ordinary user")
def test_an_ordinary_user_is_in_a_session_that_systemd_keeps():
    group = Path("/proc/self/cgroup").read_text().strip()
    assert group.startswith(f"0::/user.slice/user-{os.getuid()}.slice/session-")
    assert Path(os.environ["XDG_RUNTIME_DIR"], "bus").is_socket()
