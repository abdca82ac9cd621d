"""Trees of mounts: grabbed, changed, and put in place."""

from __future__ import annotations

import os
import stat
import subprocess

import pytest

from chrun.runtime.steps import Bind, Directory, Mount, Node
from chrun.runtime.trees import Grab, Like, Place
from tests.support.box import INIT, MS_NOEXEC, MS_NOSUID, MS_RDONLY, Box
from tests.support.needs import needs

pytestmark = needs("busybox", "overlay")

MS_REC, MS_SLAVE = 1 << 14, 1 << 19


@pytest.fixture
def volume(tmp_path):
    directory = tmp_path / "volume"
    (directory / "part").mkdir(parents=True)
    (directory / "part" / "file").write_text("content")
    return directory


def tree(source, target, *, below="", flags=0, clear=0):
    return [Grab(0, str(source), below, True), Place(0, target, flags, clear, True, 0, "it")]


def test_a_grabbed_tree_is_put_where_it_is_wanted(box, volume):
    assert box.sh("cat /v/part/file", inside=tree(volume, "/v")) == "content"
    (volume / "part" / "file").write_text("one file")
    inside = tree(volume / "part" / "file", "/new/file")
    assert box.sh("cat /new/file", inside=inside) == "one file"


def test_a_grabbed_tree_has_the_flags_asked_for(box, volume):
    inside = tree(volume, "/v", flags=MS_RDONLY | MS_NOSUID | MS_NOEXEC)
    options = box.sh("grep ' /v ' /proc/mounts", inside=inside).split()[3].split(",")
    assert {"ro", "nosuid", "noexec"} <= set(options)


def test_a_part_of_a_volume_is_all_that_is_shown(box, volume):
    assert box.sh("ls /v", inside=tree(volume, "/v", below="part")) == "file\n"


@pytest.mark.parametrize("leads", ["..", "../..", "/", "/etc", "part/../../.."])
def test_no_link_leads_from_a_part_out_of_its_volume(box, volume, leads):
    # CVE-2017-1002101, CVE-2021-25741: who writes to a volume chooses what its paths lead to
    (volume / "out").symlink_to(leads)
    done = box.run("ls", "/v", inside=tree(volume, "/v", below="out"))
    assert done.returncode == 125
    assert done.stdout == ""


def test_no_magic_link_leads_from_a_part_out_of_its_volume(box):
    done = box.run("ls", "/v", inside=tree("/proc", "/v", below="self/root"))
    assert done.returncode == 125


def test_a_tree_is_never_put_on_what_an_images_link_says_is_proc(tmp_path, busybox_dir, volume):
    # CVE-2019-16884
    layer = tmp_path / "hostile"
    layer.mkdir()
    (layer / "link").symlink_to("/proc/self")
    hostile = Box(tmp_path, layer, busybox_dir)
    for inside in (tree(volume, "/link/attr"), [Mount("tmpfs", "/link/attr", 0, "", (), True)]):
        done = hostile.run("true", inside=inside)
        assert done.returncode == 125
        assert "on /link/attr: " in done.stderr


def test_a_slot_is_used_once_and_holds_one_tree(box, volume):
    grab, place = tree(volume, "/v")
    for inside in ([place], [grab, grab], [grab, place, place], [grab.replace(slot=32)]):
        assert box.run("true", inside=inside).returncode == 125


def test_what_was_grabbed_and_not_placed_is_not_open_inside(box, volume):
    assert box.sh("ls /proc/1/fd; :", inside=[Grab(3, str(volume), "", True)]) == "0\n1\n2\n"


def test_a_directory_gets_the_owner_and_mode_of_another(box, volume):
    volume.chmod(0o3750)
    steps = [Directory("copy", 0o755), Like(str(volume), "copy")]
    inside = [*steps, *tree("copy", "/v")]
    owner = os.getuid() if os.getuid() == 0 else 0  # inside, the caller is root
    assert box.sh("stat -c '%a %u' /v", inside=inside) == f"3750 {owner}\n"


@needs("root")
def test_a_tree_grabbed_before_mounts_are_private_still_hears_of_the_machines(box, tmp_path):
    # in a mount namespace of this test's own, whose mounts are shared within it
    volume = tmp_path / "volume"
    volume.mkdir()
    plan = box.plan("sh", "-c", "echo; read x; cat /v/late/file")
    grab = Grab(0, str(volume), "", True)
    place = Place(0, "/v", 0, 0, True, MS_SLAVE | MS_REC, "it")
    steps = list(plan.steps)
    private = next(i for i, step in enumerate(steps) if type(step).__name__ == "Propagation")
    pivot = next(i for i, step in enumerate(steps) if type(step).__name__ == "PivotRoot")
    for name, before in (("grabbed", private), ("late", pivot)):
        made = plan.replace(
            steps=(*steps[:before], grab, *steps[before:pivot], place, *steps[pivot:])
        )
        assert heard(made, volume, tmp_path) == (name == "grabbed")


def heard(plan, volume, tmp_path):
    """Say whether a container sees what is mounted in its volume when it runs already."""
    (tmp_path / "plan").write_bytes(plan.encode())
    script = f"""
mount --bind {volume} {volume} && mount --make-shared {volume} || exit 9
exec 5<{tmp_path}/plan
mkfifo {tmp_path}/go
{INIT} plan=5 id=0123456789abcdef <{tmp_path}/go >{tmp_path}/out &
exec 6>{tmp_path}/go
until [ -s {tmp_path}/out ]; do sleep 0.02; done
mkdir -p {volume}/late && mount -t tmpfs none {volume}/late && echo there >{volume}/late/file
echo >&6
wait $!
"""
    private = ["unshare", "--mount", "--propagation", "private", "sh", "-c", script]
    subprocess.run(private, capture_output=True, timeout=20)
    told = (tmp_path / "out").read_text()
    for name in ("go", "out"):
        (tmp_path / name).unlink()
    return "there" in told


@needs("root")
def test_a_node_can_be_a_block_device_with_an_owner(box):
    inside = [Node("/dev/new/disk", stat.S_IFBLK | 0o640, 7, 200, 3, 6)]
    shown = box.sh("stat -c '%F %a %u %g' /dev/new/disk", inside=inside)
    assert shown == "block special file 640 3 6\n"


def test_a_bind_never_lands_where_an_images_link_says_is_proc(tmp_path, busybox_dir, volume):
    # CVE-2019-16884, CVE-2023-28642
    layer = tmp_path / "hostile"
    layer.mkdir()
    (layer / "link").symlink_to("/proc/self")
    hostile = Box(tmp_path, layer, busybox_dir)
    done = hostile.run("true", inside=[Bind(str(volume), "/link/attr", True, 0)])
    assert done.returncode == 125
