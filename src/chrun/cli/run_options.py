"""The options of `chrun run` and `chrun explain`: their table, and the request that they make.

What few runs ask for is read by modules that only those runs import.
"""

from __future__ import annotations

import os

from chrun.cli.options import Option, parse_options
from chrun.engine.request import (
    ISOLATIONS,
    PULL_POLICIES,
    USERNS_MODES,
    RunRequest,
    parse_hostname,
    parse_size,
)
from chrun.errors import UsageError
from chrun.oci.options import LimitOptions, NamespaceOptions, RunOptions, SecurityOptions

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import TypeVar

    from chrun.cli.options import Command, Parsed
    from chrun.engine.request import RootfsChoice
    from chrun.oci.spec import Device, SpecMount

    Choice = TypeVar("Choice", bound=str)

_ROOTFS_KINDS: tuple[RootfsChoice, ...] = ("auto", "overlay", "copy")
_DEFAULT_SCRATCH_BYTES = 256 << 20  # memory that a container may fill before it sees a full disk

_SECURITY = (
    Option(("--cap-add",), "grant a capability, or ALL", "CAPABILITY", True),
    Option(("--cap-drop",), "take a capability away, or ALL", "CAPABILITY", True),
    Option(("--privileged",), "all that may be given: capabilities, devices, no filter"),
    Option(
        ("--security-opt",),
        "seccomp=FILE|unconfined, no-new-privileges, unmask=PATH, ...",
        "OPTION",
        True,
    ),
)
_NAMESPACES = (
    Option(("--add-host",), "one more line of /etc/hosts", "NAME:ADDRESS", True),
    Option(("--cgroupns",), "private (the default) or host", "MODE"),
    Option(("--dns",), "a name server instead of this machine's", "ADDRESS", True),
    Option(("--dns-option",), "an option of resolv.conf(5)", "OPTION", True),
    Option(("--dns-search",), "a domain to search in", "DOMAIN", True),
    Option(("--ipc",), "private (the default), host, none or container:ID", "MODE"),
    Option(("--net", "--network"), "host (the default), none or container:ID", "MODE"),
    Option(("--pid",), "private (the default), host or container:ID", "MODE"),
    Option(
        ("--sysctl",), "set a kernel parameter of the container's namespaces", "NAME=VALUE", True
    ),
    Option(("--uts",), "private (the default), host or container:ID", "MODE"),
)
_LIMITS = (
    Option(("--blkio-weight",), "share of the disks, 10 to 1000", "WEIGHT"),
    Option(("--cpu-period",), "microseconds that --cpu-quota is a part of", "MICROSECONDS"),
    Option(("--cpu-quota",), "microseconds of processor time in each period", "MICROSECONDS"),
    Option(("-c", "--cpu-shares"), "share of the processors when they are busy", "SHARES"),
    Option(("--cpus",), "how many processors' worth of time", "NUMBER"),
    Option(("--cpuset-cpus",), "which processors", "LIST"),
    Option(("--device-read-bps",), "bytes a second read from a disk", "DEVICE:RATE", True),
    Option(("--device-read-iops",), "reads a second from a disk", "DEVICE:RATE", True),
    Option(("--device-write-bps",), "bytes a second written to a disk", "DEVICE:RATE", True),
    Option(("--device-write-iops",), "writes a second to a disk", "DEVICE:RATE", True),
    Option(("-m", "--memory"), "how much memory", "SIZE"),
    Option(("--memory-swap",), "how much memory and swap together, -1: no limit", "SIZE"),
    Option(("--pids-limit",), "how many processes and threads", "NUMBER"),
    Option(("--shm-size",), "size of /dev/shm (default: 64m)", "SIZE"),
    Option(("--timeout",), "end the container after so long (10s, 5m, 1h)", "DURATION"),
    Option(("--ulimit",), "a limit of setrlimit(2)", "NAME=SOFT[:HARD]", True),
)
_FILES = (
    Option(("--device",), "give a device of this machine", "SOURCE[:TARGET[:rwm]]", True),
    Option(("--mount",), "type=bind|tmpfs|volume|image,source=...,target=...", "OPTIONS", True),
    Option(("--tmpfs",), "an empty file system in memory", "TARGET[:OPTION,...]", True),
    Option(
        ("-v", "--volume"), "show a host path or a named volume", "SOURCE:TARGET[:OPTION,...]", True
    ),
)

_BASIC = (
    Option(("-e", "--env"), "set a variable; without =VALUE the caller's", "NAME[=VALUE]", True),
    Option(("--entrypoint",), "run this instead of the image's entrypoint", "COMMAND"),
    Option(("--group-add",), "one more group for the user, by name or number", "GROUP", True),
    Option(("-h", "--hostname"), "the host name inside (default: the container's id)", "NAME"),
    Option(("-i", "--interactive"), "pass standard input on"),
    Option(("--init",), "run the command under a PID 1 that reaps orphans"),
    Option(("--isolation",), "how much is shut out", "RUNG", False, ISOLATIONS),
    Option(("--keep",), "keep the container's files when it ends"),
    Option(("--name",), "give the container a name", "NAME"),
    Option(("--platform",), "the image for another platform", "OS/ARCH[/VARIANT]"),
    Option(("--pull",), "when to ask the registry", "WHEN", False, PULL_POLICIES),
    Option(("-q", "--quiet"), "print nothing of chrun's own but errors"),
    Option(("--read-only",), "a root file system that cannot be written to"),
    Option(("--receipt",), "write what the kernel enforces, as JSON", "FILE"),
    Option(("--require",), "do not start unless the receipt shows it", "FACT[,FACT...]", True),
    Option(("--rm",), "remove the container when it ends (the default)"),
    Option(("--rootfs",), "how layers become a tree", "KIND", False, _ROOTFS_KINDS),
    Option(("--scratch",), "where changes go: disk, or memory up to SIZE", "disk|tmpfs[:SIZE]"),
    Option(("-t", "--tty"), "open a terminal inside"),
    Option(("-u", "--user"), "who runs the command, by name or number", "USER[:GROUP]"),
    Option(("--userns",), "how ids inside map to ids outside", "MODE", False, USERNS_MODES),
    Option(("-w", "--workdir"), "where the command starts", "DIRECTORY"),
)

RUN_OPTIONS = tuple(
    sorted(
        (*_BASIC, *_SECURITY, *_NAMESPACES, *_LIMITS, *_FILES),
        key=lambda option: option.spellings[-1],
    )
)


def parse_run(command: Command, words: Sequence[str]) -> tuple[RunRequest | None, Parsed]:
    """Read the command line of `run` and of `explain`; None instead of a request for --help."""
    parsed = parse_options(command, words)
    if parsed.flag("help"):
        return None, parsed
    if not parsed.operands:
        name = command.usage.split(" ", 1)[0]
        raise UsageError(f"cannot {name}: no image was named", hint=f'see "chrun {name} --help"')
    image, *args = parsed.operands
    entrypoint = parsed.find_text("entrypoint")
    options = RunOptions(
        args=tuple(args),
        entrypoint=None if entrypoint is None else (entrypoint,) if entrypoint else (),
        env=_environment(parsed.texts("env")),
        working_dir=_working_dir(parsed.text("workdir")),
        hostname=parse_hostname(parsed.text("hostname")),
        groups=parsed.texts("group-add"),
        mounts=_mounts(parsed),
        devices=_devices(parsed),
        terminal=parsed.flag("tty"),
        readonly=parsed.flag("read-only"),
        init=parsed.flag("init"),
        security=_security(parsed),
        namespaces=_namespaces(parsed),
        limits=_limits(parsed),
    )
    request = RunRequest(
        image=image,
        options=options,
        user=parsed.text("user"),
        name=parsed.text("name"),
        isolation=_chosen(ISOLATIONS, parsed.text("isolation")),
        rootfs=_chosen(_ROOTFS_KINDS, parsed.text("rootfs")),
        scratch_bytes=_scratch_bytes(parsed.text("scratch", "disk")),
        keep=parsed.flag("keep") or parsed.refuses("rm"),
        pull=_chosen(PULL_POLICIES, parsed.text("pull")),
        platform=parsed.text("platform"),
        userns=_chosen(USERNS_MODES, userns) if (userns := parsed.text("userns")) else "",
        receipt=_receipt(parsed.find_text("receipt")),
        require=_require(parsed.texts("require")),
    )
    _check_contradictions(request, parsed)
    return request, parsed


def _asked(parsed: Parsed, group: tuple[Option, ...]) -> bool:
    return any(option.name in parsed.given for option in group)


def _security(parsed: Parsed) -> SecurityOptions:
    if not _asked(parsed, _SECURITY):
        return SecurityOptions()
    from chrun.engine.security import parse_security

    return parse_security(
        cap_add=parsed.texts("cap-add"),
        cap_drop=parsed.texts("cap-drop"),
        privileged=parsed.flag("privileged"),
        security_opt=parsed.texts("security-opt"),
    )


def _namespaces(parsed: Parsed) -> NamespaceOptions:
    if not _asked(parsed, _NAMESPACES):
        return NamespaceOptions()
    from chrun.engine.namespaces import parse_namespaces

    return parse_namespaces(
        modes={
            name: parsed.text(option)
            for name, option in (
                ("network", "network"), ("pid", "pid"), ("ipc", "ipc"), ("uts", "uts"),
                ("cgroup", "cgroupns"),
            )
            if option in parsed.given
        },
        sysctls=parsed.texts("sysctl"),
        add_host=parsed.texts("add-host"),
        dns=parsed.texts("dns"),
        dns_search=parsed.texts("dns-search"),
        dns_option=parsed.texts("dns-option"),
    )  # fmt: skip


def _limits(parsed: Parsed) -> LimitOptions:
    if not _asked(parsed, _LIMITS):
        return LimitOptions()
    from chrun.engine.limits import parse_limits

    return parse_limits(
        {
            option.name: parsed.texts(option.name)
            for option in _LIMITS
            if option.name in parsed.given
        }
    )


def _mounts(parsed: Parsed) -> tuple[SpecMount, ...]:
    if not _asked(parsed, _FILES):
        return ()
    from chrun.engine.mounts import parse_mounts

    return parse_mounts(parsed.texts("tmpfs"), parsed.texts("volume"), parsed.texts("mount"))


def _devices(parsed: Parsed) -> tuple[Device, ...]:
    if not parsed.given.get("device"):
        return ()
    from chrun.engine.devices import parse_devices

    return parse_devices(parsed.texts("device"))


def _receipt(path: str | None) -> str:
    if path == "":  # of a variable that is not set: nobody would look
        raise UsageError("cannot write a receipt: --receipt is empty")
    if path == "-":  # elsewhere it is standard output, which is the command's here
        raise UsageError(
            "cannot write a receipt to '-': standard output is the command's",
            hint="--receipt /dev/stderr, /dev/fd/3 or, for a file of that name, ./-",
        )
    return path or ""


def _require(words: Sequence[str]) -> tuple[str, ...]:
    """Refuse an unknown fact before anything is started."""
    if words:
        from chrun.engine.require import parse_facts

        parse_facts(tuple(words))
    return tuple(words)


def _chosen(choices: tuple[Choice, ...], text: str) -> Choice:
    """Give the choice in its own type, the first by default; the parser refused all others."""
    return next((choice for choice in choices if choice == text), choices[0])


def _environment(entries: Sequence[str]) -> tuple[str, ...]:
    """Fill in the caller's value for a NAME alone; a variable the caller has not is left out."""
    filled: list[str] = []
    for entry in entries:
        name, equals, _ = entry.partition("=")
        if not name:
            raise UsageError(f"cannot set variable {entry!r}: it has no name")
        if equals:
            filled.append(entry)
        elif name in os.environ:
            filled.append(f"{name}={os.environ[name]}")
    return tuple(filled)


def _working_dir(path: str) -> str:
    if path and not path.startswith("/"):
        raise UsageError(f"cannot change to {path!r}: -w must be an absolute path")
    return path


def _scratch_bytes(text: str) -> int:
    if text == "tmpfs":
        return _DEFAULT_SCRATCH_BYTES
    if text.startswith("tmpfs:"):
        return parse_size(text.removeprefix("tmpfs:"))
    if text != "disk":
        raise UsageError(f"cannot read --scratch {text!r}: expected disk or tmpfs[:SIZE]")
    return 0


def _check_contradictions(request: RunRequest, parsed: Parsed) -> None:
    if request.keep and parsed.flag("rm"):
        raise UsageError("cannot use --keep with --rm: they contradict each other")
    if request.keep and request.scratch_bytes:
        raise UsageError("cannot use --keep with --scratch tmpfs: memory does not stay")
    if parsed.text("scratch") == "disk" and request.isolation == "sealed":
        raise UsageError("cannot use --scratch disk with --isolation sealed: its scratch is memory")
    if parsed.refuses("read-only") and request.isolation == "sealed":
        raise UsageError("cannot use --read-only=false with --isolation sealed: they contradict")
    if request.keep and request.isolation == "sealed":
        raise UsageError("cannot use --keep with --isolation sealed: it writes nothing to disk")
    if request.scratch_bytes and request.rootfs == "copy":
        raise UsageError("cannot use --scratch tmpfs with --rootfs copy: the copy lies on disk")
