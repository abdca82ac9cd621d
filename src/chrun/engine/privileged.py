"""All devices of this machine, for --privileged."""

from __future__ import annotations

import os

from chrun.engine.devices import find_device

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
        elif device := find_device(entry.path, entry.path, "rwm"):
            yield device
