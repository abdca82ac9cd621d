"""The steps that the monitor half does: ids and mounts given from outside a user namespace."""

from __future__ import annotations

import errno

from chrun.runtime.steps import Note, Step

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import ClassVar

    from chrun.oci.spec import IdMapping, Spec

_MAPPED_NOTES = (
    Note(
        errno.EINVAL,
        "this file system, or this kernel, cannot show files as another user's",
        "overlays of such mounts came with Linux 5.19; --rootfs copy needs none",
    ),
    Note(errno.ENOSYS, "this kernel is too old", "Linux 5.19 or later, or --rootfs copy"),
)


class OuterIdMap(Step):
    """Have the monitor write the maps, by programs such as newuidmap(1), or itself with "" for one.

    For ids that are not the caller's; setgroups(2) stays allowed.
    """

    number: ClassVar[int] = 30
    words: ClassVar[str] = "map user ids ({0.uid_map}) and group ids ({0.gid_map})"
    because: ClassVar[str] = (
        "the image's users are others than the caller, and none is anybody of this machine"
    )
    uid_map: str
    gid_map: str
    uid_program: str
    gid_program: str

    def describe(self) -> str:
        return super().describe().replace("\n", ", ")  # an error has one line


class OuterTree(Step):
    """Have the monitor copy a mount for this namespace, where the container's root has no way.

    `target` is a new directory of the base directory, or with a slash first a path inside. With
    `mapped` files belong inside to whom they belong on the disk (mount_setattr(2), idmapped).
    """

    number: ClassVar[int] = 31
    words: ClassVar[str] = "give {0.source} to {0.target}"
    source: str
    target: str
    recursive: bool
    flags: int
    mapped: bool
    reason: str
    explained: tuple[Note, ...] = ()


def plan_id_map(spec: Spec, programs: tuple[str, str]) -> OuterIdMap:
    """Plan maps of more than the caller's own id; `programs` are "" for who may write them."""
    return OuterIdMap(map_lines(spec.uid_mappings), map_lines(spec.gid_mappings), *programs)


def plan_mapped_tree(source: str, name: str) -> OuterTree:
    """Plan a directory of the store as a directory of the base, with the owners that it has."""
    reason = "on the disk all is root's; the container's root is another, and finds it as its own"
    return OuterTree(
        source, name, recursive=False, flags=0, mapped=True, reason=reason, explained=_MAPPED_NOTES
    )


def map_lines(mappings: tuple[IdMapping, ...]) -> str:
    """Give the lines of /proc/PID/uid_map: user_namespaces(7)."""
    return "\n".join(
        f"{mapping.container_id} {mapping.host_id} {mapping.size}" for mapping in mappings
    )
