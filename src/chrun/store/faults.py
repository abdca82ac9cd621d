"""How the operating system's refusals are told at the store's border."""

from __future__ import annotations

import errno

from chrun.errors import StoreError

_ELSEWHERE = "choose another place with --root or CHRUN_HOME"
_HINTS = {
    errno.EACCES: _ELSEWHERE,
    errno.EPERM: _ELSEWHERE,
    errno.EROFS: _ELSEWHERE,
    errno.ENOSPC: "free some space there (chrun prune), or " + _ELSEWHERE,
    errno.EDQUOT: "free some space there (chrun prune), or " + _ELSEWHERE,
    errno.ENOLCK: "its file system has no locks: " + _ELSEWHERE,
    errno.EBADF: "its file system has no locks on directories: " + _ELSEWHERE,
}


def store_error(doing: str, error: OSError) -> StoreError:
    """Give the error for a system call that failed while `doing` ("read the store /x")."""
    reason = (error.strerror or str(error)).lower()
    return StoreError(f"cannot {doing}: {reason}", hint=_HINTS.get(error.errno or 0, ""))
