"""From an image configuration and the user's options to a runtime spec (image-spec conversion.md).

Knows Docker's habits: how entrypoint and command combine, which environment a process starts
with, which paths of /proc and /sys are hidden. Pure: who the user is was looked up before.
"""

from __future__ import annotations

from chrun.errors import UsageError
from chrun.oci.options import RunOptions
from chrun.oci.spec import CapabilitySets, IdMapping, Process, ProcessUser, Spec, SpecMount
from chrun.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Literal

    from chrun.oci.config import ImageConfig

    Rung = Literal["chroot", "namespaces", "confined", "sealed"]

RUNGS: tuple[Rung, ...] = ("chroot", "namespaces", "confined", "sealed")
DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

# What docker leaves to root in a container: enough for services that bind low ports and drop to
# another user, not enough to mount, load modules, trace others or change the clock.
_DEFAULT_CAPABILITIES = (
    "CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FSETID", "CAP_FOWNER", "CAP_MKNOD", "CAP_NET_RAW",
    "CAP_SETGID", "CAP_SETUID", "CAP_SETFCAP", "CAP_SETPCAP", "CAP_NET_BIND_SERVICE",
    "CAP_SYS_CHROOT", "CAP_KILL", "CAP_AUDIT_WRITE",
)  # fmt: skip

_MASKED_PATHS = (
    "/proc/acpi", "/proc/asound", "/proc/interrupts", "/proc/kcore", "/proc/keys",
    "/proc/latency_stats", "/proc/sched_debug", "/proc/scsi", "/proc/timer_list",
    "/proc/timer_stats", "/sys/devices/virtual/powercap", "/sys/firmware",
)  # fmt: skip
_READONLY_PATHS = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")

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
    confined = rung in {"confined", "sealed"}
    if rung == "sealed":
        from chrun.oci.sealed import seal

        options = seal(options)
    process = Process(
        args=_checked(image, _command_line(image, config, options)),
        env=_checked(image, _environment(config, options, rung, identity)),
        cwd="".join(_checked(image, (options.working_dir or config.working_dir or "/",))),
        user=ProcessUser(identity.uid, identity.gid, identity.groups),
        terminal=options.terminal,
        capabilities=_capabilities(identity) if confined else None,
        no_new_privileges=confined,
        rlimits=options.limits.rlimits,
    )
    if rung == "chroot":
        return _bare_spec(process, options)
    return Spec(
        process=process,
        root_readonly=options.readonly,
        hostname=options.hostname,
        mounts=_SYSTEM_MOUNTS + _parents_first(options.mounts),
        namespaces=(("user",) if maps.uids else ()) + _NAMESPACES,
        uid_mappings=maps.uids,
        gid_mappings=maps.gids,
        masked_paths=_MASKED_PATHS if confined else (),
        readonly_paths=_READONLY_PATHS if confined else (),
        resources=options.limits.resources,
        devices=options.devices,
        sealed=rung == "sealed",
        timeout_ms=options.limits.timeout_ms,
        init=options.init,
    )


def _bare_spec(process: Process, options: RunOptions) -> Spec:
    """The chroot rung changes the root and nothing else; what needs a namespace is an error."""
    refused = {
        "--hostname": options.hostname,
        "--read-only": options.readonly,
        "-v and --tmpfs": options.mounts,
        "-t": options.terminal,
        "--init": options.init,
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
    return words


def _environment(
    config: ImageConfig, options: RunOptions, rung: Rung, identity: Identity
) -> tuple[str, ...]:
    """Later definitions win: defaults, the image's, the user's; in order of first appearance."""
    defaults = [f"PATH={DEFAULT_PATH}"]
    if rung != "chroot":
        defaults.append("HOSTNAME=%h")  # chrun-init puts the host name in: plans hold no ids
    if options.terminal:
        defaults.append("TERM=xterm")
    variables: dict[str, str] = {}
    for entry in (*defaults, *config.env, *options.env):
        name, _, content = entry.partition("=")
        variables[name] = content
    variables.setdefault("HOME", identity.home)
    return tuple(f"{name}={content}" for name, content in variables.items())


def _capabilities(identity: Identity) -> CapabilitySets:
    """Root has the default set; any other user only keeps it as a bound for setuid programs."""
    kept = _DEFAULT_CAPABILITIES if identity.uid == 0 else ()
    return CapabilitySets(bounding=_DEFAULT_CAPABILITIES, effective=kept, permitted=kept)


def _parents_first(mounts: tuple[SpecMount, ...]) -> tuple[SpecMount, ...]:
    """Sort by depth, so that a volume below another one is not hidden by it."""
    return tuple(sorted(mounts, key=lambda mount: mount.destination.rstrip("/").count("/")))
