"""How much a layer may take."""

from __future__ import annotations

import os
from errno import ENOSPC
from typing import TYPE_CHECKING

from chrun.values import Value

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_MOST_ENTRIES = 10_000_000
_RESERVE_BYTES = 1 << 30
_RESERVE_SHARE = 20  # of the file system's size, where that is less
_LOOK_BYTES = 1 << 20  # between two looks at what is left


class Limits(Value):
    """The most bytes that a layer's tar, uncompressed, may have, and the most entries."""

    tar_bytes: int
    entries: int = _MOST_ENTRIES


def limits_below(directory: str) -> Limits:
    """Choose limits that leave a reserve on the directory's file system.

    The reserve is a gibibyte, or a twentieth of a file system that is smaller than 20. OSError
    when the directory cannot be looked at.
    """
    status = os.statvfs(directory)
    free = max(0, _free_bytes(status))
    # Some file systems (btrfs, NFS) do not count inodes and say 0.
    return Limits(free, min(_MOST_ENTRIES, status.f_favail or _MOST_ENTRIES))


def most_tar_bytes(directory: str) -> int:
    """Return the most bytes that the tar of a layer can have that was unpacked on a file system.

    OSError when the directory cannot be looked at.
    """
    status = os.statvfs(directory)
    return status.f_blocks * status.f_frsize


def while_space_lasts(pieces: Iterable[bytes], directory: str) -> Iterator[bytes]:
    """Pass pieces on; OSError (ENOSPC) when the file system's reserve is begun meanwhile.

    Layers are fetched and unpacked side by side, and each was promised all the space that there
    was.
    """
    watch = SpaceWatch(directory)
    for piece in pieces:
        watch.count(len(piece))
        yield piece


class SpaceWatch:
    """Looks at what is left on a directory's file system, every megabyte."""

    def __init__(self, directory: str) -> None:
        self._directory = directory
        self._passed = 0

    def count(self, size: int) -> None:
        """Add what is about to be written; OSError (ENOSPC) when the reserve is begun."""
        self._passed += size
        if self._passed >= _LOOK_BYTES:
            self._passed = 0
            if _free_bytes(os.statvfs(self._directory)) < 0:
                raise OSError(ENOSPC, os.strerror(ENOSPC))


def _free_bytes(status: os.statvfs_result) -> int:
    """Give what may be used before the reserve; less than 0 when that is begun."""
    reserve = min(_RESERVE_BYTES, status.f_blocks * status.f_frsize // _RESERVE_SHARE)
    return status.f_bavail * status.f_frsize - reserve
