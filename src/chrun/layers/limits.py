"""How much a layer may take."""

from __future__ import annotations

import os

from chrun.values import Value

_MOST_ENTRIES = 10_000_000
_RESERVE_BYTES = 1 << 30
_RESERVE_SHARE = 20  # of the file system's size, where that is less


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
    reserve = min(_RESERVE_BYTES, status.f_blocks * status.f_frsize // _RESERVE_SHARE)
    free = max(0, status.f_bavail * status.f_frsize - reserve)
    # Some file systems (btrfs, NFS) do not count inodes and say 0.
    return Limits(free, min(_MOST_ENTRIES, status.f_favail or _MOST_ENTRIES))
