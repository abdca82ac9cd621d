"""/proc/self/mountinfo."""

from __future__ import annotations

from chrun.linux.mountinfo import MountEntry, find_mount, parse_mountinfo

TEXT = (
    "22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw\n"
    "23 22 0:5 / /with\\040space ro,nosuid - tmpfs none rw,size=4k\n"
)


def test_lines_with_and_without_optional_fields_are_read():
    assert parse_mountinfo(TEXT) == (
        MountEntry("/", "ext4", ("rw", "relatime")),
        MountEntry("/with space", "tmpfs", ("ro", "nosuid")),
    )


def test_a_path_lies_on_the_deepest_mount_around_it():
    found = find_mount("/proc/self/status")
    assert found is not None
    assert (found.mount_point, found.fstype) == ("/proc", "proc")
    assert find_mount("/").mount_point == "/"
