"""The cgroups of a receipt: which limits hold, and which of them are the container's own.

The files are those of the kernel's cgroup-v2.rst and cgroup-v1/*.rst.
"""

from __future__ import annotations

import os

from chrun.linux.cgroups import own_directory, own_place, read_places
from chrun.linux.host import read_first_line, read_text
from chrun.linux.mountinfo import read_mountinfo
from chrun.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from chrun.linux.mountinfo import MountEntry

# The files of a cgroup that limit something, by version.
_LIMITS = {
    1: (
        "memory.limit_in_bytes", "memory.memsw.limit_in_bytes", "pids.max", "cpu.cfs_quota_us",
        "cpu.cfs_period_us", "cpu.shares", "cpuset.cpus", "blkio.weight", "blkio.bfq.weight",
        "blkio.throttle.read_bps_device", "blkio.throttle.write_bps_device",
        "blkio.throttle.read_iops_device", "blkio.throttle.write_iops_device", "devices.list",
    ),
    2: (
        "memory.max", "memory.swap.max", "pids.max", "cpu.max", "cpu.weight", "cpuset.cpus",
        "io.max", "io.weight", "io.bfq.weight",
    ),
}  # fmt: skip
_NO_LIMIT_V1 = 1 << 62  # version 1 says so by a number near 2^63, less what a page takes


class Bounds(Value):
    """The smallest limits of a line of cgroups: bytes, tasks, processors; None for no limit."""

    memory: int | None = None
    pids: int | None = None
    cpus: float | None = None


class Cgroup(Value):
    """A cgroup of the process: `own` limits are those of cgroups that the caller is not in."""

    version: int
    controllers: tuple[str, ...]
    path: str
    is_own: bool
    files: tuple[tuple[str, str], ...]
    limits: Bounds
    own_limits: Bounds


def read_limits_of(text: str) -> tuple[Cgroup, ...]:
    """Read what a process's cgroups limit; `text` is its /proc/PID/cgroup, seen from here."""
    mounts = [entry for entry in read_mountinfo() if "cgroup" in entry.fstype]
    callers = read_places(own_place())
    lines = filter(None, text.split("\n"))
    return tuple(_read_cgroup(line, mounts, callers) for line in lines)


def _read_cgroup(line: str, mounts: list[MountEntry], callers: dict[str, str]) -> Cgroup:
    """Read one line's; `callers` are the caller's own cgroups by controller."""
    _, names, path = line.split(":", 2)
    controllers = tuple(filter(None, names.split(",")))
    version = 1 if controllers else 2
    callers_path = callers.get(controllers[0] if controllers else "", "/")
    entry = _find_mount(mounts, version, controllers)
    directory = own_directory(entry, path) if entry else ""
    levels = tuple(_levels(directory, entry.mount_point if entry else ""))
    own_levels = levels[: _own_levels(path, callers_path)]
    return Cgroup(
        version,
        controllers,
        path,
        not _is_above(path, callers_path),
        tuple(_files(directory, version)) if directory else (),
        smallest([_read_limits(level, version) for level in levels]),
        smallest([_read_limits(level, version) for level in own_levels]),
    )


def _levels(directory: str, top: str) -> Iterator[str]:
    """Give a cgroup's directory and those around it, up to where the tree is mounted."""
    while directory and top:
        yield directory
        if directory == top:
            return
        directory = os.path.dirname(directory)


def _own_levels(path: str, callers_path: str) -> int:
    """Count the cgroups, from a process's upwards, that the caller is not in."""
    count = 0
    while not _is_above(path, callers_path):
        count += 1
        path = os.path.dirname(path)
    return count


def smallest(limits: Sequence[Bounds]) -> Bounds:
    """Give the limit of each kind that is reached first."""
    memory = [limit.memory for limit in limits if limit.memory is not None]
    pids = [limit.pids for limit in limits if limit.pids is not None]
    cpus = [limit.cpus for limit in limits if limit.cpus is not None]
    return Bounds(min(memory, default=None), min(pids, default=None), min(cpus, default=None))


def _find_mount(
    mounts: list[MountEntry], version: int, controllers: tuple[str, ...]
) -> MountEntry | None:
    fstype = "cgroup" if version == 1 else "cgroup2"
    for entry in mounts:
        if entry.fstype == fstype and set(controllers).issubset(entry.super_options):
            return entry
    return None


def _is_above(path: str, other: str) -> bool:
    """Say whether a path is another one, or above it."""
    return f"{other}/".startswith(f"{path.rstrip('/')}/")


def _files(directory: str, version: int) -> Iterator[tuple[str, str]]:
    for name in _LIMITS[version]:
        if os.path.exists(f"{directory}/{name}"):
            yield name, read_text(f"{directory}/{name}").strip()


def _read_limits(directory: str, version: int) -> Bounds:
    pids = _number(f"{directory}/pids.max")
    if version == 2:
        part, _, whole = read_text(f"{directory}/cpu.max").strip().partition(" ")
        cpus = int(part) / int(whole) if part.isdigit() and whole else None
        return Bounds(_number(f"{directory}/memory.max"), pids, cpus)
    memory = _number(f"{directory}/memory.limit_in_bytes")
    if memory is not None and memory > _NO_LIMIT_V1:
        memory = None
    of, period = (_number(f"{directory}/cpu.cfs_{name}_us") for name in ("quota", "period"))
    return Bounds(memory, pids, of / period if of and period else None)


def _number(path: str) -> int | None:
    """Give the number in a small file; None for "max", -1 and what is not there."""
    content = read_first_line(path)
    return int(content) if content.isdigit() else None
