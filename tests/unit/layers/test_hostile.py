"""Layers that try to get out of their directory. Each test has a victim outside."""

from __future__ import annotations

import os
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from chrun.errors import ChrunError, ContentError, UnsafeLayerError
from chrun.layers.owners import Owners
from tests.support.images import device, directory, fifo, file, hardlink, symlink, tar
from tests.support.layers import unpack
from tests.support.needs import needs
from tests.support.tar_headers import END, header, pax
from tests.support.trees import names, snapshot

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(autouse=True)
def victim(tmp_path: Path) -> Iterator[Path]:
    """A directory beside the layer's, which must be the same afterwards."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "passwd").write_text("root:x:0:0\n")
    (outside / "passwd").chmod(0o640)
    (outside / "dir").mkdir()
    before = snapshot(outside)
    around = set(os.listdir(tmp_path)) | {"layer"}
    yield outside
    assert snapshot(outside) == before
    assert set(os.listdir(tmp_path)) <= around


@pytest.fixture
def layer(tmp_path: Path) -> Path:
    """Where the layer is unpacked."""
    return tmp_path / "layer"


@pytest.mark.parametrize(
    "name",
    [
        "../outside/passwd",
        "/../outside/passwd",
        "a/../../outside/passwd",
        "..",
        "./../x",
        "a/b/../../../x",
    ],
)
def test_names_that_lead_above_the_top_are_refused(layer: Path, name: str) -> None:
    with pytest.raises(UnsafeLayerError, match=r"^cannot unpack layer 1: .* leaves the layer$"):
        unpack({name: "evil"}, layer)
    assert names(layer) == []


@pytest.mark.parametrize("kind", ["directory", "symlink", "hardlink", "whiteout"])
def test_no_kind_of_entry_leads_above_the_top(layer: Path, kind: str) -> None:
    entry = {
        "directory": {"../outside/new": directory()},
        "symlink": {"../outside/new": symlink("x")},
        "hardlink": {"x": "", "../outside/new": hardlink("x")},
        "whiteout": {"../outside/.wh.passwd": ""},
    }[kind]
    with pytest.raises(UnsafeLayerError, match="leaves the layer"):
        unpack(entry, layer)


def test_absolute_names_are_names_in_the_layer(layer: Path, victim: Path) -> None:
    unpack({f"{victim}/passwd": "evil"}, layer)
    assert (layer / f"{victim}/passwd".lstrip("/")).read_text() == "evil"


def test_dots_that_stay_inside_are_cleaned_away(layer: Path) -> None:
    unpack({"./a//b/./../c": "x"}, layer)
    assert names(layer) == ["a", "a/c"]


@pytest.mark.parametrize("target", ["../outside", "../../outside", "/outside", "dir/../../outside"])
def test_a_symlink_on_the_way_is_resolved_inside_the_layer(layer: Path, target: str) -> None:
    unpack({"dir": directory(), "link": symlink(target), "link/passwd": "evil"}, layer)
    assert (layer / "outside/passwd").read_text() == "evil"
    assert os.readlink(layer / "link") == target


def test_an_absolute_symlink_to_the_victim_is_resolved_inside_the_layer(
    layer: Path, victim: Path
) -> None:
    unpack({"link": symlink(str(victim)), "link/passwd": "evil"}, layer)
    assert (layer / str(victim).lstrip("/") / "passwd").read_text() == "evil"


def test_an_absolute_symlink_means_the_layers_top_wherever_it_stands(layer: Path) -> None:
    unpack({"a/b/link": symlink("/etc"), "a/b/link/passwd": "evil"}, layer)
    assert (layer / "etc/passwd").read_text() == "evil"


def test_a_chain_of_symlinks_with_dots_is_resolved_inside_the_layer(layer: Path) -> None:
    tree = {
        "a/b/c": directory(),
        "a/up": symlink("b/c/../../.."),
        "a/up/found": "",
        "x": symlink("a/up/../../../a/b"),
        "x/also": "",
    }
    unpack(tree, layer)
    assert {"found", "a/b/also"} <= set(names(layer))


def test_symlinks_in_a_circle_are_refused(layer: Path) -> None:
    with pytest.raises(UnsafeLayerError, match="too many symlinks"):
        unpack({"a": symlink("b"), "b": symlink("a"), "a/x": ""}, layer)


def test_a_file_that_replaces_a_symlink_does_not_follow_it(layer: Path, victim: Path) -> None:
    unpack([tar([("passwd", symlink(f"{victim}/passwd")), ("passwd", "evil")])], layer)
    assert (layer / "passwd").read_text() == "evil"
    assert not (layer / "passwd").is_symlink()


def test_a_directory_that_replaces_a_symlink_does_not_change_its_target(
    layer: Path, victim: Path
) -> None:
    pairs = [("dir", symlink(f"{victim}/dir")), ("dir", directory(0o777)), ("dir/x", "evil")]
    unpack([tar(pairs)], layer)
    assert names(layer) == ["dir", "dir/x"]
    assert not (layer / "dir").is_symlink()


def test_a_directory_that_becomes_a_symlink_is_resolved_anew(layer: Path, victim: Path) -> None:
    pairs = [("d/x", "1"), ("d", symlink(str(victim))), ("d/passwd", "evil")]
    unpack([tar(pairs)], layer)
    assert (layer / str(victim).lstrip("/") / "passwd").read_text() == "evil"
    assert (layer / "d").is_symlink()


@pytest.mark.parametrize("target", ["../outside/passwd", "a/../../outside/passwd"])
def test_hard_links_to_above_the_top_are_refused(layer: Path, target: str) -> None:
    with pytest.raises(UnsafeLayerError, match="leaves the layer"):
        unpack({"x": hardlink(target), "x/": ""}, layer)


def test_a_hard_link_to_an_absolute_name_means_the_layer(layer: Path, victim: Path) -> None:
    with pytest.raises(ContentError, match="which the layer does not have"):
        unpack({"x": hardlink(f"{victim}/passwd")}, layer)


def test_hard_links_through_symlinks_are_refused(layer: Path, victim: Path) -> None:
    with pytest.raises(UnsafeLayerError, match="through a symlink"):
        unpack({"link": symlink(str(victim)), "x": hardlink("link/passwd")}, layer)
    with pytest.raises(UnsafeLayerError, match="through a symlink"):
        unpack({"d/y": "", "inside": symlink("d"), "x": hardlink("inside/y")}, layer)


def test_a_write_through_a_hard_link_to_a_symlink_does_not_follow_it(
    layer: Path, victim: Path
) -> None:
    pairs = [
        ("link", symlink(f"{victim}/passwd")),
        ("hard", hardlink("link", mode=0o777, mtime=5)),
        ("hard", file("evil", mode=0o777)),
    ]
    unpack([tar(pairs)], layer)
    assert (layer / "hard").read_text() == "evil"
    assert (layer / "link").is_symlink()


def test_the_mode_of_a_hard_link_to_a_symlink_reaches_nobody(layer: Path, victim: Path) -> None:
    unpack({"link": symlink(f"{victim}/passwd"), "hard": hardlink("link", mode=0o777)}, layer)
    assert os.readlink(layer / "hard") == f"{victim}/passwd"


@pytest.mark.parametrize("name", [".", "/", "./", ""])
@pytest.mark.parametrize("kind", ["symlink", "hardlink", "file"])
def test_the_top_cannot_become_anything_but_a_directory(
    layer: Path, victim: Path, name: str, kind: str
) -> None:
    entry = {"symlink": symlink(str(victim)), "hardlink": hardlink("x"), "file": file("")}[kind]
    if kind == "file" and name.endswith("/"):
        entry = fifo()  # for a file whose name ends in a slash is a directory
    pairs = [("x", "1"), (name, entry), ("passwd", "evil")]
    with pytest.raises(UnsafeLayerError, match="makes its top directory something else"):
        unpack(tar(pairs), layer)
    assert layer.is_dir()
    assert not layer.is_symlink()


@pytest.mark.parametrize("name", [".wh.", ".wh..", ".wh...", "d/.wh.", "d/.wh..", "d/.wh..."])
def test_whiteouts_of_nothing_are_refused(layer: Path, name: str) -> None:
    with pytest.raises(ContentError, match="is a whiteout of nothing"):
        unpack({"d/x": "", name: ""}, layer)


def test_a_whiteout_below_a_symlink_stays_inside(layer: Path, victim: Path) -> None:
    unpack({"link": symlink(str(victim)), "link/.wh.passwd": ""}, layer)
    made = layer / str(victim).lstrip("/") / "passwd"
    assert snapshot(layer)[os.path.relpath(made, layer)].kind == "character device"


def test_an_opaque_mark_below_a_symlink_stays_inside(layer: Path, victim: Path) -> None:
    unpack({"link": symlink(str(victim)), "link/.wh..wh..opq": ""}, layer)
    inside = os.path.relpath(layer / str(victim).lstrip("/"), layer)
    assert ("user.overlay.opaque", b"y") in snapshot(layer)[inside].xattrs


def test_nothing_can_be_below_a_whiteout(layer: Path) -> None:
    with pytest.raises(ContentError, match="is below a whiteout"):
        unpack({".wh.d": directory(), ".wh.d/x": ""}, layer)


def test_a_parent_that_is_a_file_is_an_error(layer: Path) -> None:
    with pytest.raises(ContentError, match="etc is used as a directory, but is none"):
        unpack({"etc": "", "etc/passwd": ""}, layer)


def test_overlay_attributes_of_a_layer_are_never_honoured(layer: Path) -> None:
    forged = tuple(
        (f"{space}.overlay.{name}", b"y")
        for space in ("user", "trusted")
        for name in ("opaque", "redirect", "metacopy", "whiteout", "origin")
    )
    unpack({"d": directory(xattrs=forged), "d/f": file("", xattrs=forged)}, layer)
    assert all(node.xattrs == () for node in snapshot(layer).values())


def test_a_layer_for_an_ordinary_user_makes_no_devices(layer: Path) -> None:
    tree = {"null": device("c", 1, 3, mode=0o666), "sda": device("b", 8, 0), "x": hardlink("sda")}
    unpack(tree, layer, owners=Owners.CALLER)
    nodes = snapshot(layer)
    assert {node.kind for name, node in nodes.items() if name != "."} == {"file"}
    assert nodes["x"].same_as == "sda"


@pytest.mark.parametrize(("uid", "gid"), [(2**32 - 1, 0), (0, 2**32 - 1), (-1, 0), (2**40, 0)])
@needs("root")
def test_owners_that_chown_would_take_for_nobody_are_refused(
    layer: Path, uid: int, gid: int
) -> None:
    records = (("uid", str(uid)), ("gid", str(gid)))
    with pytest.raises(ContentError, match="no such owner"):
        unpack({"x": file("", mode=0o4755, pax=records)}, layer)


def test_a_process_that_swaps_directories_for_symlinks_meanwhile_gains_nothing(
    layer: Path, victim: Path
) -> None:
    archive = tar([(f"d{number % 40}/e/f{number}", "evil") for number in range(4000)])
    layer.mkdir()
    stop = threading.Event()

    def swap() -> None:
        while not stop.is_set():
            for number in range(40):
                path = layer / f"d{number}"
                try:
                    path.rename(layer / f"away-{os.urandom(4).hex()}")
                    path.symlink_to(victim)
                except OSError:
                    continue

    attacker = threading.Thread(target=swap)
    attacker.start()
    try:
        with suppress(ChrunError):  # noticed: also a good end, as nothing happened outside
            unpack(archive, layer)
    finally:
        stop.set()
        attacker.join()
    assert any(name.startswith("away-") for name in os.listdir(layer))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        (b"SCHILY.xattr.user.a\0b", b"x"),
        (b"LIBARCHIVE.xattr.user.a%00b", b"eA"),
        (b"LIBARCHIVE.xattr.user.a", b"x"),
    ],
)
def test_attributes_that_no_file_can_have_are_errors(layer: Path, key: bytes, value: bytes) -> None:
    archive = pax((key, value)) + header() + END
    with pytest.raises(ContentError, match=r"^cannot unpack layer 1: "):
        unpack(archive, layer)


@pytest.mark.parametrize("key", [b"size", b"uid", b"gid", b"mtime"])
@pytest.mark.parametrize("value", [b"%d" % (1 << 63), b"9" * 5000, b"-9" + b"9" * 18, b"1e3", b"-"])
def test_numbers_that_are_none_are_errors(layer: Path, key: bytes, value: bytes) -> None:
    with pytest.raises(ContentError, match=r"^cannot unpack layer 1: "):
        unpack(pax((key, value)) + header() + END, layer)
