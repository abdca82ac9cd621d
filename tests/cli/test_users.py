"""--userns: whose ids a container's are, outside and on the disk."""

from __future__ import annotations

import gzip
import os
import signal
import subprocess
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.support import images
from tests.support.chrun import Chrun
from tests.support.needs import needs
from tests.support.registry import FakeRegistry
from tests.support.waiting import is_abandoned, wait_until

pytestmark = needs("busybox", "overlay")
RANGES = Path("/run/chrun/ranges")

ACCOUNTS = "root:x:0:0:root:/root:/bin/sh\nredis:x:999:998:redis:/data:/bin/sh\n"
GROUPS = "root:x:0:\nredis:x:998:\nlogs:x:77:redis\n"
# What official images of servers do: hand their data over, then become their user.
ENTRYPOINT = """#!/bin/sh
set -e
if [ "$(id -u)" = 0 ]; then
    chown redis:redis /data
    exec su redis -s /entrypoint
fi
[ "$(stat -c %u /data)" = "$(id -u)" ] || { echo "data directory has wrong ownership"; exit 1; }
echo x > /data/file
echo "$(id -u):$(id -g) $(stat -c %u:%g /data/file)"
"""


def server_image():
    """Give an image of a server with a user of its own, and with files of several owners."""
    _config, busybox = images.busybox().blobs
    tree = {
        "etc/passwd": ACCOUNTS,
        "etc/group": GROUPS,
        "entrypoint": images.file(ENTRYPOINT, 0o755),
        "data": images.directory(0o755, uid=999, gid=998),
        "secret": images.directory(0o700, uid=999, gid=998),
        "secret/key": images.file("key\n", 0o600, uid=999, gid=998),
        "secret/deep": images.directory(0o000, uid=999, gid=998),
        "last": images.file("", 0o644, uid=65534, gid=65533),
        "dev/disk": images.device("b", 8, 0),
    }
    layers = [images.layer(gzip.decompress(busybox)), images.layer(tree)]
    return images.image(layers, entrypoint=["/entrypoint"])


@pytest.fixture(scope="module")
def server(registry):
    """The name of the server's image."""
    registry.add(server_image(), "server", "latest")
    return f"{registry.host}/server"


@pytest.fixture
def fresh(tmp_path):
    """The command with a store of its own."""
    return Chrun(tmp_path / "data")


@pytest.fixture
def open_door():
    """The command with a store in a directory that everybody may enter."""
    with TemporaryDirectory() as directory:
        Path(directory).chmod(0o755)
        yield Chrun(Path(directory) / "data")


def owner_outside(chrun, *words):
    """Give the first id of a container's user map, from outside."""
    inside, outside, count = chrun("run", *words, "cat", "/proc/self/uid_map").stdout.split()
    assert inside == "0"
    return int(outside), int(count)


def everything_below(directory):
    """Give the lstat(2) of all that is in a directory; as root, or as the owner of all."""
    found = [os.lstat(directory)]
    for parent, directories, files in os.walk(directory):
        found += [os.lstat(os.path.join(parent, name)) for name in (*directories, *files)]
    return found


# --- root: ids of nobody's, a range a container


@needs("root")
def test_auto_gives_root_a_range_of_its_own_and_the_image_its_owners(chrun, server):
    script = """
        id -u; cat /proc/self/uid_map /proc/self/gid_map
        stat -c %u:%g / /data /secret/key /last /proc/1 /dev /etc/hosts; cat /secret/key
        su redis -s /bin/sh -c id
        echo > /dev/null; mkdir /new; touch /new/file; chown 999:998 /new; chmod 4755 /new/file
        stat -c %u:%g:%a /new /new/file; mount | grep -c mqueue
    """
    done = chrun("run", "-q", "--userns", "auto", "--entrypoint", "sh", server, "-c", script)
    who, uids, gids, *seen = done.stdout.splitlines()
    assert who == "0"
    first, count = map(int, uids.split()[1:])
    assert (first % 65536, count) == (0, 65536)
    assert first >= 524288
    assert uids == gids
    assert seen == [
        "0:0", "999:998", "999:998", "65534:65533", "0:0", "0:0", "0:0", "key",
        "uid=999(redis) gid=998(redis) groups=77(logs),998(redis)",
        "999:998:755", "0:0:4755", "1",
    ]  # fmt: skip


@needs("root")
def test_ids_stay_taken_while_one_lives_that_joined_their_container(chrun, box):
    hold = ("--userns", "auto", "--name", "first")
    script = "cat /proc/self/uid_map; exec sleep 60"
    with chrun.start("run", *hold, box, "sh", "-c", script) as first:
        taken = int(first.stdout.readline().split()[1])
        join = ("--ipc", "container:first")
        with chrun.start("run", *join, box, "sh", "-c", script) as second:
            assert int(second.stdout.readline().split()[1]) == taken
            first.terminate()
            first.communicate(timeout=20)
            assert owner_outside(chrun, "--userns", "auto", box)[0] != taken
            second.terminate()
            second.communicate(timeout=20)
    assert owner_outside(chrun, "--userns", "auto", box)[0] == taken


@needs("root")
def test_two_containers_at_once_share_no_id_and_give_theirs_back(chrun, box):
    script = "cat /proc/self/uid_map; exec sleep 60"
    command = ("run", "--userns", "auto", box, "sh", "-c", script)
    with ExitStack() as ended:
        running = [ended.enter_context(chrun.start(*command)) for _ in range(3)]
        firsts = [int(each.stdout.readline().split()[1]) for each in running]
        assert len(set(firsts)) == 3
        taken, _count = owner_outside(chrun, "--userns", "auto", box)
        assert taken not in firsts
    assert owner_outside(chrun, "--userns", "auto", box)[0] == min(firsts)


@needs("root")
def test_what_a_container_with_ids_of_its_own_writes_is_roots_on_the_disk(fresh, server):
    script = "chown 999:998 /last; echo x > /mine; mkdir -p /a/b; rm /secret/key"
    fresh("run", "-q", "--userns", "auto", "--keep", "--entrypoint", "sh", server, "-c", script)
    (container,) = (fresh.home / "containers").iterdir()
    owners = {status.st_uid for status in everything_below(container / "upper")}
    assert owners == {0, 999}
    assert (container / "upper/last").lstat().st_uid == 999
    assert (container / "upper/mine").lstat().st_uid == 0
    layers = {status.st_uid for layer in fresh.layers() for status in everything_below(layer)}
    assert layers <= {0, 999, 65534, *range(200)}


@needs("root")
def test_a_containers_root_does_not_reach_into_the_store(open_door, box):
    """CVE-2021-21284: who has the ids outside finds no way to layers and other containers."""
    first, _count = owner_outside(open_door, "-q", "--userns", "auto", box)
    (layer,) = open_door.layers()
    for path in (open_door.home, open_door.home / "layers", layer, open_door.home / "base"):
        listing = subprocess.run(
            ["setpriv", f"--reuid={first}", f"--regid={first}", "--clear-groups", "ls", path],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert listing.returncode != 0
        assert "Permission denied" in listing.stderr


@needs("root")
def test_a_volume_belongs_to_the_range_unless_it_is_mapped(chrun, box, tmp_path):
    for name in ("plain", "mapped"):
        (tmp_path / name).mkdir()
        (tmp_path / name).chmod(0o777)
    tmp_path.chmod(0o700)  # root's way only
    first, _count = owner_outside(chrun, "--userns", "auto", box)
    options = ("-v", f"{tmp_path}/plain:/plain", "-v", f"{tmp_path}/mapped:/mapped:idmap")
    script = "touch /plain/file /mapped/file; chown 33 /mapped/file; stat -c %u /mapped /plain"
    seen = chrun("run", "--userns", "auto", *options, box, "sh", "-c", script).stdout.split()
    assert seen == ["0", "65534"]
    assert (tmp_path / "plain/file").stat().st_uid == first
    assert (tmp_path / "mapped/file").stat().st_uid == 33


@needs("root")
def test_a_copied_root_belongs_to_the_range(chrun, server):
    script = "stat -c %u:%g:%a / /secret/key /entrypoint; su redis -s /bin/sh -c 'echo x > /data/x'"
    done = chrun("run", "-q", "--userns", "auto", "--rootfs", "copy", "--entrypoint", "sh",
                 server, "-c", script)  # fmt: skip
    assert done.stdout.split() == ["0:0:755", "999:998:600", "0:0:755"]


@needs("root")
def test_an_entrypoint_becomes_its_user_in_a_range(chrun, server):
    assert chrun("run", "--userns", "auto", server).stdout == "999:998 999:998\n"


@needs("root")
def test_a_range_needs_no_terminal_to_be_right_and_has_one_when_asked(chrun, box):
    done = subprocess.run(
        ["script", "-qec", " ".join((*chrun.command("run", "-q", "--userns", "auto", "-it", box),
                                     "sh", "-c", "'tty; stat -c %u:%g /dev/pts/0'")), "/dev/null"],
        capture_output=True, text=True, env=chrun.env, check=False, stdin=subprocess.PIPE,
        timeout=30,
    )  # fmt: skip
    assert "/dev/console" in done.stdout or "/dev/pts/0" in done.stdout
    assert "0:5" in done.stdout


@needs("root")
@pytest.mark.parametrize("mode", ["single"])
def test_root_is_told_what_it_cannot_ask_for(chrun, box, mode):
    done = chrun("run", "--userns", mode, box, "true", status=125)
    assert f"cannot use --userns {mode}" in done.stderr
    assert "--userns auto" in done.stderr


@needs("root")
def test_a_changed_root_alone_has_no_user_namespace(chrun, box):
    done = chrun("run", "--isolation", "chroot", "--userns", "auto", box, "true", status=125)
    assert "cannot use --userns auto with --isolation chroot" in done.stderr


@needs("root")
def test_a_user_beyond_the_range_is_refused(chrun, box):
    done = chrun("run", "--userns", "auto", "-u", "70000", box, "true", status=125)
    assert "cannot run as user 70000: only ids from 0 to 65535 are mapped" in done.stderr
    chrun("run", "-u", "70000", box, "true")


# --- an ordinary user with one id


@needs("single id")
def test_who_has_no_subordinate_ids_is_told_what_to_ask_for(chrun, box):
    done = chrun("run", "--userns", "subuid", box, "true", status=125)
    assert "cannot use --userns subuid" in done.stderr
    assert "hint: ask for" in done.stderr
    done = chrun("run", "--userns", "auto", box, "cat", "/proc/self/uid_map")
    assert done.stdout.split()[2] == "1"
    assert "only one id is mapped" in done.stderr


@needs("ordinary user")
def test_an_ordinary_user_cannot_do_without_a_user_namespace(chrun, box):
    done = chrun("run", "--userns", "host", box, "true", status=125)
    assert "cannot use --userns host" in done.stderr


@needs("ordinary user")
def test_one_id_can_be_asked_for(chrun, box):
    done = chrun("run", "-q", "--userns", "single", "-u", "7", box, "cat", "/proc/self/uid_map")
    assert done.stdout.split() == ["7", str(os.getuid()), "1"]


# --- an ordinary user with subordinate ids


@needs("subordinate ids")
def test_the_caller_is_root_inside_and_all_others_are_subordinate_ids(chrun, box):
    done = chrun("run", box, "cat", "/proc/self/uid_map", "/proc/self/setgroups")
    first, second, setgroups = done.stdout.splitlines()
    assert first.split() == ["0", str(os.getuid()), "1"]
    assert second.split()[0] == "1"
    assert int(second.split()[2]) >= 65535
    assert setgroups == "allow"
    assert done.stderr == ""


@needs("subordinate ids")
def test_the_images_owners_are_kept(chrun, server):
    script = "stat -c %u:%g:%a / /data /secret/key /secret/deep /last; cat /secret/key"
    done = chrun("run", "-q", "--entrypoint", "sh", server, "-c", script)
    assert done.stdout.split() == [
        "0:0:755", "999:998:755", "999:998:600", "999:998:0", "65534:65533:644", "key",
    ]  # fmt: skip


@needs("subordinate ids")
def test_an_entrypoint_really_becomes_its_user(chrun, server):
    assert chrun("run", server).stdout == "999:998 999:998\n"
    done = chrun("run", "-u", "redis", "--entrypoint", "id", server)
    assert done.stdout.strip() == "uid=999(redis) gid=998(redis) groups=77(logs),998(redis)"


@needs("subordinate ids")
def test_a_server_refuses_data_that_is_not_its_own(chrun, server, tmp_path):
    (tmp_path / "data").mkdir()
    options = ("-v", f"{tmp_path}/data:/data", "-u", "redis")
    done = chrun("run", *options, server, status=1)
    assert done.stdout == "data directory has wrong ownership\n"
    script = "stat -c %u /data; chown redis /data; su redis -s /bin/sh -c 'echo x > /data/file'"
    done = chrun("run", *options[:2], "--entrypoint", "sh", server, "-c", script)
    assert done.stdout == "0\n"  # the caller's files are root's inside
    assert (tmp_path / "data/file").stat().st_uid not in {os.getuid(), 999}
    assert chrun("run", *options, server).stdout == "999:998 999:998\n"
    chrun("run", *options[:2], "--entrypoint", "sh", server, "-c", "rm /data/file; chown 0:0 /data")


@needs("subordinate ids")
def test_no_call_is_answered_in_the_kernels_place(chrun, server):
    script = "grep -c 00chrun /proc/mounts; mknod /x b 8 0 2>&1; chown 70000 /last 2>&1; true"
    done = chrun("run", "-q", "--entrypoint", "sh", server, "-c", script)
    count, mknod, chown = done.stdout.splitlines()
    assert count == "0"
    assert "not permitted" in mknod
    assert "Invalid argument" in chown


@needs("subordinate ids")
def test_nothing_of_subordinate_ids_is_left(fresh, server):
    script = "mkdir -p /data/a/b; chown -R redis /data; chmod 0 /data/a; chown redis /; echo x > /x"
    for options in ((), ("--rootfs", "copy"), ("--scratch", "tmpfs")):
        fresh("run", "-q", *options, "--entrypoint", "sh", server, "-c", script)
        assert fresh.leftovers() == []
    assert len(fresh.layers()) == 2
    assert fresh("rmi", server).stderr == ""
    assert fresh.layers() == []
    assert fresh.leftovers() == []
    assert "Total reclaimed space" in fresh("prune").stdout


@needs("subordinate ids")
def test_the_room_that_trees_of_subordinate_ids_took_is_told(fresh, registry):
    tree = {"d": images.directory(0o700, uid=5), "d/f": images.file(bytes(3_000_000), uid=5)}
    registry.add(images.image([images.layer(tree)], cmd=["x"]), "big", "latest")
    fresh("pull", f"{registry.host}/big")
    registry.add(images.image([images.layer({"other": "1"})], cmd=["x"]), "big", "latest")
    fresh("pull", f"{registry.host}/big")
    assert "Total reclaimed space: 3" in fresh("prune").stdout


@needs("subordinate ids")
def test_a_copied_root_keeps_the_owners_too(chrun, server):
    done = chrun("run", "-q", "--rootfs", "copy", "--entrypoint", "stat", server,
                 "-c", "%u:%g:%a", "/secret/deep", "/last")  # fmt: skip
    assert done.stdout.split() == ["999:998:0", "65534:65533:644"]


@needs("subordinate ids")
def test_a_killed_run_leaves_nothing_that_its_owner_cannot_remove(fresh, server):
    script = "mkdir -p /data/a; chown -R redis /data; chmod 0 /data; echo up; exec sleep 100"
    with fresh.start("run", "-q", "--entrypoint", "sh", server, "-c", script) as running:
        assert running.stdout.readline() == "up\n"
        running.send_signal(signal.SIGKILL)
        running.communicate(timeout=20)
    (container,) = (fresh.home / "containers").iterdir()
    wait_until(lambda: is_abandoned(container))
    assert fresh("run", "-q", "--entrypoint", "true", server).stderr == ""
    assert fresh.leftovers() == []


@needs("subordinate ids")
def test_an_image_of_one_id_serves_many_without_the_network_and_the_other_way_round(fresh):
    for first, second in (("single", "subuid"), ("subuid", "single")):
        with FakeRegistry() as registry:
            registry.add(server_image(), "server", "latest")
            name = f"{registry.host}/server"
            options = ("run", "-q", "--entrypoint", "stat")
            before = fresh(*options, "--userns", first, name, "-c", "%u", "/data").stdout
        after = fresh(*options, "--userns", second, name, "-c", "%u", "/data").stdout
        assert {first: before, second: after} == {"single": "0\n", "subuid": "999\n"}
        fresh("rmi", name)
        assert fresh.layers() == []


@needs("subordinate ids")
def test_an_owner_beyond_the_ids_is_an_error_that_names_the_file(fresh, registry):
    tree = {"far": images.file("x", uid=3_000_000)}
    registry.add(images.image([images.layer(tree)], cmd=["x"]), "far", "latest")
    done = fresh("pull", f"{registry.host}/far", status=125)
    assert "far belongs to 3000000:0, which is not mapped" in done.stderr
    assert "--add-subuids" in done.stderr
    assert fresh.layers() == []
    assert not any(".tree" in left or "trash" in left for left in fresh.leftovers())


@needs("subordinate ids")
def test_a_pull_that_is_killed_leaves_no_process_and_nothing_else(fresh, registry):
    with FakeRegistry() as slow:
        slow.add(server_image(), "server", "latest")
        slow.faults.slow_seconds = 0.5
        with fresh.start("pull", f"{slow.host}/server") as pulling:
            wait_until(lambda: list(fresh.home.glob("partial/*.tree")))
            pulling.send_signal(signal.SIGKILL)
            pulling.communicate(timeout=20)
    fresh("prune")
    assert fresh.leftovers() == []
