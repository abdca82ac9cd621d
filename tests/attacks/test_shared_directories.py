"""Other users of the same machine, who got to a shared directory first."""

from __future__ import annotations

import os

import pytest

from tests.support.chrun import Chrun
from tests.support.hosts import Host, make_rootfs
from tests.support.needs import needs

pytestmark = needs("busybox", "overlay", "userns")

SHARED = ("/tmp", "/var/tmp", "/dev/shm", "/run/lock")


@pytest.mark.parametrize("flags", [(), ("--isolation", "sealed"), ("-v", "named:/v"), ("--init",)])
def test_nothing_is_made_in_directories_that_others_can_write_to(tmp_path, flags):
    """Races for /tmp and /dev/shm: who makes nothing there has none to lose."""
    rootfs = make_rootfs(tmp_path / "rootfs")
    lock = "mount --rbind {0} {0}; mount -o remount,bind,ro {0}"
    script = (
        f"mount --bind {tmp_path} {tmp_path}; cd /",
        *(lock.format(directory) for directory in SHARED if os.path.isdir(directory)),
        "if touch /tmp/chrun-test 2> /dev/null; then exit 99; fi",
        f"touch {tmp_path}/writable",
    )
    host = Host("\n".join(script))
    done = host.run(tmp_path, "run", "-q", *flags, rootfs, "echo", "works")
    assert (done.stdout, done.stderr, done.returncode) == ("works\n", "", 0)


@needs("root")
@pytest.mark.parametrize("mode", [0o700, 0o777])
def test_a_data_directory_that_another_user_made_is_not_believed(tmp_path, mode):
    """What is in a store is run: whoever could write there would choose it."""
    home = tmp_path / "data"
    home.mkdir()
    home.chmod(mode)
    os.chown(home, 1234, 1234)
    done = Chrun(home)("run", tmp_path, "true", status=125)
    assert "it belongs to uid 1234, not to uid 0" in done.stderr
    assert os.listdir(home) == []


@pytest.mark.parametrize("mode", [0o770, 0o707, 0o777, 0o1777])
def test_a_data_directory_that_others_can_write_to_is_not_believed(tmp_path, mode):
    home = tmp_path / "data"
    home.mkdir()
    home.chmod(mode)
    done = Chrun(home)("run", tmp_path, "true", status=125)
    assert f"users other than uid {os.geteuid()} can write to it" in done.stderr


def test_nobody_else_can_look_into_the_data_directory(tmp_path):
    """CVE-2024-25621: a setuid program of an image must not be another user's to run."""
    before = os.umask(0)
    try:
        Chrun(tmp_path / "data")("run", make_rootfs(tmp_path / "rootfs"), "true")
    finally:
        os.umask(before)
    assert (tmp_path / "data").stat().st_mode & 0o777 == 0o700
