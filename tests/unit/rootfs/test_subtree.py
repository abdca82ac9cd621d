"""A directory found in stacked layers, and copied out of them."""

from __future__ import annotations

import os

import pytest

from chrun.errors import RootfsError
from chrun.rootfs.subtree import copy_subtree
from chrun.rootfs.whiteouts import make_whiteout, mark_opaque


@pytest.fixture
def layers(tmp_path):
    """Two layers, base first, and where to copy to."""
    for name in ("base", "top"):
        (tmp_path / name).mkdir()
    return tmp_path / "base", tmp_path / "top", tmp_path / "copy"


def fill(directory, *names):
    for name in names:
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{directory.name} {name}")


def names_in(directory):
    return sorted(
        os.path.relpath(os.path.join(where, name), directory)
        for where, _directories, files in os.walk(directory)
        for name in files
    )


def test_layers_are_copied_over_one_another(layers):
    base, top, copy = layers
    fill(base, "a/one", "a/both", "b/other")
    fill(top, "a/both", "a/deep/two")
    assert copy_subtree([str(base), str(top)], "/a", str(copy))
    assert names_in(copy) == ["both", "deep/two", "one"]
    assert (copy / "both").read_text() == "top a/both"


def test_the_directory_itself_keeps_its_mode(layers):
    base, top, copy = layers
    fill(base, "a/file")
    fill(top, "a/more")
    (top / "a").chmod(0o1750)
    copy_subtree([str(base), str(top)], "/a", str(copy))
    assert copy.stat().st_mode & 0o7777 == 0o1750


def test_what_an_upper_layer_hides_is_not_copied(layers):
    base, top, copy = layers
    fill(base, "gone/file", "shut/file", "file/below")
    fill(top, "shut/new", "file.txt")
    (top / "file").write_text("no directory any more")
    top_fd = os.open(top, os.O_RDONLY)
    shut_fd = os.open(top / "shut", os.O_RDONLY)
    make_whiteout("gone", dir_fd=top_fd)
    mark_opaque(shut_fd)
    os.close(top_fd)
    os.close(shut_fd)
    stacked = [str(base), str(top)]
    for path in ("/gone", "/file", "/missing", "/shut/file", "/file.txt"):
        assert not copy_subtree(stacked, path, str(copy))
        assert not copy.exists()
    assert copy_subtree(stacked, "/shut", str(copy))
    assert names_in(copy) == ["new"]


@pytest.mark.parametrize(
    "link", ["real", "/real", "../real", "../../../../real", "./real/.", "hop", "real/inner/.."]
)
def test_links_are_followed_among_the_layers(layers, link):
    base, top, copy = layers
    fill(base, "real/file", "real/inner/x")
    (base / "hop").symlink_to("/real")
    (top / "way").symlink_to(link)
    assert copy_subtree([str(base), str(top)], "/way", str(copy))
    assert names_in(copy) == ["file", "inner/x"]


def test_no_link_leads_out_of_the_layers(layers, tmp_path):
    base, top, copy = layers
    (tmp_path / "host").mkdir()
    (tmp_path / "host" / "secret").touch()
    for link in (tmp_path / "host", "../host", f"../../../..{tmp_path}/host"):
        (top / "way").symlink_to(link)
        assert not copy_subtree([str(base), str(top)], "/way", str(copy))
        assert not copy_subtree([str(base), str(top)], "/way/../way/.", str(copy))
        (top / "way").unlink()


def test_links_in_a_circle_are_an_error(layers):
    base, top, copy = layers
    (base / "a").symlink_to("b")
    (top / "b").symlink_to("a")
    with pytest.raises(RootfsError, match="too many levels"):
        copy_subtree([str(base), str(top)], "/a", str(copy))
    assert len(os.listdir("/proc/self/fd")) < 64
