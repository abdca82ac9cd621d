"""Rights of the caller's, or of the machine's root, that a container must not get."""

from __future__ import annotations

import os
import subprocess

import pytest

from tests.support import images
from tests.support.needs import needs
from tests.support.probe import parse_seen

NOTHING = frozenset[str]()


def look_as(chrun, wrapper, *flags, image):
    """Run the probe with chrun started through another command."""
    command = [*wrapper, *chrun.command("run", *flags, image, "/probe")]
    done = subprocess.run(command, env=chrun.env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return parse_seen(done.stdout)


@needs("root")
@pytest.mark.parametrize("user", ["root", "www-data"])
def test_cve_2022_24769_inheritable_capabilities_of_the_caller(chrun, probe_dir, user):
    """CVE-2022-24769, CVE-2022-29162: a file with inheritable capabilities would gain them."""
    wrapper = ("setpriv", "--inh-caps", "+net_raw,+sys_admin", "--ambient-caps", "+net_raw")
    seen = look_as(chrun, wrapper, "-u", user, image=probe_dir)
    assert seen.capabilities["inheritable"] == seen.capabilities["ambient"] == NOTHING
    assert "CAP_NET_RAW" not in seen.capabilities["bounding"]


@needs("root")
@pytest.mark.parametrize("user", ["root", "1000:1000", "www-data"])
def test_cve_2022_2995_supplementary_groups_of_the_caller(chrun, probe_dir, user):
    """CVE-2022-2995: groups of the caller open the machine's files, of volumes for example."""
    wrapper = ("setpriv", "--groups", "0,4,6,27,998")
    assert not {4, 6, 27, 998} & set(look_as(chrun, wrapper, "-u", user, image=probe_dir).groups)


def test_cve_2022_36109_the_own_group_cannot_be_shaken_off(chrun, probe_dir):
    """CVE-2022-36109, CVE-2023-25173: a group that is denied something must stay a group."""
    seen = look_as(chrun, (), image=probe_dir)
    if seen.gid_map == ((0, os.getegid(), 1),):  # there is no other group to have instead
        assert seen.texts["/proc/self/setgroups"] == "deny\n"
    else:
        assert seen.gids[0] in seen.groups


@pytest.mark.parametrize("user", ["4294967296", "2147483648:1", "1:4294967296", "-1", "0:-1"])
def test_cve_2024_40635_ids_that_overflow_to_root(chrun, box, user):
    """CVE-2024-40635: an id that wraps around is root's."""
    done = chrun("run", "-u", user, box, "id", status=125)
    assert "ids go from 0 to 2147483647" in done.stderr


@pytest.mark.parametrize("user", ["4294967296", "2147483648", "1000:4294967296", "-1:0"])
def test_cve_2024_40635_an_image_that_names_such_ids_does_not_run(chrun, registry, user):
    """CVE-2024-40635: the image's own USER is no better than what a user asks for."""
    registry.add(images.image([images.layer({"x": "y"})], cmd=["/x"], user=user), "users", "1")
    done = chrun("run", "--pull", "always", f"{registry.host}/users:1", status=125)
    assert "ids go from 0 to 2147483647" in done.stderr


@needs("root")
def test_a_disk_of_the_machine_cannot_be_made(chrun, box):
    """With the machine's devices made by number, its files could be read block by block."""
    done = chrun("run", box, "sh", "-c", "mknod /tmp/disk b 8 0 || mknod /tmp/mem c 1 1", status=1)
    assert done.stderr.count("Operation not permitted") == 2


@needs("ordinary user")
def test_a_disk_that_only_seems_to_be_made_is_none(chrun, box):
    """With one id mapped mknod(2) succeeds for package managers, and does nothing."""
    script = "mknod /tmp/disk b 8 0; test -b /tmp/disk && echo a disk"
    assert "a disk" not in chrun("run", box, "sh", "-c", script, status=None).stdout


@pytest.mark.parametrize(
    "attempt",
    [
        "mount -t tmpfs none /mnt",
        "mount -o remount,rw /proc/sys",
        "umount /proc/keys",
        "chroot / mount -t proc none /mnt",
        "unshare -m true",
        "hostname other",
        "echo h >/proc/sysrq-trigger",
        "cat /proc/sys/kernel/panic >/proc/sys/kernel/panic",
        "ip link set lo mtu $(cat /sys/class/net/lo/mtu)",
    ],
)
def test_root_inside_is_no_root_outside(chrun, box, attempt):
    """What root of the machine may do with one command, root of a container may not.

    Each is harmless, should it succeed.
    """
    chrun("run", box, "sh", "-c", f"{attempt} && exit 42; exit 7", status=7)
