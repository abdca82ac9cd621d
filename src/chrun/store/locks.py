"""Locks that die with their process: flock(2) on directories, and on one file a digest.

Of two commands that want one thing, one waits; of one that was killed, nothing has to be undone.
"""

from __future__ import annotations

import fcntl
import os
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Self

_POLL_SECONDS = 0.05


class Hold:
    """A lock that is held until `release` or the end of a `with` block."""

    def __init__(self, fd: int, path: str) -> None:
        self.fd = fd
        self.path = path

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.release()

    def release(self) -> None:
        """Give the lock back; harmless when that was done before."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1

    def upgrade(self) -> bool:
        """Make a shared lock exclusive if nobody else has it; without success it is lost.

        The kernel lets go of the one before it gives the other. Who clears locks away may come in
        between, and then it would be one that nobody else looks at.
        """
        return _lock(self.fd, fcntl.LOCK_EX | fcntl.LOCK_NB) and self.current

    def share(self) -> None:
        """Turn an exclusive lock into a shared one."""
        fcntl.flock(self.fd, fcntl.LOCK_SH)

    @property
    def current(self) -> bool:
        """Whether the path still leads to what is locked, not to a successor."""
        try:
            return os.path.samestat(os.stat(self.path), os.fstat(self.fd))
        except FileNotFoundError:
            return False


def hold(directory: str, *, shared: bool = False) -> Hold:
    """Lock a directory, waiting until that is possible."""
    held = Hold(os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC), directory)
    try:
        fcntl.flock(held.fd, fcntl.LOCK_SH if shared else fcntl.LOCK_EX)
    except OSError:  # a file system without locks
        held.release()
        raise
    return held


def try_hold(directory: str, *, shared: bool = False) -> Hold | None:
    """Lock a directory, or give None when somebody else has it."""
    held = Hold(os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC), directory)
    return _tried(held, shared=shared)


def try_hold_file(path: str, *, shared: bool = False) -> Hold | None:
    """Lock a file, made when missing; None when somebody else has it.

    Who clears such files away may unlink one between open and lock, so that is looked at again.
    """
    while True:
        held = Hold(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600), path)
        if _tried(held, shared=shared) is None:
            return None
        if held.current:
            return held
        held.release()


def wait_hold_file(path: str, pause: Callable[[float], None] = time.sleep) -> Hold:
    """Lock a file as one of several, waiting until nobody has it alone.

    `pause` is called with seconds to sleep between attempts; what it raises ends the wait.
    """
    while (held := try_hold_file(path, shared=True)) is None:
        pause(_POLL_SECONDS)
    return held


def _tried(held: Hold, *, shared: bool) -> Hold | None:
    kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
    if _lock(held.fd, kind | fcntl.LOCK_NB):
        return held
    held.release()
    return None


def _lock(fd: int, operation: int) -> bool:
    try:
        fcntl.flock(fd, operation)
    except BlockingIOError:
        return False
    return True
