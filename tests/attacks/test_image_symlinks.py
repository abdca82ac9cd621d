"""Images that have links, files and pipes where chrun mounts and writes."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.attacks.conftest import SECRET
from tests.support import images
from tests.support.box import unpack_busybox
from tests.support.needs import needs

pytestmark = needs("busybox", "overlay")

# What chrun mounts on, makes, writes or hides
_PLACES = (
    "proc", "proc/sys", "proc/self", "sys", "sys/firmware", "dev", "dev/console", "dev/fd",
    "dev/mqueue", "dev/null", "dev/ptmx", "dev/pts", "dev/shm", "dev/stdin", "etc",
    "etc/hostname", "etc/hosts", "etc/resolv.conf",
)  # fmt: skip
_SHOW = "cat /etc/hosts /etc/hostname /dev/console /secret /proc/secret /dev/secret 2>/dev/null; :"


@pytest.fixture
def hostile(tmp_path):
    """A root file system that a test fills as an attacker would."""
    directory = tmp_path / "root"
    directory.mkdir()
    unpack_busybox(directory)
    return directory


def put(root: Path, place: str) -> Path:
    """Give the path of a place that is free now."""
    path = root / place
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.is_dir() and not path.is_symlink():
        subprocess.run(["rm", "-r", path], check=True)
    path.unlink(missing_ok=True)
    return path


def run_hostile(chrun, root, *options, script=_SHOW):
    """Run in a hostile root: it works, or chrun says in one line why not; no secret is seen."""
    done = chrun("run", *options, root, "sh", "-c", script, status=None)
    assert done.returncode in {0, 125, 126, 127}, done.stderr
    if done.returncode == 125:
        assert done.stderr.startswith("chrun: cannot ")
    assert SECRET not in done.stdout + done.stderr
    return done


@pytest.mark.parametrize("place", _PLACES)
def test_a_link_in_the_place_of_what_chrun_makes_leads_nowhere(chrun, hostile, victim, place):
    """CVE-2019-19921, CVE-2023-27561, CVE-2025-31133, -52565, CVE-2026-41579, -47766, -88264."""
    for target in (str(victim), f"../../../../../../../..{victim}", f"{victim}/secret"):
        put(hostile, place).symlink_to(target)
        run_hostile(chrun, hostile)
        run_hostile(chrun, hostile, "-t")


@pytest.mark.parametrize("place", _PLACES)
def test_a_file_or_a_pipe_there_is_no_way_to_wait_or_to_write(chrun, hostile, victim, place):
    """CVE-2025-24965: what is mounted on is never opened."""
    put(hostile, place).write_text("an image's")
    run_hostile(chrun, hostile)
    os.mkfifo(put(hostile, place))
    run_hostile(chrun, hostile)


@pytest.mark.parametrize("place", ["etc/hosts", "etc/resolv.conf", "etc/hostname"])
def test_the_machines_files_are_never_written_through_a_link(chrun, hostile, victim, place):
    """CVE-2025-24965, CVE-2018-15664: it becomes the file inside that the link leads to."""
    put(hostile, place).symlink_to(f"{victim}/hosts")
    script = f"echo more >> /{place} || :; cat {victim}/hosts | wc -l"
    done = run_hostile(chrun, hostile, "--hostname", "box", script=script)
    assert done.returncode == 0
    assert int(done.stdout) >= 1


@pytest.mark.parametrize("name", ["proc", "dev"])
def test_system_mounts_are_not_elsewhere(chrun, hostile, name):
    """CVE-2019-19921, CVE-2023-27561, CVE-2026-41579: a link in their place is refused."""
    put(hostile, name).symlink_to("/etc")
    done = run_hostile(chrun, hostile)
    assert done.returncode == 125
    assert f"on /{name}: the image has a symlink there" in done.stderr


def test_hidden_paths_are_hidden_by_null_itself(chrun, hostile, victim):
    """CVE-2025-31133: with /dev/null of the image's a link, what hides is still the device."""
    put(hostile, "dev/null").symlink_to(f"{victim}/null")
    script = "for f in /proc/kcore /proc/keys; do [ ! -e $f ] || stat -c %F $f; done"
    done = run_hostile(chrun, hostile, script=script)
    assert done.returncode == 0
    assert set(done.stdout.splitlines()) <= {"character special file"}


def test_a_working_directory_that_is_a_link_stays_inside(chrun, hostile, victim):
    """CVE-2024-21626: neither a link nor a descriptor of chrun's is a way out."""
    put(hostile, "way").symlink_to("/proc/self/fd/7")
    (hostile / "out").symlink_to(victim)
    for target in ("/way", "/out", "/proc/self/cwd", "/proc/1/root"):
        run_hostile(chrun, hostile, "-w", target, script="pwd; cat secret 2>/dev/null; :")


@pytest.mark.parametrize("name", ["passwd", "group"])
def test_accounts_are_read_from_files_only(chrun, hostile, name):
    """CVE-2024-9676: a link, a pipe or an endless file in the place of /etc/passwd is none."""
    put(hostile, f"etc/{name}").symlink_to("/dev/zero")
    run_hostile(chrun, hostile, "-u", "0:0", script=":")
    os.mkfifo(put(hostile, f"etc/{name}"))
    assert chrun("run", "-u", "redis:redis", hostile, "true", status=125).stderr


@pytest.mark.parametrize("name", ["passwd", "group"])
def test_accounts_are_not_read_from_a_file_that_fills_the_memory(chrun, hostile, name):
    """CVE-2024-9676: a terabyte that takes no room in the image is not read."""
    with put(hostile, f"etc/{name}").open("wb") as file:
        file.truncate(1 << 40)
    done = chrun("run", "-u", "redis:redis", hostile, "true", status=125)
    assert done.stderr.startswith("chrun: cannot ")


def test_an_image_brings_no_device_that_can_be_opened(chrun, registry):
    """A disk of the machine's, as a file of the image or of a volume that it fills."""
    tree = {"bin": images.directory(), "data": images.directory()}
    for place in ("zero", "data/zero"):
        tree[place] = images.device("c", 1, 5, mode=0o666)
    below = images.layer(_plain_busybox())
    registry.add(images.image([below, images.layer(tree)], cmd=["sh"]), "devices", "1")
    name = f"{registry.host}/devices:1"
    script = "for f in /zero /data/zero /v/zero; do head -c 1 $f | wc -c; done 2>/dev/null"
    ways = [(), ("--rootfs", "copy"), ("-v", "devices:/data"), ("--scratch", "tmpfs"),
            ("--mount", f"type=image,source={name},target=/v")]  # fmt: skip
    if os.geteuid() == 0:  # for whom only there are ids of nobody's, and devices on the disk
        ways += [("--userns", "auto", *way) for way in ways]
    for options in ways:
        assert set(chrun("run", *options, name, "sh", "-c", script).stdout.split()) == {"0"}
    chrun("volume", "rm", "devices")


def _plain_busybox() -> bytes:
    import gzip

    _config, blob = images.busybox().blobs
    return gzip.decompress(blob)
