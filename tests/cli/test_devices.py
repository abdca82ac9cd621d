"""Devices of this machine, given to a container."""

from __future__ import annotations

import os

import pytest

from tests.support.needs import needs
from tests.support.probe import look

pytestmark = needs("busybox", "overlay")


def test_a_device_is_there_by_its_own_name_or_another(chrun, box):
    script = "head -c 3 /dev/zero2 | wc -c; head -c 3 /opt/deep/zero | wc -c; echo x > /dev/full"
    options = ("--device", "/dev/zero:/dev/zero2", "--device", "/dev/zero:/opt/deep/zero:rw")
    done = chrun("run", *options, box, "sh", "-c", script, status=1)
    assert done.stdout == "3\n3\n"
    assert "No space left" in done.stderr


def test_a_device_has_the_hosts_numbers_mode_and_owner(chrun, probe_dir):
    device = "/dev/tty"
    status = os.stat(device)
    seen = look(chrun, "--device", f"{device}:/dev/mine", image=probe_dir).devices["mine"]
    assert (seen.kind, seen.major, seen.minor) == ("c", 5, 0)
    assert seen.mode & 0o777 == status.st_mode & 0o777
    if os.geteuid() == 0:
        assert (seen.uid, seen.gid) == (status.st_uid, status.st_gid)


def test_a_device_that_all_have_can_be_asked_for(chrun, box):
    script = "head -c 1 /dev/zero | wc -c; stat -c %t:%T /dev/null"
    out = chrun("run", "--device", "/dev/null", "--device", "/dev/zero", box, "sh", "-c", script)
    assert out.stdout == "1\n1:3\n"


@needs("root")
def test_a_directory_gives_all_its_devices(chrun, probe_dir, tmp_path):
    (tmp_path / "below").mkdir()
    os.mknod(tmp_path / "z", 0o20666, os.makedev(1, 5))
    os.mknod(tmp_path / "below" / "f", 0o20640, os.makedev(1, 7))
    seen = look(chrun, "--device", f"{tmp_path}:/dev/all", image=probe_dir, words=(
        "path=/dev/all/z", "path=/dev/all/below/f"))  # fmt: skip
    assert (seen.paths["/dev/all/z"].major, seen.paths["/dev/all/z"].minor) == (1, 5)
    assert seen.paths["/dev/all/below/f"].minor == 7


@pytest.mark.parametrize(
    "given",
    ["/etc/passwd", "/dev/none", "/dev/null:r", "/dev/null:/dev/../x", "vendor.com/gpu=all"],
)
def test_what_is_no_device_or_cannot_be_kept_is_refused(chrun, box, given):
    done = chrun("run", "--device", given, box, "true", status=125)
    assert done.stderr.startswith("chrun: cannot ")


def test_no_other_device_of_the_hosts_is_there(chrun, probe_dir):
    ordinary = {"null", "zero", "full", "random", "urandom", "tty", "ptmx", "console"}
    seen = look(chrun, image=probe_dir)
    assert {name for name, device in seen.devices.items() if device.kind in "cb"} <= ordinary
