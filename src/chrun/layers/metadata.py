"""What an entry says about a file beside its content: owner, attributes, mode, time."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

from chrun.layers.faults import MalformedError, UnmappedError
from chrun.layers.owners import Owners

if TYPE_CHECKING:
    from collections.abc import Mapping

    # A descriptor, or /proc/self/fd/N for what must not be opened.
    Target = int | str

_NO_ID = 0xFFFFFFFF  # (uid_t)-1: chown(2) would leave the owner as it is
_NANOSECONDS = 10**9
_MOST_SECONDS = 1 << 62  # what a time_t holds, and then some; file systems clamp to less
_MOST_NS = _MOST_SECONDS * _NANOSECONDS

# What overlayfs keeps in attributes is never a layer's to say: redirects lead elsewhere.
_OVERLAY = (b"user.overlay.", b"trusted.overlay.")
_CALLER_XATTRS = (b"user.",)
_IMAGE_XATTRS = (b"user.", b"trusted.", b"security.capability", b"system.posix_acl_")
_UNSUPPORTED = (errno.ENOTSUP, errno.EPERM)


def set_owner(target: Target, uid: int, gid: int, owners: Owners) -> None:
    """Give a file to its owner in the image; a no-op where the caller owns everything.

    Before the mode and file capabilities, which a change of owner takes away (chown(2)).
    MalformedError unless both can be owners, UnmappedError unless they can be here.
    """
    if owners is Owners.CALLER:
        return
    if not (0 <= uid < _NO_ID and 0 <= gid < _NO_ID):
        raise MalformedError(f"no such owner: {uid}:{gid}")
    try:
        os.chown(target, uid, gid)
    except OSError as error:
        if owners is Owners.IMAGE or error.errno != errno.EINVAL:
            raise
        raise UnmappedError(f"belongs to {uid}:{gid}, which is not mapped") from error


def set_xattrs(target: Target, xattrs: Mapping[bytes, bytes], owners: Owners) -> None:
    """Set those extended attributes that a layer may set.

    One that the file system or this user cannot have is left out, as docker and podman do.
    """
    allowed = _CALLER_XATTRS if owners is Owners.CALLER else _IMAGE_XATTRS
    for name, value in xattrs.items():
        if name.startswith(_OVERLAY) or not name.startswith(allowed):
            continue
        try:
            os.setxattr(target, name, value)
        except OSError as error:
            if error.errno not in _UNSUPPORTED:
                raise


def set_time(target: Target, mtime_ns: int) -> None:
    """Set a file's times, in nanoseconds since the epoch."""
    clamped = max(-_MOST_NS, min(mtime_ns, _MOST_NS))
    os.utime(target, ns=(clamped, clamped))
