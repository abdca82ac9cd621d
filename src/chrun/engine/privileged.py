"""All devices of this machine, for --privileged."""

from __future__ import annotations

import os
import stat

from chrun.engine.devices import device_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from chrun.oci.spec import Device

_DEV = "/dev"
# What every container has of its own, below /dev
_OWN = frozenset(
    {"pts", "shm", "mqueue", "console", "ptmx", "tty", "null", "zero", "full", "random", "urandom"}
)


def machine_devices() -> tuple[Device, ...]:
    """Give every device node below /dev but those that a container has of its own.

    What goes away while one looks is left out, as is what this user may not even look for.
    """
    return tuple(_devices(_DEV, _OWN))


def _devices(directory: str, left_out: frozenset[str]) -> Iterator[Device]:
    try:
        entries = sorted(os.scandir(directory), key=lambda entry: entry.name)
    except OSError:
        return
    for entry in entries:
        if entry.name in left_out:
            continue
        if entry.is_dir(follow_symlinks=False):
            yield from _devices(entry.path, frozenset())
        elif device := _device(entry.path):
            yield device


def _device(path: str) -> Device | None:
    try:
        status = os.lstat(path)
    except OSError:
        return None
    if not (stat.S_ISCHR(status.st_mode) or stat.S_ISBLK(status.st_mode)):
        return None
    return device_of(path, path, "rwm", status)
