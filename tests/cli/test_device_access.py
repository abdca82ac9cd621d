"""What may be used of devices: a container that can make nodes cannot use the machine's disk."""

from __future__ import annotations

import pytest

from tests.support.needs import needs

pytestmark = [
    needs("busybox", "overlay", "root", "cgroups", "a loop device"),
    pytest.mark.usefixtures("no_cgroup_left"),
]
SCRIPT = (
    "mknod /dev/copy c 1 3 && echo x > /dev/copy && echo used null;"
    " mknod /dev/disk b 7 0 && echo made; dd if=/dev/disk of=/dev/null count=1"
)


def test_who_may_make_devices_cannot_use_a_disk_that_was_made(chrun, box):
    done = chrun("run", "--cap-add", "MKNOD", box, "sh", "-c", SCRIPT, status=1)
    assert done.stdout == "used null\nmade\n"
    assert "Operation not permitted" in done.stderr


def test_a_device_that_is_given_can_be_used_though_others_cannot(chrun, box):
    given = ("--device", "/dev/loop0", "--cap-add", "MKNOD")
    script = "dd if=/dev/loop0 of=/dev/null count=1 && mknod /dev/disk b 7 1 && cat /dev/disk"
    done = chrun("run", *given, box, "sh", "-c", script, status=1)
    assert "0+0 records" in done.stderr
    assert "cat: can't open '/dev/disk': Operation not permitted" in done.stderr


@pytest.mark.parametrize(
    ("access", "readable", "writable"), [("r", True, False), ("w", False, True), ("rw", True, True)]
)
def test_a_device_is_given_for_reading_or_writing_alone(chrun, box, access, readable, writable):
    given = ("--device", f"/dev/loop0:/dev/mine:{access}")
    tries = {"read": ": < /dev/mine", "write": ": > /dev/mine"}
    script = "; ".join(f"({words}) && echo {name}" for name, words in tries.items())
    done = chrun("run", *given, box, "sh", "-c", f"{script}; true")
    assert done.stdout.split() == ["read"] * readable + ["write"] * writable
    assert ("Operation not permitted" in done.stderr) is not (readable and writable)


def test_a_privileged_containers_devices_are_for_everything(chrun, box):
    given = ("--privileged", "--device", "/dev/loop0:r")
    done = chrun("run", *given, box, "true", status=125)
    assert "cannot give /dev/loop0 as 'r': --privileged may use all devices" in done.stderr


@pytest.mark.parametrize("access", ["r", "w", "m"])
def test_what_every_container_has_is_not_taken_away_by_another_name(chrun, box, access):
    done = chrun("run", "--device", f"/dev/null:/dev/n:{access}", box, "true", status=125)
    assert f"cannot give /dev/null as '{access}': every container may read and write" in done.stderr


def test_without_the_capability_no_device_is_made_and_no_cgroup_needed(chrun, box):
    done = chrun("run", box, "sh", "-c", SCRIPT, status=1)
    assert done.stdout == ""
    assert "allow only the devices" not in chrun("explain", box, "true").stdout


def test_a_privileged_container_uses_what_it_wants(chrun, box):
    done = chrun("run", "--privileged", box, "sh", "-c", SCRIPT.replace("7 0", "7 1"), status=None)
    assert "Operation not permitted" not in done.stderr
