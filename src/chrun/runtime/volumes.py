"""What users mount -> steps: host paths, volumes and images, with all their options.

A path that only needs flags is bound in one step. One that is to propagate mounts is taken hold of
before all mounts are made private. One whose changes are not to reach it gets an overlay, whose
writable directory lies beside the container's; an image, one without a writable directory.
"""

from __future__ import annotations

from chrun.errors import UsageError
from chrun.runtime.mounts import FLAGS, plan_mount, split_options
from chrun.runtime.notes import PLACE_NOTES, overlay_notes
from chrun.runtime.root import is_mapped
from chrun.runtime.steps import Bind, Directory, Mask, MountBase, ReadOnly, Symlink
from chrun.runtime.trees import SLOTS, Grab, Like, Place

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from chrun.linux.host import Host
    from chrun.oci.spec import Spec, SpecMount
    from chrun.runtime.mounts import Unprivileged
    from chrun.runtime.steps import Step

MS_REC = 1 << 14
PROPAGATIONS = {
    "slave": 1 << 19,
    "rslave": 1 << 19 | MS_REC,
    "shared": 1 << 20,
    "rshared": 1 << 20 | MS_REC,
}
_CLEARED = {"suid": FLAGS["nosuid"], "dev": FLAGS["nodev"], "exec": FLAGS["noexec"]}
# Words that a bind in one step knows nothing of
_OF_TREES = frozenset({*PROPAGATIONS, *_CLEARED, "rro", "ro-top"})


def plan_grabs(volumes: Sequence[SpecMount], unprivileged: Unprivileged | None) -> Iterator[Step]:
    """Take hold of what is to propagate mounts: the first thing done with any mount.

    UsageError for what a user namespace cannot have: its mounts are never seen outside.
    """
    opened = _opened(volumes)
    if len(opened) >= SLOTS:
        raise UsageError(f"cannot mount more than {SLOTS - 1} volumes as slave or shared")
    for slot, mount in enumerate(opened):
        asked = _propagation(mount)
        if unprivileged and asked.endswith("shared"):
            raise UsageError(
                f"cannot mount {mount.source} on {mount.destination} as {asked}: "
                "the machine sees no mounts of a user namespace",
                hint=f"use {asked.replace('shared', 'slave')}, or run chrun as root",
            )
        yield Grab(slot, mount.source, mount.subpath, "rbind" in mount.options)


def plan_volumes(
    volumes: Sequence[SpecMount], spec: Spec, host: Host, unprivileged: Unprivileged | None
) -> Iterator[Step]:
    """Plan the mounts that a user asked for, in the order given; UsageError for what cannot be."""
    opened = _opened(volumes)
    in_range = is_mapped(spec, host)
    for number, mount in enumerate(volumes):
        if "idmap" in mount.options and (mount in opened or not in_range):
            raise UsageError(
                f"cannot mount {mount.source} on {mount.destination} with idmap: "
                + ("it would not propagate" if in_range else "ids are the machine's here"),
                hint="" if in_range else "use --userns auto, as root",
            )
        way = _Way(mount, f"changes-{number}", len(opened), host, in_range=in_range)
        if mount in opened:
            yield _place(opened.index(mount), mount)
        elif mount.type == "overlay":
            yield from way.plan_layers() if mount.layers else way.plan_cover()
        elif mount.type == "bind" and (mount.subpath or _OF_TREES.intersection(mount.options)):
            yield from way.plan_tree()
        elif mount.type == "bind" and in_range:
            yield way.plan_outer(mount.source, mount.destination)
        else:
            yield from plan_mount(mount, unprivileged)
        yield from _hide_again(mount, spec)


def overlay_dirs(volumes: Sequence[SpecMount]) -> tuple[str, ...]:
    """Give the names, in the scratch directory, of the directories of writable overlays."""
    return tuple(
        f"changes-{number}"
        for number, mount in enumerate(volumes)
        if mount.type == "overlay" and not mount.layers
    )


def _opened(volumes: Sequence[SpecMount]) -> list[SpecMount]:
    return [mount for mount in volumes if _propagation(mount)]


def _propagation(mount: SpecMount) -> str:
    return next((word for word in mount.options if word in PROPAGATIONS), "")


def _place(slot: int, mount: SpecMount) -> Place:
    flags = sum(FLAGS[word] for word in mount.options if word in FLAGS)
    if {"rro", "ro-top"}.intersection(mount.options):
        flags |= FLAGS["ro"]
    cleared = sum(_CLEARED[word] for word in mount.options if word in _CLEARED)
    recursive = "rbind" in mount.options and "ro-top" not in mount.options
    propagation = PROPAGATIONS.get(_propagation(mount), 0)
    said = f"{mount.source}{'/' if mount.subpath else ''}{mount.subpath}"
    return Place(slot, mount.destination, flags, cleared, recursive, propagation, said)


class _Way:
    """The way of one mount into the container, by `name` in the base directory and a free slot.

    `in_range` says that the container's ids are of a range that is nobody's, who may have no way
    to what is mounted: then the monitor gives it to the base directory.
    """

    def __init__(
        self, mount: SpecMount, name: str, slot: int, host: Host, *, in_range: bool
    ) -> None:
        self._mount, self._name, self._slot = mount, name, slot
        self._host, self._in_range = host, in_range
        self._mapped = "idmap" in mount.options

    def plan_tree(self) -> Iterator[Step]:
        """Plan a mount with options that a bind has not."""
        mount, source = self._mount, self._mount.source
        recursive = "rbind" in mount.options
        if self._in_range:
            source = f"{self._name}-outside"
            yield self.plan_outer(mount.source, source)
        yield Grab(self._slot, source, mount.subpath, recursive)
        yield _place(self._slot, mount)

    def plan_outer(self, source: str, target: str) -> Step:
        """Plan a mount that the monitor gives; flags only where it is in its place then."""
        from chrun.runtime.users import OuterTree

        flags, _data = split_options(self._mount) if target.startswith("/") else (0, "")
        recursive = "rbind" in self._mount.options
        reason = "asked for as a volume"
        return OuterTree(source, target, recursive, flags, self._mapped, reason, PLACE_NOTES)

    def plan_cover(self) -> Iterator[Step]:
        """Plan an overlay that takes the changes to a directory; its top is like that directory."""
        name, lower = self._name, f"{self._name}-0"
        upper, work = f"scratch/{name}/upper", f"scratch/{name}/work"
        yield self._call(self._mount.source, lower, mapped=self._mapped)
        for directory in (f"scratch/{name}", upper, work, name):
            yield Directory(directory, 0o755)
        yield Like(lower, upper)
        options = f"lowerdir={lower},upperdir={upper},workdir={work}"
        yield self._overlay(options, f"mount an overlay of {self._mount.source}")
        yield from self._show()

    def plan_layers(self) -> Iterator[Step]:
        """Plan an overlay of an image's layers, over an empty one: a single layer is no overlay."""
        name, layers = self._name, self._mount.layers
        names = [f"{name}-{position}" for position in range(len(layers))]
        for short, layer in zip(names, reversed(layers), strict=True):
            yield self._call(layer, short, mapped=True)
        for directory in (f"{name}-empty", name):
            yield Directory(directory, 0o755)
        options = ":".join(("lowerdir=" + names[0], *names[1:], f"{name}-empty"))
        yield self._overlay(options, f"mount the layers of an image for {self._mount.destination}")
        yield from self._show()

    def _call(self, source: str, name: str, *, mapped: bool) -> Step:
        """Plan a short name for a host path: mount options have one page, and separators."""
        if not self._in_range:
            return Symlink(source, name)
        from chrun.runtime.users import OuterTree

        return OuterTree(source, name, False, 0, mapped, "asked for as a volume")

    def _overlay(self, options: str, said: str) -> Step:
        if not self._host.privileged or self._in_range:
            options += ",userxattr"
        reason = "what is written goes to the scratch directory"
        if self._mount.layers:
            reason = "asked for as a volume"
        return MountBase("overlay", self._name, 0, options, said, reason, overlay_notes(self._host))

    def _show(self) -> Iterator[Step]:
        mount, (flags, _data) = self._mount, split_options(self._mount)
        if mount.subpath:
            yield Grab(self._slot, self._name, mount.subpath, False)
            yield Place(self._slot, mount.destination, flags, 0, False, 0, mount.subpath)
        else:
            said = "the layers of an image" if mount.layers else f"an overlay of {mount.source}"
            yield Bind(
                self._name, mount.destination, False, flags, explained=PLACE_NOTES, said=said
            )


def _hide_again(mount: SpecMount, spec: Spec) -> Iterator[Step]:
    """Whoever shows the machine's /sys gets it without what is hidden in the container's own."""
    if mount.destination.split("/")[1] != "sys":
        return
    below = mount.destination.rstrip("/") + "/"
    for path in spec.masked_paths:
        if path.startswith(below):
            yield Mask(path)
    for path in spec.readonly_paths:
        if path.startswith(below):
            yield ReadOnly(path)
