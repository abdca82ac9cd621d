"""Waiting for what happens, instead of for a time in which it may not have happened."""

from __future__ import annotations

import fcntl
import sys
import termios
import time
from pathlib import Path
from typing import TYPE_CHECKING

from chrun.store.locks import try_hold

if TYPE_CHECKING:
    from collections.abc import Callable

_SECONDS = 20


def wait_until(happened: Callable[[], object]) -> None:
    """Wait until something is true; an AssertionError where it never is."""
    deadline = time.monotonic() + _SECONDS
    while not happened():
        assert time.monotonic() < deadline, f"it never happened: {happened}"
        time.sleep(0.01)


def has_taken(pid: int, number: int) -> bool:
    """Say whether a process that handles a signal has seen to it that it was sent: proc(5)."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    pending = [int(line.split()[1], 16) for line in lines if line.startswith(("SigPnd", "ShdPnd"))]
    return not any(mask & 1 << number - 1 for mask in pending)


def processes_with(word: str) -> list[int]:
    """Find the processes that have a word in their command line or in their environment."""
    return [int(entry.name) for entry in Path("/proc").glob("[0-9]*") if word in _words_of(entry)]


def _words_of(process_dir: Path) -> list[str]:
    words = []
    for name in ("cmdline", "environ"):
        try:
            words += (process_dir / name).read_text(errors="replace").split("\0")
        except OSError:  # it ended, or is somebody else's
            continue
    return words


def unread_bytes(fd: int) -> int:
    """Give how much of what was written into a pipe nobody has read: ioctl(2), FIONREAD."""
    count = bytearray(4)
    fcntl.ioctl(fd, termios.FIONREAD, count)
    return int.from_bytes(count, sys.byteorder)


def is_abandoned(container_dir: Path) -> bool:
    """Say whether nobody holds a container any more: who does may be ending just now."""
    held = try_hold(str(container_dir))
    if held:
        held.release()
    return held is not None
