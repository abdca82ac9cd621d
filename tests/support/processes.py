"""The processes of a container, as the host sees them."""

from __future__ import annotations

from pathlib import Path


def children_of(pid: int) -> list[int]:
    """Return the children of a process."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def first_process(monitor: int) -> int:
    """Return the container's first process: the one child of the monitor's one child."""
    (reaper,) = children_of(monitor)
    (first,) = children_of(reaper)
    return first
