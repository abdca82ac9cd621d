"""Landlock, the fence of `sealed`: Documentation/userspace-api/landlock.rst.

A second answer to questions that mounts answer already: what is read-only there is read-only here,
for reasons that have nothing in common. A fault in one is not a fault in both.
"""

from __future__ import annotations

import errno

from chrun.runtime.steps import Note, Step

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import ClassVar

    from chrun.oci.spec import Spec, SpecMount

# LANDLOCK_ACCESS_FS_*, by bit
_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
_MAKE_CHAR, _MAKE_BLOCK = 1 << 6, 1 << 11
_TRUNCATE, _IOCTL_DEV = 1 << 14, 1 << 15
_ALL = (1 << 16) - 1

_READ = _EXECUTE | _READ_FILE | _READ_DIR
_WRITE = _ALL & ~(_MAKE_CHAR | _MAKE_BLOCK | _IOCTL_DEV)
_DEVICE = _READ_FILE | _WRITE_FILE | _TRUNCATE | _IOCTL_DEV

_SCOPES = 0b11  # LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET, LANDLOCK_SCOPE_SIGNAL
_DEVICES = ("full", "null", "random", "tty", "urandom", "zero", "pts", "ptmx")
_NO_LANDLOCK = "Linux 5.13 and later have it; boot with lsm=landlock,... if it is switched off"
_NOTES = (
    Note(errno.ENOSYS, "this kernel has no Landlock", _NO_LANDLOCK),
    Note(errno.EOPNOTSUPP, "Landlock is switched off on this machine", _NO_LANDLOCK),
)


class Landlock(Step):
    """Restrict what may be done with files, by rules that no later step can loosen."""

    number: ClassVar[int] = 26
    because: ClassVar[str] = "a second fence round what the mounts fence: both would have to fail"
    files: int
    network: int
    scoped: int
    paths: tuple[str, ...]
    rights: tuple[int, ...]
    explained: tuple[Note, ...] = _NOTES

    def describe(self) -> str:
        writable = [
            path for path, rights in zip(self.paths, self.rights, strict=True) if rights == _WRITE
        ]
        where = f" but in {', '.join(writable)}" if writable else ""
        return f"forbid with Landlock to change files{where}"


def plan_landlock(spec: Spec) -> Iterator[Step]:
    """Plan the fence of a sealed container: reading everywhere, writing where mounts allow it.

    The network is shut out by its namespace; a container's own loopback stays usable.
    """
    rules = {"/": _READ}
    for mount in spec.mounts:
        if _is_writable(mount):
            rules[mount.destination] = _WRITE
    if not spec.root_readonly:
        rules["/"] = _WRITE
    for name in (*_DEVICES, *(device.path.removeprefix("/dev/") for device in spec.devices)):
        rules[f"/dev/{name}"] = _DEVICE | _READ_DIR
    yield Landlock(_ALL, 0, _SCOPES, tuple(rules), tuple(rules.values()))


def _is_writable(mount: SpecMount) -> bool:
    """Say whether programs may write below a mount: to volumes, /tmp and shared memory."""
    if mount.type not in {"bind", "tmpfs", "volume", "overlay"} or mount.destination == "/dev":
        return False
    return not {"ro", "rro"} & set(mount.options)
