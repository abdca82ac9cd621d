"""/proc/self/mountinfo."""

from __future__ import annotations

import subprocess
import sys

from chrun.linux.mountinfo import MountEntry, find_mount, parse_mountinfo
from tests.support.needs import needs

TEXT = (
    "22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw\n"
    "23 22 0:5 / /with\\040space ro,nosuid - tmpfs none rw,size=4k\n"
)


def test_lines_with_and_without_optional_fields_are_read():
    assert parse_mountinfo(TEXT) == (
        MountEntry("/", "ext4", ("rw", "relatime"), "/", ("rw",), "/dev/vda", ("shared:1",)),
        MountEntry("/with space", "tmpfs", ("ro", "nosuid"), "/", ("rw", "size=4k"), "none"),
    )


@needs("userns")
def test_a_path_in_a_chroot_that_is_no_mount_point_lies_on_none(tmp_path):
    """There mountinfo lists what is below the new root only."""
    script = (
        "import os, sys; from chrun.linux.mountinfo import find_mount; "
        "os.chdir(sys.argv[1]); os.mkdir('proc'); os.system('mount --rbind /proc proc'); "
        "os.chroot('.'); sys.exit(find_mount('/') is not None)"
    )
    inside = ["unshare", "--user", "--map-root-user", "--mount"]
    subprocess.run([*inside, sys.executable, "-c", script, tmp_path], check=True)


def test_a_path_lies_on_the_deepest_mount_around_it():
    found = find_mount("/proc/self/status")
    assert found is not None
    assert (found.mount_point, found.fstype) == ("/proc", "proc")
    assert find_mount("/").mount_point == "/"


@needs("userns")
def test_a_directory_is_not_below_one_whose_name_its_own_begins_with(tmp_path):
    """CVE-2026-48785, CVE-2026-47215: /scratch2 is not in /scratch."""
    script = (
        "import os, sys; from chrun.linux.mountinfo import find_mount, mount_points_below; "
        "top = sys.argv[1]; [os.mkdir(f'{top}/{name}') for name in ('scratch', 'scratch2')]; "
        "mount = lambda name: os.system(f'mount -t tmpfs none {top}/{name}'); "
        "mount('scratch'); assert find_mount(f'{top}/scratch').mount_point == f'{top}/scratch'; "
        "assert find_mount(f'{top}/scratch2').mount_point != f'{top}/scratch'; "
        "mount('scratch2'); os.mkdir(f'{top}/scratch2/in'); mount('scratch2/in'); "
        "assert mount_points_below(f'{top}/scratch') == (); "
        "assert mount_points_below(f'{top}/scratch2') == (f'{top}/scratch2/in',)"
    )
    inside = ["unshare", "--user", "--map-root-user", "--mount"]
    subprocess.run([*inside, sys.executable, "-c", script, tmp_path], check=True)


def test_a_mount_point_may_have_any_character_in_its_name():
    name = "/m\r\v\f\x1c\x85\u2028x"  # each but the x ends a line for str.splitlines
    (entry,) = parse_mountinfo(f"1 2 0:3 / {name} rw - tmpfs none rw\n")
    assert entry.mount_point == name


def test_lines_without_all_fields_are_skipped():
    broken = ["", "x", " - ", "1 2 3 4 5", "1 2 3 / / rw - ext4", "1 2 3 / / rw shared:1"]
    assert parse_mountinfo("\n".join([*broken, TEXT])) == parse_mountinfo(TEXT)
