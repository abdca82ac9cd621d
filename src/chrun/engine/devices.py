"""Devices that a user asks for, read into the spec's: --device."""

from __future__ import annotations

import os
import stat

from chrun.errors import UnsupportedError, UsageError
from chrun.oci.device_rules import is_everybodys
from chrun.oci.spec import Device
from chrun.store.layout import absolute

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from chrun.linux.host import Host
    from chrun.oci.convert import IdMaps

_ACCESS = "rwm"
_NULL = ("c", 1, 3)
_NAMED = 3  # devices, in a line that tells of them
# What every container has of its own, as docker leaves it out of a directory of devices
_OWN = frozenset({"pts", "shm", "fd", "mqueue", "console", ".lxc", ".lxd-mounts", ".udev"})


def parse_devices(texts: Sequence[str]) -> tuple[Device, ...]:
    """Read all of --device; UsageError also when two want one path inside."""
    devices = tuple(device for text in texts for device in parse_device(text))
    paths = [device.path for device in devices]
    for path in paths:
        if paths.count(path) > 1:
            raise UsageError(f"cannot give two devices at {path}")
    return devices


def parse_device(text: str) -> tuple[Device, ...]:
    """Read `SOURCE[:TARGET[:rwm]]`; a directory gives all devices in it. UsageError otherwise.

    UnsupportedError for reading or writing alone, which user namespaces cannot enforce.
    """
    source, target, access = _split(text)
    path = absolute(source)
    status = _look_at(path)
    if stat.S_ISDIR(status.st_mode):
        found = tuple(_devices_below(path, target, access))
        if not found:
            raise UsageError(f"cannot give {path}: there are no devices in it")
        return found
    if not _is_device(status):
        raise UsageError(
            f"cannot give {path}: it is not a device", hint=f"for a file use -v {path}:{target}"
        )
    device = _device_of(path, target, access, status)
    if target == "/dev/null" and (device.kind, device.major, device.minor) != _NULL:
        raise UsageError(
            f"cannot give {path} at /dev/null: what is hidden is hidden behind that",
            hint="give it at another path",
        )
    return (device,)


def check_access(device: Device, reason: str) -> None:
    """Raise UnsupportedError for a device that is not for reading and writing both.

    `reason` says why nothing would see to that.
    """
    if not {"r", "w"} <= set(device.access):
        raise UnsupportedError(
            f"cannot give {device.source} as {device.access!r}: {reason}",
            hint=f"--device {device.source} gives reading and writing both",
        )


def settle_devices(
    devices: tuple[Device, ...], host: Host, maps: IdMaps, *, privileged: bool
) -> tuple[str, ...]:
    """Check what devices are given for, and say which ones the container cannot open.

    UnsupportedError for one that is given for reading or writing alone where nothing sees to that.
    """
    reason = "--privileged may use all devices" if privileged else ""
    if maps.uids:
        reason = "in a user namespace a device's own mode decides"
    for device in devices:
        if is_everybodys(device):
            check_access(device, "every container may read and write it, by any name")
        elif reason:
            check_access(device, reason)
    return _tell_closed(devices, host) if maps.uids else ()


def _tell_closed(devices: tuple[Device, ...], host: Host) -> tuple[str, ...]:
    """The ids in a user namespace are the caller's or, where root made it, nobody's here."""
    closed = [device.source for device in devices if not _opens(device, host)]
    if not closed:
        return ()
    more = f" and {len(closed) - _NAMED} more" if len(closed) > _NAMED else ""
    who = "the container's ids" if host.privileged else "your user"
    return (
        f"the container can see but not open {', '.join(closed[:_NAMED])}{more}: "
        f"{who} may neither read nor write it",
    )


def _opens(device: Device, host: Host) -> bool:
    if host.privileged:
        return bool(device.mode & (stat.S_IROTH | stat.S_IWOTH))
    return os.access(device.source, os.R_OK) or os.access(device.source, os.W_OK)


def _split(text: str) -> tuple[str, str, str]:
    """Take a text apart; what is no path behind the source says how it may be used."""
    parts = text.split(":")
    if not 1 <= len(parts) <= 3 or not all(parts) or "\0" in text:
        raise UsageError(f"cannot read device {text!r}: expected SOURCE[:TARGET[:rwm]]")
    if "=" in parts[0] and "/" in parts[0] and not parts[0].startswith("/"):
        raise UsageError(
            f"cannot give {text}: chrun does not know the names of the Container Device Interface"
        )
    source, target, access = parts[0], parts[0], _ACCESS
    if len(parts) == 3:
        target, access = parts[1:]
    elif len(parts) == 2 and parts[1].startswith("/"):
        target = parts[1]
    elif len(parts) == 2:
        access = parts[1]
    if not set(access) <= set(_ACCESS) or len(set(access)) < len(access):
        raise UsageError(f"cannot read device {text!r}: {access!r} is not of the letters rwm")
    if not source.startswith("/") or not target.startswith("/") or ".." in target.split("/"):
        raise UsageError(f"cannot read device {text!r}: expected absolute paths without '..'")
    return source, "/" + os.path.normpath(target).strip("/"), access


def _look_at(path: str) -> os.stat_result:
    try:
        return os.stat(path)
    except OSError as error:
        reason = (error.strerror or "").lower()
        raise UsageError(f"cannot give the device {path}: {reason}") from error


def _devices_below(directory: str, target: str, access: str) -> Iterator[Device]:
    for entry in sorted(_entries(directory), key=lambda each: each.name):
        inside = f"{target}/{entry.name}"
        if entry.is_dir(follow_symlinks=False):
            if entry.name not in _OWN:
                yield from _devices_below(entry.path, inside, access)
            continue
        device = find_device(entry.path, inside, access)
        if device and entry.name not in _OWN:
            yield device


def _entries(directory: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(directory) as found:
            return list(found)
    except OSError as error:
        reason = (error.strerror or "").lower()
        raise UsageError(f"cannot give the devices in {directory}: {reason}") from error


def find_device(source: str, target: str, access: str) -> Device | None:
    """Give the device that a node is, to be found at `target` inside.

    None for what is no device, or went away since it was listed.
    """
    try:
        status = os.lstat(source)
    except OSError:
        return None
    return _device_of(source, target, access, status) if _is_device(status) else None


def _is_device(status: os.stat_result) -> bool:
    return stat.S_ISCHR(status.st_mode) or stat.S_ISBLK(status.st_mode)


def _device_of(source: str, target: str, access: str, status: os.stat_result) -> Device:
    return Device(
        path=target,
        kind="b" if stat.S_ISBLK(status.st_mode) else "c",
        major=os.major(status.st_rdev),
        minor=os.minor(status.st_rdev),
        mode=stat.S_IMODE(status.st_mode),
        source=source,
        access=access,
        uid=status.st_uid,
        gid=status.st_gid,
    )
