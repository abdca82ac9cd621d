"""Spec + Host + Rootfs -> Plan: the order of the kernel steps, and the reason for the order.

clone -> id maps -> private mounts -> root file system -> /proc /dev /sys, hidden and locked in part
-> volumes -> pivot_root (or chroot) -> host name -> working directory -> user -> capabilities
-> no_new_privs -> seccomp -> execve. Pure: everything about the machine was asked before.
"""

from __future__ import annotations

from chrun.oci.spec import count_ids
from chrun.rootfs.rootfs import COPY_NAME
from chrun.runtime.credentials import plan_credentials
from chrun.runtime.mounts import Unprivileged, plan_device, plan_mount
from chrun.runtime.notes import EXEC_NOTES, USERNS_LIMIT, clone_notes
from chrun.runtime.plan import UNLIMITED, Clone, Exec, Plan, RemoveTree
from chrun.runtime.root import plan_root
from chrun.runtime.steps import (
    Chroot,
    File,
    Hostname,
    IdMap,
    Mask,
    PivotRoot,
    Propagation,
    ReadOnly,
    Root,
    Streams,
    Terminal,
    WorkingDirectory,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from chrun.linux.host import Host
    from chrun.oci.spec import Process, Spec, SpecMount
    from chrun.rootfs.rootfs import Rootfs
    from chrun.runtime.plan import Limited
    from chrun.runtime.steps import Note, Seccomp, Step

_SYSTEM = ("/proc/", "/sys/")
_SCRATCH = "%"  # chrun-init knows the container's directory by this name


def plan_container(
    spec: Spec,
    host: Host,
    rootfs: Rootfs,
    *,
    keep: bool = False,
    filters: tuple[Seccomp, ...] = (),
    map_programs: tuple[str, str] = ("", ""),
    limited: Limited = UNLIMITED,
) -> Plan:
    """Compose the plan of one container; with `keep` its scratch directory stays.

    `filters` are the steps that the spec's seccomp profile was compiled to; `map_programs` write
    the maps of more ids than the caller's own, which root does without.

    Raises UsageError for a mount that has no meaning here.
    """
    process = spec.process
    namespaces = tuple(name for name in spec.namespaces if name not in limited.late)
    if spec.namespaces:
        steps = _namespaced(spec, host, rootfs, map_programs, limited)
    else:
        steps = _changed_root(spec)
    return Plan(
        clone=Clone(namespaces, _clone_notes(spec, host)),
        # The working directory is made, if need be, before root's rights are given up.
        steps=(
            *limited.steps,  # first of all: nothing that a container does is beyond its limits
            *steps,
            WorkingDirectory(process.cwd),
            *_resource_limits(process),
            *plan_credentials(spec, filters, keep_groups=host.keeps_groups and not spec.namespaces),
        ),
        command=Exec(process.args, process.env, spec.init, EXEC_NOTES),
        cleanup=(*limited.cleanup, *_removals(spec, rootfs, keep=keep)),
    )


def _clone_notes(spec: Spec, host: Host) -> tuple[Note, ...]:
    if "user" not in spec.namespaces:
        return ()
    return clone_notes(host) + ((USERNS_LIMIT,) if host.privileged else ())


def _removals(spec: Spec, rootfs: Rootfs, *, keep: bool) -> Iterator[Step]:
    if not keep:
        yield RemoveTree(_SCRATCH)
        return
    # What overlayfs kept its work in is nothing to keep, and its owner may not even enter it.
    if rootfs.kind == "overlay":
        yield RemoveTree(f"{_SCRATCH}/work")
    if volumes := _volumes(spec):
        from chrun.runtime.volumes import overlay_dirs

        for name in overlay_dirs(volumes):
            yield RemoveTree(f"{_SCRATCH}/{name}/work")


def _changed_root(spec: Spec) -> Iterator[Step]:
    """The article's container: the root is another one, and that is all."""
    yield Root(spec.root_path or f"{_SCRATCH}/{COPY_NAME}", bind=False)
    yield Chroot()


def _namespaced(
    spec: Spec, host: Host, rootfs: Rootfs, map_programs: tuple[str, str], limited: Limited
) -> Iterator[Step]:
    if "user" in spec.namespaces:
        # First of all: without a mapped id the process may create nothing.
        yield _map_ids(spec, host, map_programs)
    if spec.joined:
        from chrun.runtime.namespaces import plan_joining

        yield from plan_joining(spec)
    if volumes := _volumes(spec):
        from chrun.runtime.volumes import plan_grabs

        yield from plan_grabs(volumes, _unprivileged(spec, host))
    yield Propagation()  # before the first mount, or that one would be seen outside
    yield from plan_root(spec, host, rootfs)
    yield from _content(spec, host, rootfs, limited)
    if spec.process.terminal:
        yield Terminal()  # needs the new /dev/pts, and binds /dev/console: before the root locks
    if spec.root_readonly:
        yield ReadOnly("/")  # last of the mounts: making a mount point writes to the root
    yield PivotRoot()
    if "uts" in spec.namespaces:
        yield Hostname(spec.hostname)


def _map_ids(spec: Spec, host: Host, map_programs: tuple[str, str]) -> Step:
    from chrun.runtime.users import map_lines, plan_id_map

    if host.privileged or count_ids(spec.uid_mappings) > 1:
        return plan_id_map(spec, map_programs)
    # Denying setgroups is the condition under which the kernel lets an ordinary user write a group
    # map.
    return IdMap(map_lines(spec.uid_mappings), map_lines(spec.gid_mappings), True)


def _content(spec: Spec, host: Host, rootfs: Rootfs, limited: Limited) -> Iterator[Step]:
    """The system's mounts, hidden and locked in part; the machine's files; then volumes.

    Volumes come last, since they may cover all of these, and since somebody else may be changing
    what is in them.
    """
    unprivileged, volumes = _unprivileged(spec, host), _volumes(spec)
    system = [mount for mount in spec.mounts if _is_system(mount.destination, mount.type)]
    for mount in system:
        yield from plan_mount(mount, unprivileged)
        if mount.destination == "/dev":
            yield from plan_device(unprivileged, spec.devices)
            yield from _streams(spec, host)  # before a volume may cover /dev/null
    yield from limited.mounts
    if unprivileged and spec.masked_paths and not limited.mounts:
        yield Mask("/sys/fs/cgroup")  # its sysfs is the machine's, with the machine's cgroups
    if spec.sysctls or "network" in spec.namespaces:
        from chrun.runtime.namespaces import plan_settings

        yield from plan_settings(spec)  # before /proc/sys becomes read-only
    of_system = [path for path in spec.masked_paths if path.startswith(_SYSTEM)]
    yield from map(Mask, of_system)
    yield from map(ReadOnly, spec.readonly_paths)
    covered = tuple(f"{mount.destination.rstrip('/')}/" for mount in volumes)
    for file in rootfs.files:
        if not file.target.startswith(covered):
            yield File(file.target, 0o644, file.text, file.expanded, file.optional, file.reason)
            if spec.root_readonly:
                yield ReadOnly(file.target)
    if spec.joined:
        from chrun.runtime.namespaces import plan_shared_memory

        yield from plan_shared_memory(spec)
    if volumes:
        from chrun.runtime.volumes import plan_volumes

        yield from plan_volumes(volumes, spec, host, unprivileged)
    # What somebody named may lie in a volume
    yield from (Mask(path) for path in spec.masked_paths if path not in of_system)


def _streams(spec: Spec, host: Host) -> Iterator[Step]:
    if not spec.process.terminal:
        yield Streams(
            relay_all=spec.sealed or not _opens_callers_pipes(spec, host),
            pass_file=not spec.sealed,  # a program can lock it: flock(2)
        )


def _opens_callers_pipes(spec: Spec, host: Host) -> bool:
    """Return whether the container's user may open /dev/stdout where it is the caller's pipe.

    A pipe belongs to the user that made it; as for other users, docker's belong to the container's.
    """
    uid = spec.process.user.uid
    for mapping in spec.uid_mappings:
        if uid in mapping:
            return mapping.host_id + uid - mapping.container_id == host.uid
    return not spec.uid_mappings and uid == host.uid


def _resource_limits(process: Process) -> Iterator[Step]:
    if process.rlimits:
        from chrun.runtime.rlimits import plan_rlimits

        yield from plan_rlimits(process)


def _volumes(spec: Spec) -> list[SpecMount]:
    return [mount for mount in spec.mounts if not _is_system(mount.destination, mount.type)]


def _is_system(destination: str, kind: str) -> bool:
    return kind not in {"bind", "overlay"} and destination.split("/")[1] in {"proc", "dev", "sys"}


def _unprivileged(spec: Spec, host: Host) -> Unprivileged | None:
    """Say what a user namespace takes away from mounts; None without one."""
    if not spec.uid_mappings:
        return None
    shared = {"proc": "pid", "sysfs": "network"}
    own = {*spec.namespaces, *(joined.type for joined in spec.joined)}
    bound = {kind for kind, namespace in shared.items() if namespace not in own}
    if host.lack_of("sysfs"):  # an outer container hides parts of it, and a new one would not
        bound.add("sysfs")
    return Unprivileged(spec.uid_mappings, spec.gid_mappings, frozenset(bound))
