"""What is in a directory, as values that can be compared.

    assert snapshot(unpacked) == snapshot(expected)
    assert snapshot(unpacked, ignoring=("mtime_ns",))["etc/motd"].content == b"hi"

Names, targets and attributes are text in the file system's encoding, the top directory is ".".
"""

from __future__ import annotations

import hashlib
import os
import stat
from typing import TYPE_CHECKING

from chrun.values import Value

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

_KINDS = {
    stat.S_IFREG: "file", stat.S_IFDIR: "directory", stat.S_IFLNK: "symlink",
    stat.S_IFIFO: "fifo", stat.S_IFCHR: "character device", stat.S_IFBLK: "block device",
    stat.S_IFSOCK: "socket",
}  # fmt: skip
_SHOWN_BYTES = 4096


class Node(Value):
    """One thing in a tree; `content` is a file's bytes or, of many, their digest."""

    kind: str
    mode: int
    uid: int
    gid: int
    mtime_ns: int
    size: int = 0
    content: bytes = b""
    target: str = ""
    device: tuple[int, int] = (0, 0)
    xattrs: tuple[tuple[str, bytes], ...] = ()
    same_as: str = ""  # the first of the names of a file that has several


def snapshot(
    directory: str | os.PathLike[str], *, ignoring: Collection[str] = ()
) -> dict[str, Node]:
    """Describe a tree; fields in `ignoring` are left at nothing, so that they compare equal."""
    nodes: dict[str, Node] = {}
    first_names: dict[tuple[int, int], str] = {}
    for name, path in _walk(os.fspath(directory)):
        status = os.lstat(path)
        node = _node(path, status)
        if status.st_nlink > 1 and not stat.S_ISDIR(status.st_mode):
            first = first_names.setdefault((status.st_dev, status.st_ino), name)
            node = node.replace(same_as=first)
        nodes[name] = node.replace(**{field: _nothing(node, field) for field in ignoring})
    return nodes


def names(directory: str | os.PathLike[str]) -> list[str]:
    """Give the names in a tree, sorted, without the top."""
    return sorted(name for name, _path in _walk(os.fspath(directory)))[1:]


def _walk(top: str) -> Iterator[tuple[str, str]]:
    yield ".", top
    for parent, directories, files in sorted(os.walk(top)):
        for name in sorted((*directories, *files)):
            path = os.path.join(parent, name)
            yield os.path.relpath(path, top), path


def _node(path: str, status: os.stat_result) -> Node:
    kind = _KINDS[stat.S_IFMT(status.st_mode)]
    is_device = kind.endswith("device")
    return Node(
        kind,
        stat.S_IMODE(status.st_mode) if kind != "symlink" else 0,
        status.st_uid,
        status.st_gid,
        status.st_mtime_ns,
        status.st_size if kind == "file" else 0,
        _content(path) if kind == "file" else b"",
        os.readlink(path) if kind == "symlink" else "",
        (os.major(status.st_rdev), os.minor(status.st_rdev)) if is_device else (0, 0),
        _xattrs(path),
    )


def _content(path: str) -> bytes:
    with open(path, "rb") as file:
        head = file.read(_SHOWN_BYTES + 1)
        if len(head) <= _SHOWN_BYTES:
            return head
        file.seek(0)
        return hashlib.file_digest(file, "sha256").digest()


def _xattrs(path: str) -> tuple[tuple[str, bytes], ...]:
    found = os.listxattr(path, follow_symlinks=False)
    return tuple((name, os.getxattr(path, name, follow_symlinks=False)) for name in sorted(found))


def _nothing(node: Node, field: str) -> object:
    return type(getattr(node, field))()
