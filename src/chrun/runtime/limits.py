"""Limits: resources of the spec -> cgroups to make, and time; steps 32, 33, 35 and 66.

The monitor makes the cgroups and writes the limits; the first process enters them before it does
anything else, and only then takes a cgroup namespace, so that the limited cgroup is the root of
what it sees. Pure: what this machine has was asked before.
"""

from __future__ import annotations

import errno

from chrun.errors import UnsupportedError, UsageError
from chrun.linux.cgroup_files import limits_of
from chrun.linux.cgroups import parse_processors
from chrun.linux.device_rules import program_of, settings_of
from chrun.oci.spec import Resources
from chrun.runtime.mounts import MS_NODEV, MS_NOEXEC, MS_NOSUID, MS_RDONLY
from chrun.runtime.plan import Limited
from chrun.runtime.steps import Bind, Mount, Note, ReadOnly, Step
from chrun.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import ClassVar

    from chrun.linux.cgroup_files import Limit
    from chrun.linux.cgroups import Cgroups, Group, Legacy
    from chrun.linux.host import Host
    from chrun.oci.device_rules import Rule
    from chrun.oci.spec import Spec

_VERSION_2_NAMES = {"blkio": "io"}  # the one controller that was renamed
_MOUNT_POINT = "/sys/fs/cgroup"
_FLAGS = MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC
_OWN = "@"  # in a step: the cgroup that the monitor finds itself in
_LEGACY_REMEDY = (
    "run it as root, or boot into cgroup version 2, which users can have a part of "
    "(systemd.unified_cgroup_hierarchy=1)"
)
_DELEGATION = (
    "as root: systemctl edit user@.service, add the lines [Service] and "
    "Delegate=cpu cpuset io memory pids; then log out and in again"
)


_DEVICES_BECAUSE = "who may make devices could make one that is the machine's disk"


class Cgroup(Step):
    """Make the container's cgroup below `parent`, unless it is there already, and set a limit.

    `controllers` are enabled below a parent of version 2. A parent `@` and the mount point stands
    for the monitor's own cgroup, which it leaves for a child of that, since a cgroup that passes
    controllers on may hold no processes. In `settings`, `file=content`, a `?` in front lets the
    file be missing. `amount` is the memory that is allowed, "" in other limits.
    """

    number: ClassVar[int] = 32
    words: ClassVar[str] = "{0.said}"
    parent: str
    controllers: tuple[str, ...]
    settings: tuple[str, ...]
    amount: str
    said: str
    explained: tuple[Note, ...] = ()
    reason: str = "asked for: the kernel counts and limits a cgroup's processes together"


class DeviceFilter(Step):
    """Have a BPF program decide which devices the processes of a cgroup of version 2 may use."""

    number: ClassVar[int] = 39
    words: ClassVar[str] = "allow only the devices of a list"
    because: ClassVar[str] = _DEVICES_BECAUSE
    parent: str
    program: bytes
    explained: tuple[Note, ...] = ()


class Deadline(Step):
    """Kill the container when so many milliseconds have passed since its start."""

    number: ClassVar[int] = 33
    words: ClassVar[str] = "end the container after {0.duration}"
    because: ClassVar[str] = "a time limit: whatever still runs then is killed at once"
    milliseconds: int
    duration: str


class CgroupNamespace(Step):
    """Take the cgroup that this process is in as the root of all that it sees of cgroups."""

    number: ClassVar[int] = 35
    words: ClassVar[str] = "take a cgroup namespace"
    because: ClassVar[str] = "inside, the container's own limits are all that /sys/fs/cgroup shows"


class RemoveCgroups(Step):
    """Clean-up: kill what is left in the container's cgroups, and remove them."""

    number: ClassVar[int] = 66
    words: ClassVar[str] = "remove the container's cgroups"
    because: ClassVar[str] = "a foreground container leaves nothing behind"


class Place(Value):
    """A cgroup of version 2 to make the container's in, and how chrun-init gets there."""

    parent: str
    wrapper: tuple[str, ...] = ()


def plan_limits(spec: Spec, cgroups: Cgroups, host: Host) -> Limited:
    """Plan all limits of a spec but those of setrlimit(2), and the rules for its devices, if any.

    Raises UnsupportedError, with a hint that says how to get it, for a limit that cannot be put
    into force here; UsageError for processors that are not there.
    """
    deadline = plan_deadline(spec)
    if spec.resources == Resources() and not spec.device_rules:
        return Limited(deadline)
    steps, place = _plan_cgroups(spec.resources, cgroups, host, spec.device_rules)
    private = "cgroup" in spec.namespaces
    return Limited(
        (*steps, *((CgroupNamespace(),) if private else ()), *deadline),
        ("cgroup",) if private else (),
        tuple(_shown(steps, cgroups, private=private)),
        (RemoveCgroups(),),
        place.wrapper,
    )


def plan_deadline(spec: Spec) -> tuple[Step, ...]:
    """Plan the end of a container whose time is limited."""
    if not spec.timeout_ms:
        return ()
    return (Deadline(spec.timeout_ms, duration_words(spec.timeout_ms)),)


def _plan_cgroups(
    resources: Resources, cgroups: Cgroups, host: Host, rules: tuple[Rule, ...]
) -> tuple[tuple[Cgroup | DeviceFilter, ...], Place]:
    _check_processors(resources, cgroups)
    _check_weight(resources, cgroups)
    limits = tuple(limits_of(resources, cgroups.memory_nodes))
    unified = [limit for limit in limits if not cgroups.find_legacy(limit.controller)]
    devices = cgroups.find_legacy("devices")
    filtered = bool(rules) and not devices
    place = _choose_place(unified, cgroups, host) if unified or filtered else Place("")
    steps = tuple(
        _unified_step(limit, place, cgroups, host)
        if limit in unified
        else _legacy_step(limit, cgroups, host)
        for limit in limits
    )
    if rules and devices:
        return (*steps, _device_step(devices, rules)), place
    if rules:
        return (*steps, DeviceFilter(place.parent, program_of(rules))), place
    return steps, place


def _device_step(tree: Legacy, rules: tuple[Rule, ...]) -> Cgroup:
    words = DeviceFilter.words
    if not tree.writable:
        raise UnsupportedError(f"cannot {words}: {tree.directory} is read-only", hint=_READ_ONLY)
    return Cgroup(tree.directory, (), settings_of(rules), "", words, (), _DEVICES_BECAUSE)


def _shown(
    steps: tuple[Cgroup | DeviceFilter, ...], cgroups: Cgroups, *, private: bool
) -> Iterator[Step]:
    """Show the container its own cgroups, as programs expect them, read-only (CVE-2023-25809).

    Without a namespace of its own it sees those of the machine: mounting them anew from there
    would change their options for everybody.
    """
    if not private:
        yield Bind(_MOUNT_POINT, _MOUNT_POINT, True, _FLAGS, "asked for: the machine's cgroups")
        return
    parents = {step.parent for step in steps}
    trees = [tree for tree in cgroups.legacy if tree.directory in parents]
    # Also below version 2, whose file system the kernel does not mount on itself: in a user
    # namespace the machine's is there.
    yield Mount("tmpfs", _MOUNT_POINT, _FLAGS & ~MS_RDONLY, "mode=755,size=64k")
    for tree in trees:
        names = ",".join(tree.controllers)
        yield Mount("cgroup", f"{_MOUNT_POINT}/{names}", _FLAGS, names)
    if not trees:
        yield Mount("cgroup2", _MOUNT_POINT, _FLAGS, "")
        return
    if any(isinstance(step, DeviceFilter) or step.controllers for step in steps):
        yield Mount("cgroup2", f"{_MOUNT_POINT}/unified", _FLAGS, "")
    yield ReadOnly(_MOUNT_POINT)


def duration_words(milliseconds: int) -> str:
    """Write a time in the largest unit that keeps it whole."""
    for size, unit in ((3_600_000, "h"), (60_000, "min"), (1000, "s")):
        if milliseconds % size == 0:
            return f"{milliseconds // size} {unit}"
    return f"{milliseconds} ms"


def _check_processors(resources: Resources, cgroups: Cgroups) -> None:
    if resources.cpus and not parse_processors(resources.cpus) <= cgroups.processors:
        raise UsageError(
            f"cannot use --cpuset-cpus {resources.cpus}: this process may run on processors "
            f"{', '.join(map(str, sorted(cgroups.processors)))}"
        )


def _check_weight(resources: Resources, cgroups: Cgroups) -> None:
    """The kernel keeps weights that nobody honours, and says nothing."""
    if resources.blkio_weight and not cgroups.weighs:
        raise UnsupportedError(
            "cannot use --blkio-weight: no disk here has a scheduler that honours weights",
            hint="as root: modprobe bfq, and write bfq to /sys/block/DISK/queue/scheduler",
        )


def _legacy_step(limit: Limit, cgroups: Cgroups, host: Host) -> Cgroup:
    tree = cgroups.find_legacy(limit.controller)
    if not tree or not tree.writable:
        where = tree.directory if tree else "a cgroup of version 1"
        why = "read-only" if host.uid == 0 else "not this user's to change"
        raise UnsupportedError(
            f"cannot use {limit.flag}: {where} is {why}",
            hint=_READ_ONLY if host.uid == 0 else _LEGACY_REMEDY,
        )
    return Cgroup(tree.directory, (), limit.v1, limit.amount, limit.words, tuple(_notes(limit)))


def _unified_step(limit: Limit, place: Place, cgroups: Cgroups, host: Host) -> Cgroup:
    controllers = (_name(limit),)
    denied = _remedy(controllers, cgroups, host)
    notes = tuple(_notes(limit, denied))
    return Cgroup(place.parent, controllers, limit.v2, limit.amount, limit.words, notes)


def _name(limit: Limit) -> str:
    return _VERSION_2_NAMES.get(limit.controller, limit.controller)


def _choose_place(limits: list[Limit], cgroups: Cgroups, host: Host) -> Place:
    """Find a cgroup whose children may have the controllers, as near to this process as can be.

    Nearest first, so that whatever limits hold here hold for the container, too. What systemd made
    for itself it may change at any time, so there it is asked for a cgroup instead.
    """
    wanted = frozenset(map(_name, limits))
    own, above, manager = cgroups.own, cgroups.above, cgroups.manager
    if own and own.is_root and _offers(own, wanted):
        return Place(own.directory)
    if above and not above.is_managed and _offers(above, wanted):
        return Place(above.directory)
    if own and not own.is_managed and len(own.processes) <= 1 and _may_offer(own, wanted):
        return Place(_OWN + cgroups.mount_point)
    given = cgroups.present if not manager or manager.controllers is None else manager.controllers
    if manager and wanted <= set(given):
        return Place(_OWN + cgroups.mount_point, manager.words)
    lacking = tuple(sorted(wanted - set(cgroups.present))) or tuple(sorted(wanted))
    flags = ", ".join(limit.flag for limit in limits if _name(limit) in lacking) or "devices"
    raise UnsupportedError(
        f"cannot use {flags}: {_reason(lacking, cgroups)}", hint=_remedy(lacking, cgroups, host)
    )


def _may_offer(group: Group, wanted: frozenset[str]) -> bool:
    return group.writable and wanted <= set(group.controllers)


def _offers(group: Group, wanted: frozenset[str]) -> bool:
    """A cgroup with processes in it passes no controllers on, the root of all excepted."""
    is_free = group.is_root or not group.processes or wanted <= set(group.enabled)
    return _may_offer(group, wanted) and is_free


_READ_ONLY = "give the container that chrun itself runs in cgroups that it may change"


def _reason(controllers: tuple[str, ...], cgroups: Cgroups) -> str:
    if not cgroups.mount_point:
        return "no cgroup file system is mounted that limits it"
    if not set(controllers) <= set(cgroups.present):
        return f"the kernel does not offer the cgroup controller {', '.join(controllers)}"
    if cgroups.readonly:
        return f"{cgroups.mount_point} is read-only"
    return "this user has no cgroup that may be divided"


def _remedy(controllers: tuple[str, ...], cgroups: Cgroups, host: Host) -> str:
    """Say exactly how to get what `_reason` says is missing."""
    if not cgroups.mount_point:
        return "as root: mount -t cgroup2 none /sys/fs/cgroup"
    if not set(controllers) <= set(cgroups.present):
        return f"boot with cgroup_enable={controllers[0]}, or a kernel that has it"
    if cgroups.readonly:
        return _READ_ONLY
    if not cgroups.systemd:
        top = f"{cgroups.mount_point}/chrun-{host.uid}"
        enable = " ".join(f"+{name}" for name in controllers)
        return (
            f"as root: echo {enable} > {cgroups.mount_point}/cgroup.subtree_control; "
            f"mkdir -p {top}/shell; chown -R {host.uid} {top}; "
            f"echo PID > {top}/shell/cgroup.procs, with the PID of the shell that runs chrun"
        )
    if host.uid == 0:
        return "run it in a cgroup of its own: systemd-run --scope -p Delegate=yes chrun ..."
    if cgroups.manager is None:
        return (
            f"as root: loginctl enable-linger {host.uid}; then: "
            f"export XDG_RUNTIME_DIR=/run/user/{host.uid}"
        )
    return _DELEGATION


def _notes(limit: Limit, denied: str = "") -> Iterator[Note]:
    name = _name(limit)
    yield Note(errno.EACCES, "this user may not change that cgroup", denied)
    yield Note(errno.EPERM, "this user may not change that cgroup", denied)
    yield Note(errno.EROFS, "the cgroup file system is read-only", _READ_ONLY)
    yield Note(
        errno.EBUSY,
        "other processes are in the cgroup that is to be divided",
        "start chrun in a cgroup of its own, or that program in a child of it (DelegateSubgroup=)",
    )
    yield Note(errno.ENOENT, "the kernel has no such limit", _MISSING.get(name, ""))
    yield Note(errno.ERANGE, "the kernel keeps another value than it was given")
    if name == "io":
        yield Note(errno.ENODEV, "it is no disk that can be limited", "name a whole disk")
    yield Note(errno.EINVAL, "the cgroup around it allows less, or the kernel not this value")


_MISSING = {"memory": "limits of swap need a kernel that was booted with swapaccount=1"}
