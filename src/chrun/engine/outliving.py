"""Ending a container whose monitor and reaper were killed.

Where the container has a pid namespace of its own, the kernel has ended it with the reaper. Where
it has none (`--pid host`, `--isolation chroot`), the reaper ends it. If the reaper was killed too,
the container's processes may live on.
"""

from __future__ import annotations

import errno
import os
import select
import signal
from contextlib import suppress

from chrun.linux.process import children_of, is_container_process
from chrun.store.running import recorded_process

_PATIENCE_MILLISECONDS = 5000
_MAX_PROCESSES = 10_000  # at most so many are killed, though new ones may appear all the time


def end_first_process(container_dir: str) -> None:
    """Kill the recorded first process of a container, and its descendants.

    A no-op unless that process started when the record says, and has a root directory of its own:
    the kernel uses pids again. Raises OSError where it cannot be killed.
    """
    recorded = recorded_process(container_dir)
    if recorded is None:
        return
    pid, started = recorded
    try:
        process_fd = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        if is_container_process(pid, started):  # checked while its pid cannot become another's
            _kill_descendants(pid)
            _kill(process_fd)
    finally:
        os.close(process_fd)


def _kill_descendants(ancestor: int) -> None:
    """Kill the processes below one, which stays stopped: it must not have more children.

    All are stopped first, then killed with the deepest first. So a parent is there and reaps
    nothing until its children were killed, and no pid of theirs is used again.
    """
    found = [ancestor]
    position = 0
    while position < len(found) and len(found) < _MAX_PROCESSES:
        _send(found[position], signal.SIGSTOP)
        found += children_of(found[position])
        position += 1
    for pid in reversed(found[1:]):
        _send(pid, signal.SIGKILL)


def _send(pid: int, number: int) -> None:
    with suppress(ProcessLookupError):  # it has ended
        os.kill(pid, number)


def _kill(process_fd: int) -> None:
    signal.pidfd_send_signal(process_fd, signal.SIGKILL)
    ended = select.poll()
    ended.register(process_fd, select.POLLIN)
    if not ended.poll(_PATIENCE_MILLISECONDS):
        raise TimeoutError(errno.ETIMEDOUT, "a process that was killed does not end")
