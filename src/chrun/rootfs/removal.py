"""Removing a part of a tree that is being made."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    Name = str | bytes

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW


def remove_tree(name: Name, *, dir_fd: int) -> None:
    """Remove a directory and all below it, by descriptors and so never through a symlink.

    For trees that chrun itself makes, which are at most 256 levels deep. OSError when it cannot.
    """
    fd = os.open(name, _DIRECTORY, dir_fd=dir_fd)
    try:
        _clear(fd)
    finally:
        os.close(fd)
    os.rmdir(name, dir_fd=dir_fd)


def clear_directory(fd: int) -> None:
    """Remove all that is in an open directory; OSError when it cannot."""
    _clear(fd)


def _clear(fd: int) -> None:
    if os.geteuid() != 0:
        os.fchmod(fd, 0o700)  # an ordinary user may have unpacked a read-only directory
    with os.scandir(fd) as found:
        for entry in found:
            if entry.is_dir(follow_symlinks=False):
                remove_tree(entry.name, dir_fd=fd)
            else:
                os.unlink(entry.name, dir_fd=fd)
