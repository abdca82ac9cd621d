"""chrun where root is the root of a user namespace only: LXC, rootless podman, unshare."""

from __future__ import annotations

import subprocess

import pytest

from tests.support import images
from tests.support.chrun import CHRUN
from tests.support.needs import needs

pytestmark = needs("images", "overlay", "userns")


@pytest.fixture
def inside(tmp_path):
    """Give a function that runs chrun as root of a user namespace in which one id exists."""

    def run(*words):
        return subprocess.run(
            ["unshare", "--user", "--map-root-user", CHRUN, "--root", tmp_path / "data", *words],
            capture_output=True,
            text=True,
        )

    return run


@pytest.fixture
def rootfs(tmp_path):
    path = tmp_path / "rootfs"
    path.mkdir()
    subprocess.run(["tar", "-xz", "-C", path], input=images.busybox().blobs[1], check=True)
    return path


def test_a_directory_runs(inside, rootfs):
    done = inside("run", str(rootfs), "sh", "-c", "id -u; echo gone > /dev/null; touch /new")
    assert (done.stdout, done.stderr, done.returncode) == ("0\n", "", 0)
    assert not (rootfs / "new").exists()


def test_a_directory_can_be_copied(inside, rootfs):
    done = inside("run", "--rootfs", "copy", str(rootfs), "echo", "up")
    assert (done.stdout, done.stderr, done.returncode) == ("up\n", "", 0)


def test_an_archive_whose_owners_do_not_exist_there_runs(inside, rootfs, tmp_path):
    archive = tmp_path / "rootfs.tar"
    owners = ("--owner=4242", "--group=4242")
    subprocess.run(["tar", "-c", *owners, "-f", archive, "-C", rootfs, "."], check=True)
    done = inside("run", str(archive), "stat", "-c", "%u", "/etc/passwd")
    assert (done.stdout, done.stderr, done.returncode) == ("0\n", "", 0)


def test_info_tells_that_this_root_is_not_the_machines(inside):
    done = inside("info")
    assert done.returncode == 0
    assert "uid 0, in a user namespace" in done.stdout


def test_no_network_works_where_an_outer_container_hides_parts_of_sys(rootfs, tmp_path):
    # A new sysfs would show what the outer one hides, so the kernel refuses it.
    chrun = f"{CHRUN} --root {tmp_path}/data run --network none {rootfs}"
    script = f"mount -t tmpfs none /sys/firmware && exec {chrun} sh -c 'cat /proc/net/dev; ls /sys'"
    command = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.stderr, done.returncode) == ("", 0)
    interfaces = [line.split(":")[0].strip() for line in done.stdout.splitlines() if ":" in line]
    assert interfaces == ["lo"]
    assert "class" in done.stdout.split()
