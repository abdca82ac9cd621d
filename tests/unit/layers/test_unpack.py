"""What becomes of owners, modes, times, attributes and errors; and how much memory it takes."""

from __future__ import annotations

import gzip
import json
import os
import stat
import subprocess
import threading
from typing import TYPE_CHECKING

import pytest

from chrun.errors import StoreError, UnsupportedMediaTypeError
from chrun.layers.owners import Owners
from chrun.layers.unpack import unpack_layer
from tests.support.images import (
    TEST_IMAGES,
    device,
    digest_of,
    directory,
    fifo,
    file,
    hardlink,
    official_busybox,
    symlink,
    tar,
)
from tests.support.layers import PLENTY, unpack
from tests.support.needs import needs
from tests.support.trees import names, snapshot

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

BOTH = [Owners.CALLER, pytest.param(Owners.IMAGE, marks=needs("root"))]
both = pytest.mark.parametrize("owners", BOTH)


@needs("root")
def test_root_keeps_owners_devices_and_capabilities(tmp_path: Path) -> None:
    capability = b"\x01\0\0\x02\0\x04\0\0\0\0\0\0\0\0\0\0\0\0\0\0"
    tree = {
        "ping": file("x", 0o4755, uid=5, gid=7, xattrs=(("security.capability", capability),)),
        "null": device("c", 1, 3, mode=0o666, uid=1, gid=2),
        "disk": device("b", 259, 70000, mode=0o660),
        "pipe": fifo(mode=0o622, uid=3, mtime=9),
        "link": symlink("ping", uid=8, gid=9, mtime=4),
        "d": directory(0o2770, uid=10, gid=11, mtime=12, xattrs=(("trusted.x", b"y"),)),
    }
    unpack(tree, tmp_path)
    nodes = snapshot(tmp_path)
    assert (nodes["ping"].mode, nodes["ping"].uid, nodes["ping"].gid) == (0o4755, 5, 7)
    assert nodes["ping"].xattrs == (("security.capability", capability),)
    assert (nodes["null"].kind, nodes["null"].device) == ("character device", (1, 3))
    assert (nodes["null"].mode, nodes["null"].uid, nodes["null"].gid) == (0o666, 1, 2)
    assert (nodes["disk"].kind, nodes["disk"].device) == ("block device", (259, 70000))
    assert (nodes["pipe"].kind, nodes["pipe"].mode, nodes["pipe"].uid) == ("fifo", 0o622, 3)
    assert (nodes["link"].uid, nodes["link"].gid, nodes["link"].mtime_ns) == (8, 9, 4 * 10**9)
    assert (nodes["d"].mode, nodes["d"].uid, nodes["d"].gid) == (0o2770, 10, 11)
    assert nodes["d"].xattrs == (("trusted.x", b"y"),)


def test_everything_is_the_callers_where_owners_are_not_kept(tmp_path: Path) -> None:
    attributes = (("user.a", b"1"), ("security.capability", b"x"), ("trusted.x", b"y"))
    tree = {"d": directory(uid=5, gid=6), "d/f": file("x", uid=2**40, xattrs=attributes)}
    unpack(tree, tmp_path, owners=Owners.CALLER)
    nodes = snapshot(tmp_path)
    assert {(node.uid, node.gid) for node in nodes.values()} == {(os.geteuid(), os.getegid())}
    assert nodes["d/f"].xattrs == (("user.a", b"1"),)


def test_modes_are_kept_but_the_caller_can_read(tmp_path: Path) -> None:
    tree = {
        "shadow": file("x", 0),
        "sudo": file("x", 0o4111),
        "closed": directory(0),
        "closed/f": file("x", 0o440),
        "readonly": directory(0o555),
        "readonly/f": "x",
        "tmp": directory(0o1777),
        ".": directory(0o555),
    }
    unpack(tree, tmp_path, owners=Owners.CALLER)
    assert {name: oct(node.mode) for name, node in snapshot(tmp_path).items()} == {
        "shadow": "0o400",
        "sudo": "0o4511",
        "closed": "0o500",
        "closed/f": "0o440",
        "readonly": "0o555",
        "readonly/f": "0o644",
        "tmp": "0o1777",
        ".": "0o755",
    }


@both
def test_modes_do_not_depend_on_the_umask(tmp_path: Path, owners: Owners) -> None:
    before = os.umask(0o077)
    try:
        unpack(
            {"d": directory(0o777), "d/f": file("", 0o666), "i/f": fifo(mode=0o666)},
            tmp_path,
            owners=owners,
        )
    finally:
        os.umask(before)
    modes = {name: node.mode for name, node in snapshot(tmp_path).items()}
    assert modes == {".": 0o755, "d": 0o777, "d/f": 0o666, "i": 0o755, "i/f": 0o666}


@both
def test_times_of_directories_survive_what_is_put_into_them(tmp_path: Path, owners: Owners) -> None:
    many = [(f"many/{number}", directory(mtime=number)) for number in range(100)]
    entries = [
        ("a", directory(0o555, mtime=1)),
        ("a/b", directory(0o500, mtime=2)),
        ("a/b/c", file("", mtime=3)),
        ("many", directory(mtime=4)),
        *many,
        ("a/late", file("", mtime=5)),
        ("a/b/later", symlink("x", mtime=6)),
        ("many/7/f", file("", mtime=7)),
        (".", directory(mtime=8)),
    ]
    unpack(tar(entries), tmp_path, owners=owners)
    times = {name: node.mtime_ns // 10**9 for name, node in snapshot(tmp_path).items()}
    assert times["."] == 8
    assert (times["a"], times["a/b"], times["many"]) == (1, 2, 4)
    assert [times[f"many/{number}"] for number in range(100)] == list(range(100))
    assert snapshot(tmp_path)["a/b"].mode == 0o500


@both
def test_a_directory_may_come_after_what_is_in_it(tmp_path: Path, owners: Owners) -> None:
    unpack(
        {"a/b/f": file(), "a/b": directory(0o700, mtime=1), "a": directory(0o711, mtime=2)},
        tmp_path,
        owners=owners,
    )
    nodes = snapshot(tmp_path)
    assert (nodes["a/b"].mode, nodes["a/b"].mtime_ns) == (0o700, 10**9)
    assert (nodes["a"].mode, nodes["a"].mtime_ns) == (0o711, 2 * 10**9)


def test_a_directory_that_is_only_implied_is_roots_and_of_the_epoch(tmp_path: Path) -> None:
    unpack({"a/b/f": file("", mtime=99)}, tmp_path)
    for name in (".", "a", "a/b"):
        node = snapshot(tmp_path)[name]
        assert (node.mode, node.mtime_ns, node.uid) == (0o755, 0, os.geteuid())


def test_the_last_of_several_entries_wins(tmp_path: Path) -> None:
    pairs = [
        ("x", "file"), ("x", directory()), ("x/y/z", "deep"), ("x", symlink("y")), ("x", "again"),
        ("d", directory(0o700)), ("d/kept", ""), ("d", directory(0o711)), ("p", fifo()), ("p", "f"),
    ]  # fmt: skip
    unpack(tar(pairs), tmp_path)
    assert names(tmp_path) == ["d", "d/kept", "p", "x"]
    assert (tmp_path / "x").read_text() == "again"
    assert (tmp_path / "p").read_text() == "f"
    assert snapshot(tmp_path)["d"].mode == 0o711


def test_a_file_that_becomes_another_leaves_its_hard_links_alone(tmp_path: Path) -> None:
    unpack(tar([("a", "old"), ("b", hardlink("a")), ("a", "new")]), tmp_path)
    assert ((tmp_path / "a").read_text(), (tmp_path / "b").read_text()) == ("new", "old")


def test_hard_links_lead_to_files_symlinks_and_pipes(tmp_path: Path) -> None:
    tree = {
        "d/f": "x",
        "s": symlink("d"),
        "p": fifo(),
        "e/f2": hardlink("d/f"),
        "f3": hardlink("e/f2"),
        "s2": hardlink("./s"),
        "p2": hardlink("/p"),
    }
    unpack(tree, tmp_path)
    inodes = [(tmp_path / name).lstat().st_ino for name in tree]
    assert len(set(inodes[:3])) == 3
    assert inodes[3:] == [inodes[0], inodes[0], inodes[1], inodes[2]]


def test_a_hard_link_to_itself_changes_nothing(tmp_path: Path) -> None:
    unpack(tar([("f", "x"), ("f", hardlink("f"))]), tmp_path)
    assert (tmp_path / "f").read_text() == "x"


@needs("root")
def test_a_set_group_id_directory_does_not_give_its_group_away(tmp_path: Path) -> None:
    tree = {"d": directory(0o2775, gid=50), "e": "", "d/f": file("", gid=0), "d/sub": directory()}
    unpack(tree, tmp_path)
    nodes = snapshot(tmp_path)
    assert (nodes["d"].gid, nodes["d/f"].gid, nodes["d/sub"].gid) == (50, 0, 0)
    assert (nodes["d"].mode, nodes["d/sub"].mode) == (0o2775, 0o755)


@both
def test_a_directory_keeps_its_mode_when_the_archive_comes_back_to_it(
    tmp_path: Path, owners: Owners
) -> None:
    entries = [
        ("d", directory(0o2555, mtime=1)),
        *((f"other{number}", directory()) for number in range(100)),
        ("d/f", file()),
        ("d/sub", directory(0o700)),
    ]
    unpack(tar(entries), tmp_path, owners=owners)
    nodes = snapshot(tmp_path)
    assert (nodes["d"].mode, nodes["d"].mtime_ns) == (0o2555, 10**9)
    assert nodes["d/sub"].mode == 0o700


@needs("root")
def test_a_set_group_id_directory_that_the_archive_comes_back_to_keeps_its_group_too(
    tmp_path: Path,
) -> None:
    others = [(f"other{number}", directory()) for number in range(100)]
    entries = [("d", directory(0o2775, gid=50)), *others, ("d/f", file("", gid=0)), ("d/i/f", "")]
    unpack(tar(entries), tmp_path)
    nodes = snapshot(tmp_path)
    assert (nodes["d/f"].gid, nodes["d/i"].gid, nodes["d/i"].mode) == (0, 0, 0o755)


def test_sparse_files_keep_their_holes(tmp_path: Path) -> None:
    with (tmp_path / "holes").open("wb") as made:
        made.seek(50 << 20)
        made.write(b"end")
    for tar_format in ("gnu", "pax"):
        archive = subprocess.run(
            ["tar", "--sparse", f"--format={tar_format}", "-C", tmp_path, "-c", "holes"],
            capture_output=True, check=True,
        ).stdout  # fmt: skip
        unpack(archive, tmp_path / tar_format)
        found = tmp_path / tar_format / "holes"
        assert found.stat().st_size == (50 << 20) + 3
        assert found.stat().st_blocks * 512 < 1 << 20
        assert found.read_bytes()[-3:] == b"end"


def test_an_unknown_media_type_is_no_layer(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedMediaTypeError, match="unknown media type 'application/x'"):
        unpack_layer("layer 1", [], str(tmp_path), media_type="application/x",
                     owners=Owners.CALLER, limits=PLENTY)  # fmt: skip


def test_what_the_chunks_raise_is_raised(tmp_path: Path) -> None:
    def broken() -> Iterator[bytes]:
        yield tar({"f": "x" * 10000})[:2000]
        raise ConnectionResetError("by the test")

    with pytest.raises(ConnectionResetError, match="by the test"):
        unpack(broken(), tmp_path)


def test_no_thread_is_left_behind_after_an_error(tmp_path: Path) -> None:
    with pytest.raises(StoreError):
        unpack([tar({"f" * 300: ""}), *[bytes(1 << 18)] * 200], tmp_path)
    assert not [thread for thread in threading.enumerate() if "decompress" in thread.name]


def test_no_descriptor_is_left_behind(tmp_path: Path) -> None:
    before = os.listdir("/proc/self/fd")
    tree = {f"{number}/{number}/f": "" for number in range(50)}
    unpack(tree, tmp_path / "good")
    with pytest.raises(StoreError):
        unpack(tree | {"f" * 300: ""}, tmp_path / "bad")
    assert len(os.listdir("/proc/self/fd")) == len(before)


def test_what_the_file_system_refuses_names_layer_and_file(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"^cannot unpack layer 1: ffff.*: file name too long$"):
        unpack({"f" * 300: ""}, tmp_path)


@needs("ordinary user")
def test_a_directory_that_cannot_be_written_to_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="cannot unpack layer 1: /: operation not permitted"):
        unpack_layer("layer 1", [], "/usr", media_type="application/vnd.oci.image.layer.v1.tar",
                     owners=Owners.CALLER, limits=PLENTY)  # fmt: skip


@needs("images")
def test_the_official_busybox_layer_has_its_published_diff_id(tmp_path: Path) -> None:
    image = official_busybox()
    diff_ids = json.loads(image.blobs[0])["rootfs"]["diff_ids"]
    assert [str(unpack(image.blobs[1], tmp_path))] == diff_ids
    assert (tmp_path / "bin/busybox").samefile(tmp_path / "bin/sh")


@needs("images")
def test_alpines_root_file_system_is_the_same_as_tar_makes_it(tmp_path: Path) -> None:
    (archive,) = TEST_IMAGES.glob("alpine-minirootfs-*.tar.gz")
    (tmp_path / "theirs").mkdir()
    subprocess.run(
        ["tar", "-xpzf", archive, "-C", tmp_path / "theirs", "--numeric-owner"], check=True
    )
    content = archive.read_bytes()
    assert unpack(content, tmp_path / "ours") == digest_of(gzip.decompress(content))
    assert snapshot(tmp_path / "ours") == snapshot(tmp_path / "theirs")


@needs("root")
def test_mapped_owners_are_kept_but_for_devices_and_the_top(tmp_path):
    tree = {
        "./": directory(0o500, uid=5, gid=6),
        "dir": directory(0o000, uid=7, gid=8),
        "dir/file": file("x", 0o4755, uid=7, gid=9),
        "disk": device("b", 8, 0, uid=3),
    }
    unpack(tree, tmp_path / "layer", owners=Owners.MAPPED)
    top, disk = (tmp_path / "layer").stat(), (tmp_path / "layer/disk").stat()
    assert (top.st_uid, top.st_gid, stat.S_IMODE(top.st_mode)) == (0, 0, 0o700)
    assert stat.S_ISREG(disk.st_mode)
    assert (disk.st_size, disk.st_uid) == (0, 3)
    inner, setuid = ((tmp_path / "layer" / name).stat() for name in ("dir", "dir/file"))
    assert (inner.st_uid, stat.S_IMODE(inner.st_mode)) == (7, 0)
    assert (setuid.st_gid, stat.S_IMODE(setuid.st_mode)) == (9, 0o4755)
