"""Layers copied over one another, as an overlay of them would look."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from pathlib import Path
from tempfile import mkdtemp
from typing import TYPE_CHECKING

import pytest

from chrun.errors import RootfsError
from chrun.rootfs.copy import copy_layers
from tests.support.images import device, directory, fifo, file, hardlink, symlink
from tests.support.layers import unpack
from tests.support.needs import needs
from tests.support.trees import names, snapshot

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tests.support.images import Entry


@pytest.fixture
def shm(tmp_path: Path) -> Iterator[Path]:
    """A directory on another file system than tmp_path's."""
    if os.stat("/dev/shm").st_dev == tmp_path.stat().st_dev:
        pytest.skip("there is no second file system")
    made = Path(mkdtemp(dir="/dev/shm"))
    yield made
    shutil.rmtree(made)


def copied(tmp_path: Path, *layers: Mapping[str, Entry | str | bytes]) -> Path:
    directories = [tmp_path / str(number) for number in range(len(layers))]
    for tree, target in zip(layers, directories, strict=True):
        unpack(tree, target)
    copy_layers([str(layer) for layer in directories], str(tmp_path / "root"))
    return tmp_path / "root"


def test_a_copy_of_one_layer_is_that_layer(tmp_path: Path) -> None:
    tree = {
        "d": directory(0o1777, mtime=3, xattrs=(("user.d", b"1"),)),
        "d/f": file("x" * 100_000, 0o4751, mtime=4, xattrs=(("user.f", b"\0\xff"),)),
        "d/empty": file("", 0o400),
        "e/f2": hardlink("d/f"),
        "l": symlink("d/f", mtime=5),
        "l2": hardlink("l"),
        "p": fifo(mode=0o620, mtime=6),
        "ro": directory(0o555, mtime=7),
        "ro/x": "y",
        ".": directory(0o750, mtime=8),
    }
    root = copied(tmp_path, tree)
    assert snapshot(root) == snapshot(tmp_path / "0")
    assert snapshot(root)["e/f2"].same_as == "d/f"


@needs("root")
def test_root_copies_owners_and_devices(tmp_path: Path) -> None:
    tree = {
        "f": file("x", 0o6755, uid=5, gid=6),
        "l": symlink("f", uid=7, gid=8),
        "null": device("c", 1, 3, uid=9, mode=0o666),
        "d": directory(0o2755, uid=10, gid=11, xattrs=(("trusted.t", b"1"),)),
        "d/f": "",
    }
    root = copied(tmp_path, tree)
    assert snapshot(root) == snapshot(tmp_path / "0")
    assert snapshot(root)["l"].uid == 7


def test_upper_layers_come_over_lower_ones(tmp_path: Path) -> None:
    root = copied(
        tmp_path,
        {"a": "1", "b": "1", "d": directory(0o700), "d/x": "1", "t/u/v": "1", "l": symlink("d")},
        {"a": "2", "d": directory(0o711, mtime=9), "d/y": "2", "t": "2", "l/z": "2"},
        {"b": directory(), "b/c": "3", "t": symlink("a")},
    )
    assert names(root) == ["a", "b", "b/c", "d", "d/x", "d/y", "l", "l/z", "t"]
    assert (root / "a").read_text() == "2"
    assert os.readlink(root / "t") == "a"
    assert (snapshot(root)["d"].mode, snapshot(root)["d"].mtime_ns) == (0o711, 9 * 10**9)


def test_whiteouts_and_opaque_directories_take_away(tmp_path: Path) -> None:
    root = copied(
        tmp_path,
        {"f": "", "d/a": "", "d/b/c": "", "o/old": "", "r/old": "", "kept": ""},
        {".wh.f": "", "d/.wh.b": "", "o/.wh..wh..opq": "", "o/new": "", ".wh.r": "", "r/new": "",
         ".wh.never": ""},
    )  # fmt: skip
    assert names(root) == ["d", "d/a", "kept", "o", "o/new", "r", "r/new"]
    assert all(node.xattrs == () for node in snapshot(root).values())


def test_an_opaque_top_takes_all_away(tmp_path: Path) -> None:
    assert names(copied(tmp_path, {"a/b": "", "c": ""}, {".wh..wh..opq": "", "d": ""})) == ["d"]


def test_what_was_taken_away_can_come_back(tmp_path: Path) -> None:
    root = copied(tmp_path, {"d/a": "1"}, {".wh.d": ""}, {"d/b": "3"})
    assert names(root) == ["d", "d/b"]


def test_a_link_of_one_layer_does_not_lead_the_next_outside(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.mkdir()
    (victim / "passwd").write_text("good")
    root = copied(
        tmp_path,
        {"d": symlink(str(victim)), "f": symlink(f"{victim}/passwd"), "w": symlink(str(victim))},
        {"d/passwd": "evil", "f": "evil", "w/.wh.passwd": "", "w/.wh..wh..opq": ""},
    )
    assert names(victim) == ["passwd"]
    assert (victim / "passwd").read_text() == "good"
    assert (root / "d/passwd").read_text() == "evil"


def test_files_that_replace_hard_links_leave_the_others_alone(tmp_path: Path) -> None:
    root = copied(tmp_path, {"a": "1", "b": hardlink("a"), "c": hardlink("a")}, {"b": "2"})
    assert [(root / name).read_text() for name in "abc"] == ["1", "2", "1"]
    assert (root / "a").samefile(root / "c")


def test_holes_stay_holes(tmp_path: Path) -> None:
    layer = tmp_path / "layer"
    layer.mkdir()
    with (layer / "f").open("wb") as made:
        made.write(b"start")
        made.seek(30 << 20)
        made.write(b"middle")
        made.truncate(60 << 20)
    (layer / "hole").touch()
    os.truncate(layer / "hole", 1 << 20)
    copy_layers([str(layer)], str(tmp_path / "root"))
    assert snapshot(tmp_path / "root") == snapshot(layer)
    assert (tmp_path / "root/f").stat().st_blocks * 512 < 1 << 20


def test_layers_on_another_file_system_are_copied_too(tmp_path: Path, shm: Path) -> None:
    unpack({"f": "x" * 300_000, "d/g": hardlink("f"), "l": symlink("f")}, shm / "layer")
    copy_layers([str(shm / "layer")], str(tmp_path / "root"))
    assert snapshot(tmp_path / "root") == snapshot(shm / "layer")


def test_a_copy_is_independent_of_its_layer(tmp_path: Path) -> None:
    root = copied(tmp_path, {"f": "x" * 10_000})
    (root / "f").write_text("changed")
    assert (tmp_path / "0/f").read_text() == "x" * 10_000


def test_no_layers_are_an_empty_directory(tmp_path: Path) -> None:
    assert names(copied(tmp_path)) == []


def test_a_layer_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(RootfsError, match=r"^cannot copy /nowhere to .*/root: no such file"):
        copy_layers(["/nowhere"], str(tmp_path / "root"))


def test_a_directory_that_is_too_deep_is_told(tmp_path: Path) -> None:
    deep = "d/" * 400
    (tmp_path / "layer" / deep).mkdir(parents=True)
    try:
        with pytest.raises(RootfsError, match=r"^cannot copy .*/layer: its directories are too d"):
            copy_layers([str(tmp_path / "layer")], str(tmp_path / "root"))
    finally:  # not by shutil, which goes no deeper
        subprocess.run(["rm", "-r", tmp_path / "layer", tmp_path / "root"], check=True)


def test_sockets_are_left_out(tmp_path: Path) -> None:
    (tmp_path / "layer").mkdir()
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "layer/s"))
        copy_layers([str(tmp_path / "layer")], str(tmp_path / "root"))
    assert names(tmp_path / "root") == []
