"""Ending a container that outlived its monitor, which was killed.

The kernel kills a container's first process with its monitor (PR_SET_PDEATHSIG), but lets off one
that has become another user, or has asked for it: prctl(2).
"""

from __future__ import annotations

import os
import signal
import time

from chrun.linux.process import leads_namespace
from chrun.store.running import recorded_process

_PATIENCE_SECONDS = 5.0
_PAUSE_SECONDS = 0.005


def end_first_process(container_dir: str) -> None:
    """Kill what is recorded as a container's first process, with all that is in its pid namespace.

    Nothing happens unless that is the first one of a namespace, and started when the record says:
    numbers are used again, and mean others in other namespaces. OSError where it cannot be done.
    """
    recorded = recorded_process(container_dir)
    if recorded is None:
        return
    pid, started = recorded
    end = time.monotonic() + _PATIENCE_SECONDS
    while leads_namespace(pid, started) and time.monotonic() < end:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            return
        time.sleep(_PAUSE_SECONDS)
