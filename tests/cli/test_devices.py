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
    ["/etc/passwd", "/dev/none", "/dev/null:q", "/dev/null:/dev/../x", "vendor.com/gpu=all"],
)
def test_what_is_no_device_or_cannot_be_kept_is_refused(chrun, box, given):
    done = chrun("run", "--device", given, box, "true", status=125)
    assert done.stderr.startswith("chrun: cannot ")


@needs("ordinary user")
def test_reading_alone_is_refused_in_a_user_namespace_and_what_can_be_had_is_told(
    chrun, box, closed_devices
):
    device = closed_devices[0]
    done = chrun("run", "--device", f"{device}:r", box, "true", status=125)
    assert done.stderr.splitlines() == [
        f"chrun: cannot give {device} as 'r': in a user namespace a device's own mode decides",
        f"hint: --device {device} gives reading and writing both",
    ]


@pytest.fixture
def closed_devices():
    """Terminals of this user's that they may not open."""
    pairs = [os.openpty() for _ in range(4)]
    paths = [os.ttyname(slave) for _, slave in pairs]
    for path in paths:
        os.chmod(path, 0)
    yield paths
    for fd in (fd for pair in pairs for fd in pair):
        os.close(fd)


@needs("ordinary user")
def test_a_device_that_the_user_may_not_open_is_given_with_a_word(chrun, box, closed_devices):
    first, *others = closed_devices
    told = "chrun: the container can see but not open {}: your user may neither read nor write it\n"
    done = chrun("run", f"--device={first}:/dev/x", box, "ls", "/dev/x")
    assert (done.stdout, done.stderr) == ("/dev/x\n", told.format(first))
    assert chrun("run", "-q", f"--device={first}:/dev/x", box, "true").stderr == ""
    given = [f"--device={path}:/opt/{path}" for path in closed_devices]
    some = ", ".join([first, *others[:2]])
    assert chrun("run", *given, box, "true").stderr == told.format(f"{some} and 1 more")


@needs("ordinary user")
def test_a_notice_brings_no_escape_sequence_to_the_terminal(chrun, box, closed_devices, tmp_path):
    evil = tmp_path / "\x1b]0;owned\x07"
    evil.symlink_to(closed_devices[0])
    done = chrun("run", f"--device={evil}:/dev/x", box, "true")
    assert "can see but not open" in done.stderr
    assert "\x1b" not in done.stderr
    assert "\x07" not in done.stderr


@needs("root")
def test_a_device_that_a_range_of_ids_may_not_open_is_given_with_a_word(chrun, box, closed_devices):
    words = ["--userns=auto", f"--device={closed_devices[0]}:/dev/x", box, "true"]
    assert "the container's ids may neither read nor write it" in chrun("run", *words).stderr


def test_a_device_that_can_be_opened_is_given_without_a_word(chrun, box):
    assert chrun("run", "--device=/dev/null:/dev/x", box, "true").stderr == ""


def test_no_other_device_of_the_hosts_is_there(chrun, probe_dir):
    ordinary = {"null", "zero", "full", "random", "urandom", "tty", "ptmx", "console"}
    seen = look(chrun, image=probe_dir)
    assert {name for name, device in seen.devices.items() if device.kind in "cb"} <= ordinary
