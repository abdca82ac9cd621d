"""What a layer takes away, as overlayfs stores it (Documentation/filesystems/overlayfs.rst).

A whiteout is a character device 0:0 in the place of what it hides, and a directory that shows
nothing of the layers below it has the attribute `overlay.opaque`, in the namespace `trusted` for
mounts of the initial user namespace and in `user` for all others.
"""

from __future__ import annotations

import errno
import os
import stat

TYPE_CHECKING = False
if TYPE_CHECKING:
    Name = str | bytes

_OPAQUE = ("trusted.overlay.opaque", "user.overlay.opaque")
_WHITEOUT = "user.overlay.whiteout"
_YES = b"y"
_ABSENT = (errno.ENODATA, errno.ENOTSUP, errno.EPERM)
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW


def make_whiteout(name: Name, *, dir_fd: int) -> None:
    """Make a whiteout; FileExistsError where something is, OSError where the file system cannot.

    Where a kernel before 5.8 reserves devices for root, it is an empty file with an attribute,
    which `copy` understands; overlayfs cannot be had there by ordinary users anyway.
    """
    try:
        os.mknod(name, stat.S_IFCHR, 0, dir_fd=dir_fd)
    except PermissionError:
        fd = os.open(name, _NEW_FILE, 0o600, dir_fd=dir_fd)
        try:
            os.setxattr(fd, _WHITEOUT, _YES)
        finally:
            os.close(fd)


def is_whiteout(name: Name, status: os.stat_result, *, dir_fd: int) -> bool:
    """Say whether a name, whose lstat(2) result is given, is a whiteout."""
    if stat.S_ISCHR(status.st_mode):
        return status.st_rdev == 0
    if not stat.S_ISREG(status.st_mode) or status.st_size != 0:
        return False
    try:
        fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW, dir_fd=dir_fd)
    except PermissionError:  # a whiteout of ours can be read
        return False
    try:
        return _has(fd, _WHITEOUT)
    finally:
        os.close(fd)


def mark_opaque(fd: int) -> None:
    """Let an open directory hide what the layers below have in it; OSError when it cannot be kept.

    Both marks are made where both can be, so that root's layers serve user namespaces too.
    """
    refusals: list[OSError] = []
    for name in _OPAQUE:
        try:
            os.setxattr(fd, name, _YES)
        except OSError as error:
            if error.errno not in _ABSENT:
                raise
            refusals.append(error)
    if len(refusals) == len(_OPAQUE):
        raise refusals[-1]


def is_opaque(directory: int | str) -> bool:
    """Say whether a directory, open or by its path, hides what the layers below have in it."""
    return any(_has(directory, name) for name in _OPAQUE)


def _has(file: int | str, attribute: str) -> bool:
    try:
        return os.getxattr(file, attribute) == _YES
    except OSError as error:
        if error.errno not in _ABSENT:
            raise
        return False
