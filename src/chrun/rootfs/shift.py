"""Giving a tree to a range of ids: every owner becomes the range's first id plus what it was."""

from __future__ import annotations

import errno
import os
import stat

from chrun.errors import RootfsError

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
_CAPABILITIES = "security.capability"
_NONE = (errno.ENODATA, errno.ENOTSUP)


def shift_owners(root: str, first_uid: int, first_gid: int) -> None:
    """Shift all owners below and of `root`, for trees that chrun itself made; RootfsError.

    As root. File capabilities and set-user-ID bits, which a new owner takes away, are put back.
    """
    try:
        fd = os.open(root, _DIRECTORY)
        try:
            _shift_directory(fd, first_uid, first_gid, done=set())
        finally:
            os.close(fd)
    except OSError as error:
        happened = (error.strerror or str(error)).lower()
        raise RootfsError(f"cannot change the owners in {root}: {happened}") from error


def _shift_directory(fd: int, uid: int, gid: int, done: set[int]) -> None:
    """Shift what an open directory holds, then itself; `done` are inodes with several names."""
    with os.scandir(fd) as found:
        for entry in found:
            status = entry.stat(follow_symlinks=False)
            if stat.S_ISDIR(status.st_mode):
                below = os.open(entry.name, _DIRECTORY, dir_fd=fd)
                try:
                    _shift_directory(below, uid, gid, done)
                finally:
                    os.close(below)
            elif status.st_ino not in done:
                if status.st_nlink > 1:
                    done.add(status.st_ino)
                _shift(entry.name, fd, status, uid, gid)
    status = os.fstat(fd)
    os.fchown(fd, status.st_uid + uid, status.st_gid + gid)
    os.fchmod(fd, stat.S_IMODE(status.st_mode))


def _shift(name: str, directory_fd: int, status: os.stat_result, uid: int, gid: int) -> None:
    path_fd = os.open(name, os.O_PATH | os.O_NOFOLLOW, dir_fd=directory_fd)
    try:
        held = f"/proc/self/fd/{path_fd}"
        capabilities = b"" if stat.S_ISLNK(status.st_mode) else _capabilities(held)
        os.chown(
            name,
            status.st_uid + uid,
            status.st_gid + gid,
            dir_fd=directory_fd,
            follow_symlinks=False,
        )
        if not stat.S_ISLNK(status.st_mode):
            os.chmod(held, stat.S_IMODE(status.st_mode))
        if capabilities:
            os.setxattr(held, _CAPABILITIES, capabilities)
    finally:
        os.close(path_fd)


def _capabilities(path: str) -> bytes:
    try:
        return os.getxattr(path, _CAPABILITIES)
    except OSError as error:
        if error.errno not in _NONE:
            raise
        return b""
