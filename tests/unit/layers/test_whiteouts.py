"""What a layer takes away from those below it, whatever the order of its entries."""

from __future__ import annotations

import os
from itertools import permutations
from typing import TYPE_CHECKING

import pytest

from chrun.layers.limits import Limits
from chrun.layers.owners import Owners
from chrun.layers.unpack import unpack_archive
from chrun.layers.whiteouts import read_mark
from tests.support.images import Entry, directory, file, symlink, tar
from tests.support.layers import unpack
from tests.support.needs import needs
from tests.support.trees import names, snapshot

if TYPE_CHECKING:
    from pathlib import Path


def orders(*entries: tuple[str, Entry]) -> list[tuple[tuple[str, Entry], ...]]:
    return list(permutations(entries))


def is_hidden(tree: Path, name: str) -> bool:
    node = snapshot(tree)[name]
    return node.kind == "character device" and node.device == (0, 0)


def is_opaque(tree: Path, name: str) -> bool:
    return ("user.overlay.opaque", b"y") in snapshot(tree)[name].xattrs


@pytest.mark.parametrize("owners", [Owners.CALLER, pytest.param(Owners.IMAGE, marks=needs("root"))])
def test_a_whiteout_becomes_overlays_own(tmp_path: Path, owners: Owners) -> None:
    unpack({"etc": directory(), "etc/.wh.motd": ""}, tmp_path, owners=owners)
    assert names(tmp_path) == ["etc", "etc/motd"]
    assert is_hidden(tmp_path, "etc/motd")


@pytest.mark.parametrize(
    "order", orders(("d", directory(0o711)), ("d/f", file("x")), ("d/.wh..wh..opq", file()))
)
def test_an_opaque_mark_may_stand_anywhere(
    tmp_path: Path, order: tuple[tuple[str, Entry], ...]
) -> None:
    unpack(tar(order), tmp_path)
    assert names(tmp_path) == ["d", "d/f"]
    assert is_opaque(tmp_path, "d")
    assert snapshot(tmp_path)["d"].mode == 0o711


def test_the_top_can_be_opaque(tmp_path: Path) -> None:
    unpack({".wh..wh..opq": "", "f": ""}, tmp_path)
    assert is_opaque(tmp_path, ".")


@needs("root")
def test_root_marks_opaque_directories_for_both_kinds_of_mount(tmp_path: Path) -> None:
    unpack({"d/.wh..wh..opq": ""}, tmp_path)
    assert snapshot(tmp_path)["d"].xattrs == (
        ("trusted.overlay.opaque", b"y"),
        ("user.overlay.opaque", b"y"),
    )


@pytest.mark.parametrize("order", orders(("f", file("new")), (".wh.f", file())))
def test_a_file_that_the_layer_adds_outlives_its_whiteout(
    tmp_path: Path, order: tuple[tuple[str, Entry], ...]
) -> None:
    unpack(tar(order), tmp_path)
    assert (tmp_path / "f").read_text() == "new"


@pytest.mark.parametrize("order", orders(("f", symlink("gone")), (".wh.f", file())))
def test_a_symlink_that_the_layer_adds_outlives_its_whiteout(
    tmp_path: Path, order: tuple[tuple[str, Entry], ...]
) -> None:
    unpack(tar(order), tmp_path)
    assert os.readlink(tmp_path / "f") == "gone"


@pytest.mark.parametrize(
    "order", orders(("d", directory(0o711)), ("d/f", file("x")), (".wh.d", file()))
)
def test_a_directory_that_the_layer_makes_anew_is_opaque(
    tmp_path: Path, order: tuple[tuple[str, Entry], ...]
) -> None:
    unpack(tar(order), tmp_path)
    assert names(tmp_path) == ["d", "d/f"]
    assert is_opaque(tmp_path, "d")
    assert snapshot(tmp_path)["d"].mode == 0o711


def test_a_directory_that_is_only_implied_is_made_anew_too(tmp_path: Path) -> None:
    unpack(tar([(".wh.d", ""), ("d/e/f", "x")]), tmp_path)
    assert is_opaque(tmp_path, "d")
    assert not is_opaque(tmp_path, "d/e")


def test_a_whiteout_twice_is_one(tmp_path: Path) -> None:
    unpack(tar([(".wh.f", ""), (".wh.f", "")]), tmp_path)
    assert is_hidden(tmp_path, "f")


def test_the_files_that_aufs_kept_for_itself_are_left_out(tmp_path: Path) -> None:
    tree = {".wh..wh.aufs": "", ".wh..wh.plnk": directory(), ".wh..wh.plnk/1.2": "x", "f": ""}
    unpack(tree, tmp_path)
    assert names(tmp_path) == ["f"]


def test_the_content_of_a_whiteout_is_passed_over(tmp_path: Path) -> None:
    unpack({".wh.f": "x" * 2000, "g": "y"}, tmp_path)
    assert is_hidden(tmp_path, "f")
    assert (tmp_path / "g").read_text() == "y"


def test_an_archive_of_a_root_file_system_has_no_whiteouts(tmp_path: Path) -> None:
    archive = tar({"d/.wh.x": "", "d/.wh..wh..opq": ""})
    unpack_archive("x.tar", [archive], str(tmp_path), owners=Owners.CALLER, limits=Limits(10**6))
    assert names(tmp_path) == ["d", "d/.wh..wh..opq", "d/.wh.x"]


def test_plain_names_are_no_marks() -> None:
    assert read_mark(b"etc/x.wh.y") is None
    assert read_mark(b"etc/.whx") is None
