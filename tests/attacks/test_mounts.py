"""Volumes: hostile targets, sources, neighbours and words."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from contextlib import contextmanager

import pytest

from chrun.runtime.steps import Bind
from chrun.runtime.trees import Grab, Place
from tests.attacks.conftest import SECRET
from tests.support import images
from tests.support.box import Box, run_init, unpack_busybox
from tests.support.needs import needs
from tests.support.probe import parse_seen, probe_program
from tests.support.trees import snapshot

pytestmark = needs("busybox", "overlay")

ROUNDS = 1000
_SWAP = """
import os, sys
os.chdir(sys.argv[1])

def remove(name):  # or leave it: a directory in which chrun has made something
    for unlink in (os.unlink, os.rmdir):
        try:
            return unlink(name)
        except OSError:
            pass

number = 0
while True:  # a directory, nothing, a link out of the container, nothing
    for make in (os.mkdir, lambda name: os.symlink(sys.argv[2], name)):
        number += 1
        try:
            make("target")
            os.rename("target", f"old-{number}")
            remove(f"old-{number}")
        except OSError:  # chrun was first
            os.rename("target", f"old-{number}")
"""


@pytest.fixture
def shared(tmp_path):
    """A volume that an attacker's container can write to."""
    directory = tmp_path / "shared"
    directory.mkdir()
    directory.chmod(0o777)
    return directory


@contextmanager
def swapping(shared, leads_to):
    """Have a neighbour turn `target` into a link and back, as quickly as it can."""
    command = [sys.executable, "-I", "-S", "-c", _SWAP, shared, leads_to]
    neighbour = subprocess.Popen(command)
    try:
        yield
        assert neighbour.poll() is None
    finally:
        neighbour.kill()
        neighbour.wait()


def test_a_target_that_a_neighbour_swaps_while_mounts_are_made(
    tmp_path, busybox_dir, shared, victim
):
    """CVE-2021-30465, CVE-2024-45310: in a thousand rounds nothing is made or seen outside."""
    box = Box(tmp_path, busybox_dir)
    volume = tmp_path / "volume"
    volume.mkdir()
    inside = [
        Bind(str(shared), "/shared", True, 0),
        Bind(str(volume), "/shared/target/made/here", True, 0),
        Grab(0, str(volume), "", True),
        Place(0, "/shared/target/placed", 0, 0, True, 0, "it"),
    ]
    plan = box.plan("cat", "/shared/target/secret", inside=inside)
    plan = plan.encode()
    ended = set()
    with swapping(shared, str(victim)):
        for _ in range(ROUNDS):
            done = run_init(plan)
            assert SECRET not in done.stdout
            ended.add(done.returncode)
    assert ended <= {1, 125}
    assert os.listdir(volume) == []


def test_a_part_of_a_volume_that_a_neighbour_swaps(tmp_path, busybox_dir, shared, victim):
    """CVE-2021-25741: the part that is shown is never what a link outside of the volume is."""
    box = Box(tmp_path, busybox_dir)
    grab, place = Grab(0, str(shared), "target", True), Place(0, "/v", 0, 0, True, 0, "it")
    plan = box.plan("cat", "/v/secret", inside=[grab, place]).encode()
    with swapping(shared, str(victim)):
        for _ in range(ROUNDS // 4):
            assert SECRET not in run_init(plan).stdout


@pytest.mark.parametrize(
    "link", ["{victim}", "../../../../../../../../{victim}", "/proc/self/root"]
)
def test_a_target_behind_a_link_stays_inside(chrun, tmp_path, victim, link):
    """CVE-2018-15664: a volume's target behind an image's link is made in the root."""
    root = tmp_path / "root"
    root.mkdir()
    unpack_busybox(root)
    (root / "way").symlink_to(link.format(victim=victim))
    volume = tmp_path / "volume"
    volume.mkdir()
    for option in (f"{volume}:/way/new/deep", f"{volume}:/way"):
        chrun("run", "-v", option, root, "sh", "-c", "touch /way/x; cat /secret", status=None)
        chrun("run", "--tmpfs", option.split(":")[1], root, "true", status=None)


def test_nothing_is_mounted_in_proc_by_name_or_by_link(chrun, box, tmp_path):
    """CVE-2019-16884, CVE-2023-28642: but for files that tell programs how large they may be."""
    root = tmp_path / "root"
    root.mkdir()
    unpack_busybox(root)
    (root / "way").symlink_to("/proc/self")
    (root / "there").symlink_to("/proc")
    meminfo = tmp_path / "meminfo"
    meminfo.write_text("as told\n")
    for target in ("/proc", "/proc/", "//proc", "/proc/self/attr", "/proc/sys", "/way/attr",
                   "/there/sys", "/there"):  # fmt: skip
        done = chrun("run", "-v", f"{tmp_path}:{target}", root, "true", status=125)
        assert done.stderr.startswith("chrun: cannot "), target
        chrun("run", "--tmpfs", target, root, "true", status=125)
    out = chrun("run", "-v", f"{meminfo}:/proc/meminfo:ro", box, "cat", "/proc/meminfo").stdout
    assert out == "as told\n"


def test_sys_shown_by_a_volume_is_hidden_as_the_containers_own(chrun, box):
    """CVE-2015-3630: what is masked stays masked below a volume of the machine's /sys."""
    assert chrun("run", "-v", "/sys:/sys:ro", box, "ls", "-A", "/sys/firmware").stdout == ""


@pytest.mark.parametrize(
    "words",
    ["shared,suid", "rshared\\054dev", "shared:rw", "SHARED", "shared ", "ro,propagation=x"],
)
def test_a_propagation_is_one_of_six_words(chrun, box, tmp_path, words):
    """CVE-2024-9407: no other option of mount(2) comes with it."""
    given = f'type=bind,source={tmp_path},target=/v,"bind-propagation={words}"'
    assert "bind-propagation is" in chrun("run", "--mount", given, box, "true", status=125).stderr


@pytest.mark.parametrize("leads", ["{victim}", "../../../..{victim}", "../../../../../../../.."])
def test_a_volume_is_filled_from_the_image_alone(chrun, tmp_path, victim, leads):
    """CVE-2022-23648: a link in the place of a volume's target copies nothing of the host's."""
    root = tmp_path / "root"
    root.mkdir()
    unpack_busybox(root)
    (root / "data").symlink_to(leads.format(victim=victim))
    (root / "dir").mkdir()
    (root / "dir" / "inner").symlink_to(victim)
    for target in ("/data", "/dir/inner", "/data/.", "/dir/inner/../inner"):
        done = chrun("run", "-v", f"filled:{target}", root, "sh", "-c", f"ls -A {target}; cat "
                     f"{target}/secret", status=None)  # fmt: skip
        assert SECRET not in done.stdout
    where = chrun.home / "volumes" / "filled" / "_data"
    assert not (where / "secret").exists()
    chrun("volume", "rm", "filled")


def test_what_a_link_in_a_volume_leads_to_is_not_copied(chrun, tmp_path, victim):
    """CVE-2022-23648: links are copied as links."""
    root = tmp_path / "root"
    root.mkdir()
    unpack_busybox(root)
    (root / "data").mkdir()
    (root / "data" / "way").symlink_to(victim)
    chrun("run", "-v", "filled:/data", root, "true")
    assert (chrun.home / "volumes" / "filled" / "_data" / "way").is_symlink()
    chrun("volume", "rm", "filled")


def test_removing_a_volume_follows_no_link(chrun, box, victim):
    """CVE-2024-23652: what its containers made of it leads the removal nowhere."""
    links = f"ln -s {victim} /v/link; ln -s {victim}/secret /v/file; ln -s .. /v/a/up"
    chrun("run", "-v", "links:/v", box, "sh", "-c", f"mkdir -p /v/a/b/c; {links}")
    chrun("volume", "rm", "links")
    assert not (chrun.home / "volumes" / "links").exists()


def test_an_images_link_is_no_source(chrun, registry, box, victim):
    """CVE-2024-1753: a part of an image that is mounted does not leave its layers."""
    links = {
        "out": images.symlink(str(victim)),
        "root": images.symlink("/"),
        "up": images.symlink("../../../../../.."),
    }
    registry.add(images.image([images.layer(links)], cmd=["x"]), "links", "1")
    for part in links:
        option = f"type=image,source={registry.host}/links:1,target=/v,image-subpath={part}"
        done = chrun("run", "--mount", option, box, "sh", "-c", "cat /v/secret; ls /v", status=None)
        assert SECRET not in done.stdout
        assert "etc" not in done.stdout.split()


def test_very_many_and_very_long_mounts(chrun, box, tmp_path):
    """CVE-2021-43784: no length overflows; it works, or it is refused in words."""
    volume = tmp_path / "volume"
    volume.mkdir()
    (volume / "file").write_text("seen")
    many = [word for number in range(300) for word in ("-v", f"{volume}:/many/{number}")]
    out = chrun("run", *many, box, "cat", "/many/0/file", "/many/299/file").stdout
    assert out == "seenseen"
    for length, status in ((3000, 0), (4095, None), (70000, 125)):
        target = "/" + ("x" * 200 + "/") * (length // 201)
        done = chrun("run", "-v", f"{volume}:{target}", box, "true", status=status)
        assert "Traceback" not in done.stderr
    name = "y" * 300
    done = chrun("run", "-v", f"{volume}:/{name}", box, "true", status=125)
    assert done.stderr.startswith("chrun: cannot bind ")


@needs("root")
def test_a_setuid_program_in_a_volume_gives_nothing(chrun, box, tmp_path):
    """CVE-2025-59156, no_new_privs: who runs it stays who it is, and without capabilities."""
    program = tmp_path / "probe"
    program.write_bytes(probe_program())
    program.chmod(0o4755)
    tmp_path.chmod(0o755)
    seen = parse_seen(
        chrun("run", "-u", "1234:1234", "-v", f"{tmp_path}:/v", box, "/v/probe").stdout
    )
    assert seen.uids == (1234, 1234, 1234)
    assert seen.capabilities["effective"] == frozenset()
    loose = ("--security-opt", "no-new-privileges=false")
    words = ("run", "-u", "1234:1234", *loose, "-v", f"{tmp_path}:/v:nosuid", box, "/v/probe")
    assert parse_seen(chrun(*words).stdout).uids == (1234, 1234, 1234)


@needs("root")
def test_a_device_that_somebody_made_in_a_volume_is_not_opened(chrun, box, tmp_path):
    """A disk of the machine's, say, by another container that may make devices."""
    os.mknod(tmp_path / "zero", stat.S_IFCHR | 0o666, os.makedev(1, 5))
    (tmp_path / "zero").chmod(0o666)
    script = "head -c 1 /v/zero 2>/dev/null | wc -c"

    def read(*words):
        return chrun("run", *words, box, "sh", "-c", script).stdout.strip()

    for option in (":/v", ":/v:ro", ":/v:O", ":/v:rro"):
        assert read("-v", f"{tmp_path}{option}") == "0", option
        assert read("--userns", "auto", "-v", f"{tmp_path}{option}") == "0", option
    assert read("-v", f"{tmp_path}:/v:dev") == read("-v", f"{tmp_path}/zero:/v/zero") == "1"
    assert read("--privileged", "-v", f"{tmp_path}:/v") == "1"
    done = chrun("run", "-v", f"{tmp_path}:/dev", box, "true", status=125)
    assert f"-v {tmp_path}:/dev:dev" in done.stderr


def test_containers_write_neither_to_their_images_nor_to_each_other(chrun, box):
    """Layers are shared by all containers of an image: what one writes no other sees."""
    layers = chrun.home / "layers"
    before = {path.name: snapshot(path) for path in layers.iterdir()}
    script = (
        "echo evil > /bin/sh.new; rm -rf /etc/* /home; chmod 777 /bin; echo x >> /bin/busybox; :"
    )
    chrun("run", box, "sh", "-c", script)
    chrun("run", "--tmpfs", "/tmp", box, "sh", "-c", f"{script} mount -o remount,rw / || :")
    assert {path.name: snapshot(path) for path in layers.iterdir()} == before
    assert chrun("run", box, "ls", "/bin/sh.new", "/home", status=1).stdout == "/home:\n"


def test_an_image_that_is_mounted_is_not_written_to(chrun, box):
    """The layers of another image, mounted, are no more writable than one's own."""
    layers = chrun.home / "layers"
    before = {path.name: snapshot(path) for path in layers.iterdir()}
    option = f"type=image,source={box},target=/v,readonly=false"
    script = "echo x > /v/new; rm -rf /v/etc; mount -o remount,rw /v; echo x >> /v/bin/busybox; :"
    chrun("run", "--mount", option, box, "sh", "-c", script)
    assert {path.name: snapshot(path) for path in layers.iterdir()} == before


def test_a_read_only_volume_cannot_be_made_writable(chrun, box, tmp_path):
    """Neither by remounting nor by a device or a path of its own."""
    (tmp_path / "file").write_text("as it was")
    script = "mount -o remount,rw /v; mount -o remount,bind,rw /v; echo x > /v/file; umount /v; " \
             "echo x > /v/file; :"  # fmt: skip
    for rung in ("confined", "namespaces"):
        chrun("run", "--isolation", rung, "-v", f"{tmp_path}:/v:ro", "-u", "0", box, "sh", "-c",
              script if rung == "confined" else "echo x > /v/file; :")  # fmt: skip
        assert (tmp_path / "file").read_text() == "as it was"
