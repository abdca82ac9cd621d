"""The steps from private mounts to the container's root directory: layers stacked, or a copy."""

from __future__ import annotations

from chrun.rootfs import overlay
from chrun.rootfs.rootfs import COPY_NAME
from chrun.runtime.mounts import MS_NODEV
from chrun.runtime.notes import overlay_notes
from chrun.runtime.steps import Base, Directory, MountBase, Root, Symlink

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from chrun.linux.host import Host
    from chrun.oci.spec import Spec
    from chrun.rootfs.rootfs import Rootfs
    from chrun.runtime.steps import Step

_SCRATCH = "%"  # chrun-init knows the container's directory by this name


def plan_root(spec: Spec, host: Host, rootfs: Rootfs) -> Iterator[Step]:
    """Stack the layers, or take the copy of them that lies in the scratch directory.

    Where root gave the container ids of nobody's, these have no way into the store, and what is
    there is not theirs: the monitor gives it to them.
    """
    mapped = is_mapped(spec, host)
    size = f",size={rootfs.tmpfs_size}" if rootfs.tmpfs_size else ""
    yield Base(rootfs.base_dir, f"mode=755{size}")
    if rootfs.kind == "copy":
        yield from _copied(mapped=mapped)
        return
    if rootfs.tmpfs_size:
        for name in ("scratch", "scratch/upper", "scratch/work"):
            yield Directory(name, 0o755)
    else:
        yield _named(_SCRATCH, "scratch", mapped=mapped)
    for position, layer in enumerate(overlay.lowers(rootfs)):
        yield _named(layer, str(position), mapped=mapped)
    yield Directory("root", 0o755)
    yield _stacked(host, rootfs, in_userns=bool(spec.uid_mappings))
    yield Root("root", bind=False)


def is_mapped(spec: Spec, host: Host) -> bool:
    """Say whether root gives a container ids that are nobody's."""
    return host.privileged and bool(spec.uid_mappings)


def _copied(*, mapped: bool) -> Iterator[Step]:
    if mapped:
        from chrun.runtime.users import OuterTree

        reason = "the container's root has no way into the store"
        # As an overlay, nodev: the copy has the image's devices, whatever ids the container has
        yield OuterTree(f"{_SCRATCH}/{COPY_NAME}", "root", False, MS_NODEV, False, reason)
        yield Root("root", bind=False)
    else:
        yield Symlink(_SCRATCH, "scratch")
        yield Root(f"scratch/{COPY_NAME}", bind=True)


def _named(source: str, name: str, *, mapped: bool) -> Step:
    if mapped:
        from chrun.runtime.users import plan_mapped_tree

        return plan_mapped_tree(source, name)
    return Symlink(source, name)


def _stacked(host: Host, rootfs: Rootfs, *, in_userns: bool) -> Step:
    count = f"{len(rootfs.layers)} layer{'s' if len(rootfs.layers) != 1 else ''}"
    return MountBase(
        "overlay",
        "root",
        MS_NODEV,  # an image may bring any device, a disk of the machine's say
        overlay.mount_options(rootfs, host, in_userns=in_userns),
        said=f"mount the overlay of {count} on /",
        reason="the image's layers stay as they are; changes go to the scratch directory",
        explained=overlay_notes(host),
    )
