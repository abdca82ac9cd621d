"""Spec + Host + Rootfs -> Plan: the order of the kernel steps, and the reason for the order.

clone -> id maps -> private mounts -> root file system -> /proc /dev /sys, hidden and locked in part
-> volumes -> pivot_root (or chroot) -> host name -> working directory -> user -> capabilities
-> no_new_privs -> seccomp -> execve. Pure: everything about the machine was asked before.
"""

from __future__ import annotations

from chrun.rootfs import overlay
from chrun.rootfs.rootfs import COPY_NAME
from chrun.runtime.credentials import plan_credentials
from chrun.runtime.mounts import Unprivileged, plan_device, plan_mount
from chrun.runtime.notes import EXEC_NOTES, clone_notes, overlay_notes
from chrun.runtime.plan import Clone, Exec, Plan, RemoveTree
from chrun.runtime.steps import (
    Base,
    Chroot,
    Directory,
    File,
    Hostname,
    IdMap,
    Mask,
    MountBase,
    PivotRoot,
    Propagation,
    ReadOnly,
    Root,
    Symlink,
    Terminal,
    WorkingDirectory,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from chrun.linux.host import Host
    from chrun.oci.spec import IdMapping, Spec
    from chrun.rootfs.rootfs import Rootfs
    from chrun.runtime.steps import Seccomp, Step

_SCRATCH = "%"  # chrun-init knows the container's directory by this name


def plan_container(
    spec: Spec,
    host: Host,
    rootfs: Rootfs,
    *,
    keep: bool = False,
    filters: tuple[Seccomp, ...] = (),
    map_programs: tuple[str, str] = ("", ""),
) -> Plan:
    """Compose the plan of one container; with `keep` its scratch directory stays.

    `filters` are the steps that the spec's seccomp profile was compiled to; `map_programs` write
    the maps of more ids than the caller's own, which root does without.

    Raises UsageError for a mount that has no meaning here.
    """
    steps = _namespaced(spec, host, rootfs) if spec.namespaces else _changed_root(spec)
    process = spec.process
    return Plan(
        clone=Clone(spec.namespaces, clone_notes(host) if "user" in spec.namespaces else ()),
        # The working directory is made, if need be, before root's rights are given up.
        steps=(*steps, WorkingDirectory(process.cwd), *plan_credentials(spec, filters)),
        command=Exec(process.args, process.env, spec.init, EXEC_NOTES),
        # What overlayfs kept its work in is nothing to keep, and its owner may not even enter it.
        cleanup=(RemoveTree(f"{_SCRATCH}/work" if keep else _SCRATCH),),
    )


def _changed_root(spec: Spec) -> Iterator[Step]:
    """The article's container: the root is another one, and that is all."""
    yield Root(spec.root_path or f"{_SCRATCH}/{COPY_NAME}", bind=False)
    yield Chroot()


def _namespaced(spec: Spec, host: Host, rootfs: Rootfs) -> Iterator[Step]:
    if spec.uid_mappings:
        # First of all: without a mapped id the process may create nothing. Denying setgroups is
        # the condition under which the kernel lets an ordinary user write a group map.
        yield IdMap(_map_lines(spec.uid_mappings), _map_lines(spec.gid_mappings), True)
    yield Propagation()  # before the first mount, or that one would be seen outside
    yield from _root_steps(host, rootfs)
    yield from _content(spec, rootfs)
    if spec.process.terminal:
        yield Terminal()  # needs the new /dev/pts, and binds /dev/console: before the root locks
    if spec.root_readonly:
        yield ReadOnly("/")  # last of the mounts: making a mount point writes to the root
    yield PivotRoot()
    yield Hostname(spec.hostname)


def _root_steps(host: Host, rootfs: Rootfs) -> Iterator[Step]:
    """Stack the layers, or take the copy of them that lies in the scratch directory."""
    size = f",size={rootfs.tmpfs_size}" if rootfs.tmpfs_size else ""
    yield Base(rootfs.base_dir, f"mode=755{size}")
    if rootfs.tmpfs_size:
        for name in ("scratch", "scratch/upper", "scratch/work"):
            yield Directory(name, 0o755)
    else:
        yield Symlink(_SCRATCH, "scratch")
    if rootfs.kind == "copy":
        yield Root(f"scratch/{COPY_NAME}", bind=True)
        return
    for position, layer in enumerate(overlay.lowers(rootfs)):
        yield Symlink(layer, str(position))
    yield Directory("root", 0o755)
    count = f"{len(rootfs.layers)} layer{'s' if len(rootfs.layers) != 1 else ''}"
    yield MountBase(
        "overlay",
        "root",
        0,
        overlay.mount_options(rootfs, host),
        said=f"mount the overlay of {count} on /",
        reason="the image's layers stay as they are; changes go to the scratch directory",
        explained=overlay_notes(host),
    )
    yield Root("root", bind=False)


def _content(spec: Spec, rootfs: Rootfs) -> Iterator[Step]:
    """The system's mounts, hidden and locked in part; the machine's files; then volumes.

    Volumes come last, since they may cover all of these, and since somebody else may be changing
    what is in them.
    """
    unprivileged = _unprivileged(spec)
    system = [mount for mount in spec.mounts if _is_system(mount.destination, mount.type)]
    volumes = [mount for mount in spec.mounts if mount not in system]
    for mount in system:
        yield from plan_mount(mount, unprivileged)
        if mount.destination == "/dev":
            yield from plan_device(unprivileged)
    yield from map(Mask, spec.masked_paths)
    yield from map(ReadOnly, spec.readonly_paths)
    covered = tuple(f"{mount.destination.rstrip('/')}/" for mount in volumes)
    for file in rootfs.files:
        if not file.target.startswith(covered):
            yield File(file.target, 0o644, file.text, file.expanded, file.optional, file.reason)
    for mount in volumes:
        yield from plan_mount(mount, unprivileged)


def _is_system(destination: str, kind: str) -> bool:
    return kind != "bind" and destination.split("/")[1] in {"proc", "dev", "sys"}


def _unprivileged(spec: Spec) -> Unprivileged | None:
    """Say what a user namespace takes away from mounts; None without one."""
    if not spec.uid_mappings:
        return None
    tty_group = any(
        mapping.container_id <= 5 < mapping.container_id + mapping.size
        for mapping in spec.gid_mappings
    )
    return Unprivileged(tty_group_mapped=tty_group)


def _map_lines(mappings: tuple[IdMapping, ...]) -> str:
    return "\n".join(
        f"{mapping.container_id} {mapping.host_id} {mapping.size}" for mapping in mappings
    )
