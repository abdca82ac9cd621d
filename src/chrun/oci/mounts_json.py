"""Mounts and devices in the words of config.json: runtime-spec config.md, config-linux.md."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from chrun.oci.spec import Device, SpecMount

# Read-only is recursive in chrun, in the specification only where it says so; and ids are mapped as
# the container's by a field of their own, which is not for a configuration that can be kept.
_WORDS = {"ro": ("ro", "rro"), "rro": ("ro", "rro"), "ro-top": ("ro",), "idmap": ()}


def mount_json(mount: SpecMount) -> dict[str, object]:
    """Give one of `mounts`; an overlay has its directories as options, and no writable one.

    A single layer is bound: an overlay wants two.
    """
    if len(mount.layers) == 1:
        bound = mount.replace(type="bind", source=mount.layers[0], layers=())
        return mount_json(bound.replace(options=(*mount.options, "rbind")))
    source, options = mount.source, list(mount.options)
    if mount.type == "bind":
        options = [word for option in mount.options for word in _WORDS.get(option, (option,))]
        source += f"/{mount.subpath}" if mount.subpath else ""
    elif mount.type == "overlay":
        lowers = ":".join(map(escaped, reversed(mount.layers or (mount.source,))))
        options = [word for word in options if word not in _WORDS]
        options += ["ro", f"lowerdir={lowers}"]
        source = "overlay"
    return {
        "destination": mount.destination,
        "type": mount.type,
        "source": source,
        "options": options,
    }


def device_json(device: Device) -> dict[str, object]:
    """Give one of `linux.devices`."""
    return {
        "path": device.path,
        "type": device.kind,
        "major": device.major,
        "minor": device.minor,
        "fileMode": device.mode,
        "uid": device.uid,
        "gid": device.gid,
    }


def escaped(path: str) -> str:
    """Spell what separates directories in overlayfs's options, and options from each other."""
    for mark in "\\:,":
        path = path.replace(mark, f"\\{mark}")
    return path
