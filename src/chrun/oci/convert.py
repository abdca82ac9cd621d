"""From an image configuration and the user's options to a runtime spec (image-spec conversion.md).

Knows Docker's habits: how entrypoint and command combine, which environment a process starts
with, which paths of /proc and /sys are hidden. Pure: who the user is was looked up before.
"""

from __future__ import annotations

from chrun.errors import UsageError
from chrun.oci.options import LimitOptions, NamespaceOptions, RunOptions, SecurityOptions
from chrun.oci.spec import CapabilitySets, IdMapping, Process, ProcessUser, Spec, SpecMount
from chrun.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Literal

    from chrun.oci.config import ImageConfig
    from chrun.oci.device_rules import Rule

    Rung = Literal["chroot", "namespaces", "confined", "sealed"]

RUNGS: tuple[Rung, ...] = ("chroot", "namespaces", "confined", "sealed")
DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

# Enough for services that bind low ports and drop to another user, not enough to mount, load
# modules, trace others or change the clock. podman's list: docker's has three more, which with the
# machine's network and devices would be its packets (CAP_NET_RAW), its disks (CAP_MKNOD) and its
# audit log (CAP_AUDIT_WRITE).
DEFAULT_CAPABILITIES = (
    "CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FOWNER", "CAP_FSETID", "CAP_KILL", "CAP_SETGID",
    "CAP_SETUID", "CAP_SETPCAP", "CAP_NET_BIND_SERVICE", "CAP_SYS_CHROOT", "CAP_SETFCAP",
)  # fmt: skip

MASKED_PATHS = (
    "/proc/acpi", "/proc/asound", "/proc/interrupts", "/proc/kcore", "/proc/keys",
    "/proc/latency_stats", "/proc/sched_debug", "/proc/scsi", "/proc/timer_list",
    "/proc/timer_stats", "/sys/devices/virtual/powercap", "/sys/firmware",
)  # fmt: skip
READONLY_PATHS = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")

_NAMESPACES = ("mount", "pid", "ipc", "uts", "cgroup")

_SYSTEM_MOUNTS = (
    SpecMount("/proc", "proc", "proc", ("nosuid", "noexec", "nodev")),
    SpecMount("/dev", "tmpfs", "tmpfs", ("nosuid", "mode=755", "size=65536k")),
    SpecMount("/dev/pts", "devpts", "devpts", ("nosuid", "noexec", "newinstance", "ptmxmode=0666")),
    SpecMount(
        "/dev/shm",  # noqa: S108 - inside a container
        "tmpfs",
        "shm",
        ("nosuid", "noexec", "nodev", "mode=1777", "size=65536k"),
    ),
    SpecMount("/dev/mqueue", "mqueue", "mqueue", ("nosuid", "noexec", "nodev")),
    SpecMount("/sys", "sysfs", "sysfs", ("nosuid", "noexec", "nodev", "ro")),
)  # fmt: skip


class Identity(Value):
    """Who runs the command: ids inside the container, supplementary groups and home directory."""

    uid: int = 0
    gid: int = 0
    groups: tuple[int, ...] = ()
    home: str = "/root"


class IdMaps(Value):
    """How ids inside a user namespace stand for ids outside; both empty: no user namespace."""

    uids: tuple[IdMapping, ...] = ()
    gids: tuple[IdMapping, ...] = ()


def make_spec(
    image: str,
    config: ImageConfig,
    options: RunOptions,
    rung: Rung,
    identity: Identity,
    maps: IdMaps,
) -> Spec:
    """Compose the spec of one container; UsageError when image and options name no command.

    `image` is its name, for messages; `rung` how much of the isolation ladder is taken.
    """
    confined, security = rung in {"confined", "sealed"}, options.security
    if rung == "sealed":
        from chrun.oci.sealed import seal

        options = seal(options)
    process = Process(
        args=_checked(image, _command_line(image, config, options)),
        env=_checked(image, _environment(config, options, rung, identity)),
        cwd="".join(_checked(image, (options.working_dir or config.working_dir or "/",))),
        user=ProcessUser(identity.uid, identity.gid, identity.groups),
        terminal=options.terminal,
        capabilities=_capabilities(security, rung, identity.uid),
        no_new_privileges=_no_new_privileges(security, rung),
        rlimits=options.limits.rlimits,
    )
    if rung == "chroot":
        return _bare_spec(process, options)
    return Spec(
        process=process,
        root_readonly=options.readonly,
        hostname=options.hostname,
        mounts=_system_mounts(options, maps) + _parents_first(options.mounts),
        namespaces=_own_namespaces(options.namespaces, maps),
        joined=options.namespaces.joined,
        uid_mappings=maps.uids,
        gid_mappings=maps.gids,
        masked_paths=_still_shut(security, MASKED_PATHS if confined else ()) + security.masked,
        readonly_paths=_still_shut(security, READONLY_PATHS if confined else ()),
        sysctls=options.namespaces.sysctls,
        resources=options.limits.resources,
        devices=options.devices,
        device_rules=_device_rules(options, process, maps),
        seccomp=_seccomp(security, rung),
        sealed=rung == "sealed",
        timeout_ms=options.limits.timeout_ms,
        init=options.init,
    )


def _device_rules(options: RunOptions, process: Process, maps: IdMaps) -> tuple[Rule, ...]:
    """Restrict the use of devices where there are any; in a user namespace none can be made."""
    sets = process.capabilities
    any_made = sets is not None and "CAP_MKNOD" in sets.bounding
    if options.security.privileged or maps.uids or not (options.devices or any_made):
        return ()
    from chrun.oci.device_rules import rules_for

    return rules_for(options.devices)


def _bare_spec(process: Process, options: RunOptions) -> Spec:
    """The chroot rung changes the root and nothing else; what needs a namespace is an error."""
    security_asked = options.security != SecurityOptions()
    refused = {
        "--memory, --timeout, --ulimit and other limits": options.limits != LimitOptions(),
        "--hostname": options.hostname,
        "--read-only": options.readonly,
        "-v, --mount, --tmpfs and --device": options.mounts or options.devices,
        "-t": options.terminal,
        "--init": options.init,
        "--cap-add, --cap-drop, --privileged and --security-opt": security_asked,
        "--network, --pid, --ipc, --uts, --cgroupns, --sysctl, --add-host and --dns": (
            options.namespaces != NamespaceOptions()
        ),
    }
    for flag, wanted in refused.items():
        if wanted:
            raise UsageError(
                f"cannot use {flag} with --isolation chroot: it needs namespaces",
                hint="use --isolation namespaces",
            )
    return Spec(process=process)


def _command_line(image: str, config: ImageConfig, options: RunOptions) -> tuple[str, ...]:
    """Combine as docker does: a new entrypoint forgets the image's command."""
    if options.entrypoint is not None:
        words = options.entrypoint + options.args
    else:
        words = config.entrypoint + (options.args or config.command)
    if not words or not words[0]:
        raise UsageError(
            f"cannot run {image}: the image names no command",
            hint="name one behind the image",
        )
    return words


def _checked(image: str, words: tuple[str, ...]) -> tuple[str, ...]:
    """Refuse what no system call can take, though JSON and Python can write it."""
    for word in words:
        if "\0" in word:
            raise UsageError(f"cannot run {image}: {word[:80]!r} has a NUL character in it")
        try:
            word.encode(errors="surrogateescape")  # as names of files that are no UTF-8
        except UnicodeEncodeError as error:
            raise UsageError(f"cannot run {image}: {word[:80]!r} is no text") from error
    return words


def _environment(
    config: ImageConfig, options: RunOptions, rung: Rung, identity: Identity
) -> tuple[str, ...]:
    """Later definitions win: defaults, the image's, the user's; in order of first appearance.

    An entry of an image's without a name or without "=" defines nothing, and stands for no variable
    of the caller's (CVE-2026-57231).
    """
    defaults = [f"PATH={DEFAULT_PATH}"]
    if rung != "chroot":
        defaults.append("HOSTNAME=%h")  # chrun-init puts the host name in: plans hold no ids
    if options.terminal:
        defaults.append("TERM=xterm")
    variables: dict[str, str] = {}
    for entry in (*defaults, *config.env, *options.env):
        name, equals, content = entry.partition("=")
        if name and equals:
            variables[name] = content
    variables.setdefault("HOME", identity.home)
    return tuple(f"{name}={content}" for name, content in variables.items())


def _capabilities(options: SecurityOptions, rung: Rung, uid: int) -> CapabilitySets | None:
    """Root has the rung's set; any other user only keeps it as a bound for setuid programs."""
    base = {"confined": DEFAULT_CAPABILITIES, "sealed": ()}.get(rung, options.available)
    if options.cap_add or options.cap_drop or options.privileged:
        from chrun.oci.capabilities import capability_sets

        return capability_sets(options, options.available if options.privileged else base, uid)
    if rung in {"chroot", "namespaces"}:
        return None  # nothing is taken away
    kept = base if uid == 0 else ()
    return CapabilitySets(bounding=base, effective=kept, permitted=kept)


def _no_new_privileges(options: SecurityOptions, rung: Rung) -> bool:
    if options.no_new_privileges is not None:
        return options.no_new_privileges
    return rung in {"confined", "sealed"} and not options.privileged


def _seccomp(options: SecurityOptions, rung: Rung) -> str:
    """A profile that was asked for holds on every rung; unasked the upper two have the default."""
    if options.seccomp:
        return "" if options.seccomp == "unconfined" else options.seccomp
    return "default" if rung in {"confined", "sealed"} and not options.privileged else ""


def _still_shut(options: SecurityOptions, paths: tuple[str, ...]) -> tuple[str, ...]:
    """Leave out of the hidden or read-only paths those that were opened by name or pattern."""
    if options.privileged or "ALL" in options.unmasked:
        return ()
    if not options.unmasked:
        return paths
    return tuple(
        path for path in paths if not any(_matches(path, pattern) for pattern in options.unmasked)
    )


def _matches(path: str, pattern: str) -> bool:
    """Compare component by component: "/sys*" opens nothing below /sys, nor does "/*"."""
    from fnmatch import fnmatchcase

    names, patterns = path.split("/"), pattern.split("/")
    return len(names) == len(patterns) and all(map(fnmatchcase, names, patterns))


def _own_namespaces(options: NamespaceOptions, maps: IdMaps) -> tuple[str, ...]:
    """Make what is not shared; who joins another container's user namespace needs no other."""
    joins_users = any(joined.type == "user" for joined in options.joined)
    users = ("user",) if maps.uids and not joins_users else ()
    if options == NamespaceOptions():
        return users + _NAMESPACES
    from chrun.oci.namespaces import own_namespaces

    return users + own_namespaces(options)


def _system_mounts(options: RunOptions, maps: IdMaps) -> tuple[SpecMount, ...]:
    mounts: tuple[SpecMount, ...] = _SYSTEM_MOUNTS
    if options.security.privileged:
        mounts = tuple(
            mount.replace(options=mount.options[:-1]) if mount.options[-1] == "ro" else mount
            for mount in mounts
        )
    if options.limits.shm_bytes:
        size = f"size={options.limits.shm_bytes}"
        mounts = tuple(
            mount.replace(options=(*mount.options[:-1], size)) if mount.source == "shm" else mount
            for mount in mounts
        )
    if options.namespaces.ipc == "private":
        return mounts
    from chrun.oci.namespaces import shared_mounts

    return tuple(shared_mounts(mounts, options.namespaces, user_namespace=bool(maps.uids)))


def _parents_first(mounts: tuple[SpecMount, ...]) -> tuple[SpecMount, ...]:
    """Sort by depth, so that a volume below another one is not hidden by it."""
    return tuple(sorted(mounts, key=lambda mount: mount.destination.rstrip("/").count("/")))
