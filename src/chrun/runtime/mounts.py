"""Mounts of the spec -> steps: option words to flags, and what a user namespace does instead."""

from __future__ import annotations

import stat

from chrun.errors import UnsupportedError, UsageError
from chrun.oci.spec import count_ids
from chrun.runtime.notes import MOUNT_NOTES, PLACE_NOTES
from chrun.runtime.steps import Bind, Link, Mount, Node
from chrun.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from chrun.oci.spec import Device, IdMapping, SpecMount
    from chrun.runtime.steps import Step

MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC = 1, 2, 4, 8
FLAGS = {"ro": MS_RDONLY, "nosuid": MS_NOSUID, "nodev": MS_NODEV, "noexec": MS_NOEXEC}
_IGNORED = frozenset({"rw", "suid", "dev", "exec", "bind", "rbind", "idmap"})
_FILESYSTEMS = frozenset({"proc", "sysfs", "tmpfs", "devpts", "mqueue"})
_TTY_GROUP = 5  # "tty" in every distribution; what grantpt(3) expects

# name -> (major, minor): what Linux's devices.txt calls the memory devices and the terminal
_DEVICES = {
    "null": (1, 3),
    "zero": (1, 5),
    "full": (1, 7),
    "random": (1, 8),
    "urandom": (1, 9),
    "tty": (5, 0),
}
_LINKS = {
    "/dev/ptmx": "pts/ptmx",
    "/dev/fd": "/proc/self/fd",
    "/dev/stdin": "/proc/self/fd/0",
    "/dev/stdout": "/proc/self/fd/1",
    "/dev/stderr": "/proc/self/fd/2",
}
_BOUND_REASONS = {
    "proc": "the processes are the machine's, and so is what shows them",
    "sysfs": "what programs read about the hardware",
}


class Unprivileged(Value):
    """What holds inside a user namespace: devices are bound, and only mapped ids own anything.

    `bound` are the types of file systems that show a namespace which is the machine's: only who
    owns that may mount them, so the machine's mount is shown.
    """

    uids: tuple[IdMapping, ...]
    gids: tuple[IdMapping, ...]
    bound: frozenset[str] = frozenset({"sysfs"})

    @property
    def tty_group_mapped(self) -> bool:
        """Whether terminals can be given to their group."""
        return any(_TTY_GROUP in mapping for mapping in self.gids)


def plan_mount(mount: SpecMount, unprivileged: Unprivileged | None) -> Iterator[Step]:
    """Plan one entry of the spec's mounts.

    Raises UsageError for a type that chrun does not mount, UnsupportedError for an owner that the
    user namespace does not know.
    """
    flags, options = split_options(mount)
    if mount.type == "bind":
        recursive = "rbind" in mount.options
        yield Bind(mount.source, mount.destination, recursive, flags, explained=PLACE_NOTES)
    elif mount.type not in _FILESYSTEMS:
        raise UsageError(f"cannot mount on {mount.destination}: unknown type {mount.type!r}")
    elif unprivileged and mount.type in unprivileged.bound:
        yield Bind(mount.destination, mount.destination, True, flags, _BOUND_REASONS[mount.type])
    else:
        if mount.type == "devpts" and (not unprivileged or unprivileged.tty_group_mapped):
            options += f",mode=0620,gid={_TTY_GROUP}"
        if unprivileged:
            _check_owner(mount, unprivileged)
        # /proc and its like must be where every program and the steps below take them to be; what
        # a user asks for may lie behind the image's links, /var/run for example.
        follow = mount.destination.split("/")[1] not in {"proc", "dev", "sys"}
        yield Mount(mount.type, mount.destination, flags, options, MOUNT_NOTES, follow)


def _check_owner(mount: SpecMount, unprivileged: Unprivileged) -> None:
    known = {"uid": unprivileged.uids, "gid": unprivileged.gids}
    for word in mount.options:
        name, _, number = word.partition("=")
        if name not in known or any(int(number) in mapping for mapping in known[name]):
            continue
        why, hint = "that id is not mapped", ""
        if count_ids(known[name]) == 1:
            why = "only one id is mapped"
            hint = (
                f"without {name} it belongs to the container's user; others need root or "
                "subordinate ids (--userns subuid)"
            )
        raise UnsupportedError(
            f"cannot mount {mount.type} on {mount.destination} with {word}: {why}", hint=hint
        )


def plan_device(
    unprivileged: Unprivileged | None, devices: tuple[Device, ...] = ()
) -> Iterator[Step]:
    """Plan the devices of a fresh /dev; a user namespace may not make any, so they are bound.

    `devices` are those that were asked for, perhaps in the place of one that all have.
    """
    asked = {device.path for device in devices}
    for name, (major, minor) in _DEVICES.items():
        if f"/dev/{name}" in asked:
            continue
        if unprivileged:
            reason = "every program expects it, and it gives no access to hardware"
            yield Bind(f"/dev/{name}", f"/dev/{name}", False, 0, reason)
        else:
            yield Node(f"/dev/{name}", 0o666, major, minor)
    for target, points_to in _LINKS.items():
        yield Link(points_to, target)
    yield from _asked_devices(devices, unprivileged)


def _asked_devices(
    devices: tuple[Device, ...], unprivileged: Unprivileged | None
) -> Iterator[Step]:
    reason = "asked for as a device"
    for device in devices:
        if unprivileged or not device.path.startswith("/dev/"):  # nodev holds everywhere else
            yield Bind(device.source, device.path, False, 0, reason, PLACE_NOTES)
            continue
        mode = device.mode | (stat.S_IFBLK if device.kind == "b" else stat.S_IFCHR)
        owner = device.uid, device.gid
        yield Node(device.path, mode, device.major, device.minor, *owner, reason)


def split_options(mount: SpecMount) -> tuple[int, str]:
    """Split mount(8) words into mount(2)'s flags and the data that the file system reads."""
    flags = 0
    data: list[str] = []
    for word in mount.options:
        if word in FLAGS:
            flags |= FLAGS[word]
        elif word not in _IGNORED:
            data.append(word)
    if mount.type == "bind" and data:
        raise UsageError(f"cannot bind {mount.source}: unknown option {data[0]!r}")
    return flags, ",".join(data)
