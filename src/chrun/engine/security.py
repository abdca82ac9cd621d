"""What a user asks for, read into SecurityOptions, and granted as far as the caller can."""

from __future__ import annotations

import os

from chrun.errors import UnsupportedError, UsageError
from chrun.linux import caps
from chrun.oci.capabilities import ALL
from chrun.oci.options import SecurityOptions

TYPE_CHECKING = False
if TYPE_CHECKING:
    from chrun.linux.host import Host
    from chrun.oci.convert import IdMaps, Rung
    from chrun.oci.options import RunOptions

_OPTIONS = (
    "seccomp=FILE|unconfined, no-new-privileges[=false], systempaths=unconfined, mask=PATH, "
    "unmask=PATH|ALL, apparmor=unconfined, label=disable"
)
# Of modules that chrun has no profiles for: asking for none is what there is.
_ABSENT_MODULES = {"apparmor": "unconfined", "label": "disable"}


def parse_security(
    *,
    cap_add: tuple[str, ...],
    cap_drop: tuple[str, ...],
    privileged: bool,
    security_opt: tuple[str, ...],
) -> SecurityOptions:
    """Read the words of the command line; UsageError says what is wrong with one."""
    added, dropped = _capabilities(cap_add), _capabilities(cap_drop)
    if both := [name for name in added if name in dropped]:
        raise UsageError(f"cannot use --cap-add {both[0]} with --cap-drop {both[0]}")
    options = SecurityOptions(cap_add=added, cap_drop=dropped, privileged=privileged)
    for text in security_opt:
        options = _with_option(options, text)
    return options


def _capabilities(words: tuple[str, ...]) -> tuple[str, ...]:
    """Give names as capabilities(7) has them, from names in any case, with or without CAP_."""
    names = (name.strip() for word in words for name in word.split(","))
    return tuple(dict.fromkeys(map(_capability, names)))


def _capability(word: str) -> str:
    name = word.upper()
    if name == ALL:
        return name
    name = name if name.startswith("CAP_") else f"CAP_{name}"
    if name not in caps.NAMES:
        raise UsageError(f"cannot find the capability {word!r}", hint=_suggestion(name))
    return name


def _suggestion(name: str) -> str:
    from chrun.guesses import guess

    near = guess(name[4:], (each[4:] for each in caps.NAMES))  # all begin with CAP_
    return f"did you mean CAP_{near}?" if near else "capabilities(7) lists them"


def _with_option(options: SecurityOptions, text: str) -> SecurityOptions:
    """Read one `NAME=VALUE`; docker also knows `NAME:VALUE`."""
    name, _, content = text.partition("=" if "=" in text else ":")
    if name == "no-new-privileges" and content in {"", "true", "false"}:
        return options.replace(no_new_privileges=content != "false")
    if name == "seccomp" and content:
        return options.replace(seccomp=_seccomp(content))
    if name == "systempaths" and content == "unconfined":
        return options.replace(unmasked=(ALL,))
    if name in {"mask", "unmask"} and content:
        return _with_paths(options, name, content)
    if name in _ABSENT_MODULES:
        return _without_module(options, name, content)
    raise UsageError(f"cannot read --security-opt {text!r}", hint=f"expected {_OPTIONS}")


def _seccomp(content: str) -> str:
    if content in {"default", "unconfined"}:
        return content
    from chrun.engine.seccomp import read_profile

    return read_profile(content)


def _with_paths(options: SecurityOptions, name: str, content: str) -> SecurityOptions:
    paths = tuple(content.split(":"))
    if name == "unmask" and content.upper() == ALL:
        return options.replace(unmasked=(ALL,))
    for path in paths:
        if not path.startswith("/") or os.path.normpath(path) != path:
            raise UsageError(f"cannot {name} {path!r}: expected absolute paths with ':' between")
    if name == "mask":
        return options.replace(masked=options.masked + paths)
    return options.replace(unmasked=options.unmasked + paths)


def _without_module(options: SecurityOptions, name: str, content: str) -> SecurityOptions:
    nothing = _ABSENT_MODULES[name]
    if content == nothing:
        return options
    raise UnsupportedError(
        f"cannot use --security-opt {name}={content}: chrun sets no {name} of its own",
        hint=f"leave it out, or use --security-opt {name}={nothing}",
    )


def grant(
    options: RunOptions, rung: Rung, host: Host, maps: IdMaps
) -> tuple[RunOptions, tuple[str, ...]]:
    """Fill in what this caller can grant, and give what --privileged cannot, in words.

    Raises UnsupportedError for a capability asked for by name that is not to be had, UsageError
    for what contradicts the rung `sealed`.
    """
    security = options.security
    if rung == "sealed":
        _check_seal(security)
    available = _available(in_user_namespace=bool(maps.uids))
    for name in security.cap_add:
        if name not in (*available, ALL):
            raise UnsupportedError(
                f"cannot grant {name}: this process does not have it itself",
                hint="capsh --print tells what it has; was chrun started in a container?",
            )
    options = options.replace(security=security.replace(available=available))
    if not security.privileged or rung == "chroot":
        return options, ()
    from chrun.engine.privileged import machine_devices

    missing = _missing(host, available, in_user_namespace=bool(maps.uids))
    return options.replace(devices=machine_devices() + options.devices), missing


def _check_seal(security: SecurityOptions) -> None:
    """Refuse what would leave nothing of a seal; a capability or a path by name is a choice."""
    for asked, words in (
        (security.privileged, "--privileged"),
        (ALL in security.cap_add, "--cap-add ALL"),
        (ALL in security.unmasked, "--security-opt systempaths=unconfined"),
        (security.no_new_privileges is False, "--security-opt no-new-privileges=false"),
        (security.seccomp == "unconfined", "--security-opt seccomp=unconfined"),
    ):
        if asked:
            raise UsageError(f"cannot use {words} with --isolation sealed: they contradict")


def _available(*, in_user_namespace: bool) -> tuple[str, ...]:
    """Give the capabilities that a container could have: a new user namespace has them all."""
    known = caps.NAMES[: caps.last_number() + 1]
    if in_user_namespace:
        return known
    own = caps.permitted_mask()
    return tuple(name for number, name in enumerate(known) if own >> number & 1)


def _missing(host: Host, available: tuple[str, ...], *, in_user_namespace: bool) -> tuple[str, ...]:
    over = "--privileged gives all capabilities over this container, none over the machine: "
    if not host.privileged:
        return (f"{over}only root can give its disks, modules and devices that you may not open",)
    if in_user_namespace:
        return (f"{over}its disks, modules and devices are for root without --userns",)
    lacking = [name for name in caps.NAMES[: caps.last_number() + 1] if name not in available]
    if lacking:
        return (f"--privileged cannot give what this process has not: {', '.join(lacking)}",)
    return ()
