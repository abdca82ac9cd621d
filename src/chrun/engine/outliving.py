"""Ending a container that outlived its monitor, which was killed.

The kernel kills a container's first process with its monitor (PR_SET_PDEATHSIG), but lets off one
that has become another user, or has asked for it: prctl(2).
"""

from __future__ import annotations

import errno
import os
import select
import signal

from chrun.linux.process import leads_namespace
from chrun.store.running import recorded_process

_PATIENCE_MILLISECONDS = 5000


def end_first_process(container_dir: str) -> None:
    """Kill what is recorded as a container's first process, with all that is in its pid namespace.

    Nothing happens unless that is the first one of a namespace, and started when the record says:
    pids are reused, and differ between namespaces. OSError where it cannot be done.
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
        if leads_namespace(pid, started):  # looked at when its pid cannot become another's
            _kill(process_fd)
    finally:
        os.close(process_fd)


def _kill(process_fd: int) -> None:
    signal.pidfd_send_signal(process_fd, signal.SIGKILL)
    ended = select.poll()
    ended.register(process_fd, select.POLLIN)
    if not ended.poll(_PATIENCE_MILLISECONDS):
        raise TimeoutError(errno.ETIMEDOUT, "a process that was killed does not end")
