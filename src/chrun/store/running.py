"""Finding containers that run, by name or id, and their first processes.

chrun-init writes the symlink `process` into a container's directory, `PID:STARTED`: the process's
number, and when it started in clock ticks since boot (proc_pid_stat(5)). A number alone may be
somebody else's by now.
"""

from __future__ import annotations

import os

from chrun.store.containers import list_containers

TYPE_CHECKING = False
if TYPE_CHECKING:
    from chrun.store.containers import Listed
    from chrun.store.layout import Layout

_LAST_PID = (1 << 31) - 1


def find_containers(layout: Layout, text: str) -> tuple[Listed, ...]:
    """Give the containers that a name or the beginning of an id means; more than one is unclear.

    A name comes first, then a whole id. StoreError when the store cannot be read.
    """
    listed = list_containers(layout)
    for whole in ("name", "container_id"):
        if found := tuple(each for each in listed if getattr(each, whole) == text):
            return found
    return tuple(each for each in listed if text and each.container_id.startswith(text))


def recorded_process(directory: str) -> tuple[int, int] | None:
    """Give number and start time of a container's first process; None when it has none yet."""
    try:
        pid, _, started = os.readlink(f"{directory}/process").partition(":")
        number, ticks = int(pid), int(started)
    except (OSError, ValueError):
        return None
    return (number, ticks) if 0 < number <= _LAST_PID else None
