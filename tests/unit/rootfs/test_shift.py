"""A tree that becomes a range's."""

from __future__ import annotations

import os
import stat

import pytest

from chrun.errors import RootfsError
from chrun.rootfs.shift import shift_owners
from tests.support.needs import needs

FIRST = 700_000


@needs("root")
def test_every_owner_is_moved_once_and_nothing_else_changes(tmp_path):
    tree = tmp_path / "tree"
    (tree / "d").mkdir(parents=True)
    (tree / "d/file").write_text("x")
    os.chown(tree / "d/file", 5, 6)
    (tree / "d/file").chmod(0o6755)
    os.setxattr(
        tree / "d/file", "security.capability", bytes.fromhex("0000000200040000" + "0" * 24)
    )
    os.link(tree / "d/file", tree / "twin")
    (tree / "link").symlink_to("/etc/passwd")
    os.mkfifo(tree / "pipe", 0o640)
    (tree / "d").chmod(0o2751)
    target = os.stat("/etc/passwd")
    shift_owners(str(tree), FIRST, FIRST + 1)
    owners = {path.name: (path.lstat().st_uid - FIRST, path.lstat().st_gid - FIRST - 1)
              for path in (tree, *tree.rglob("*"))}  # fmt: skip
    assert owners == {
        "tree": (0, 0), "d": (0, 0), "file": (5, 6), "twin": (5, 6), "link": (0, 0), "pipe": (0, 0),
    }  # fmt: skip
    modes = [stat.S_IMODE((tree / name).lstat().st_mode) for name in ("d", "d/file", "pipe")]
    assert modes == [0o2751, 0o6755, 0o640]
    assert os.getxattr(tree / "d/file", "security.capability")[4:6] == b"\0\4"
    assert os.stat("/etc/passwd").st_uid == target.st_uid


def test_a_tree_that_is_not_there_is_an_error(tmp_path):
    with pytest.raises(RootfsError, match="cannot change the owners"):
        shift_owners(str(tmp_path / "none"), 1, 1)
