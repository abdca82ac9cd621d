"""Finding /etc/passwd in a stack of layers."""

from __future__ import annotations

import os

import pytest

from chrun.errors import RootfsError
from chrun.rootfs.lookup import read_layer_file, visible_layers

LIMIT = 100


def layer(tmp_path, name, content=None):
    directory = tmp_path / name
    (directory / "etc").mkdir(parents=True)
    if content is not None:
        (directory / "etc" / "passwd").write_bytes(content)
    return str(directory)


def read(*layers):
    return read_layer_file(layers, "etc", "passwd", LIMIT)


def test_the_topmost_layer_wins(tmp_path):
    assert read(layer(tmp_path, "a", b"base"), layer(tmp_path, "b", b"top")) == b"top"


def test_a_layer_without_the_file_shows_the_one_below(tmp_path):
    (tmp_path / "empty").mkdir()
    layers = (layer(tmp_path, "a", b"base"), layer(tmp_path, "b"), str(tmp_path / "empty"))
    assert read(*layers) == b"base"


def test_a_symlink_is_not_followed_out_of_the_image(tmp_path):
    # CVE-2024-9676
    below, above = layer(tmp_path, "a", b"base"), layer(tmp_path, "b")
    os.symlink("/etc/passwd", f"{above}/etc/passwd")
    assert read(below, above) == b""


def test_a_symlinked_directory_is_not_followed_either(tmp_path):
    directory = tmp_path / "a"
    directory.mkdir()
    os.symlink("/etc", directory / "etc")
    assert read(str(directory)) == b""


def test_a_fifo_does_not_block_and_a_huge_file_is_not_read(tmp_path):
    fifo, huge = layer(tmp_path, "a"), layer(tmp_path, "b", b"x" * (LIMIT + 1))
    os.mkfifo(f"{fifo}/etc/passwd")
    assert read(fifo) == b""
    assert read(huge) == b""


def test_an_opaque_directory_hides_the_layers_below(tmp_path):
    below, above = layer(tmp_path, "a", b"base"), layer(tmp_path, "b")
    os.setxattr(f"{above}/etc", "user.overlay.opaque", b"y")
    assert read(below, above) == b""


def test_a_layer_whose_root_is_opaque_hides_all_below_it(tmp_path):
    layers = [layer(tmp_path, name, name.encode()) for name in ("a", "b", "c")]
    assert visible_layers(layers) == tuple(layers)
    os.setxattr(layers[1], "user.overlay.opaque", b"y")
    assert visible_layers(layers) == tuple(layers[1:])


def test_a_layer_that_is_gone_is_told_with_what_to_do(tmp_path):
    with pytest.raises(RootfsError, match="no such file or directory"):
        visible_layers([str(tmp_path / "gone")])
