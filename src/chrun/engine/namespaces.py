"""What a user asks for, read into NamespaceOptions."""

from __future__ import annotations

import socket

from chrun.errors import UsageError
from chrun.oci.options import NamespaceOptions

TYPE_CHECKING = False
if TYPE_CHECKING:
    from chrun.oci.options import RunOptions

JOIN = "container:"
# Which words each flag takes, beside container:ID where it says so.
_MODES = {
    "network": ("host", "none", JOIN),
    "pid": ("private", "host", JOIN),
    "ipc": ("private", "host", "none", JOIN),
    "uts": ("private", "host", JOIN),
    "cgroup": ("private", "host"),
}
_FLAGS = {"cgroup": "cgroupns"}
_ALIASES = {("ipc", "shareable"): "private"}  # docker's: every container's can be joined here

# Kernel parameters that every IPC namespace has of its own: ipc_namespaces(7)
_IPC_SYSCTLS = frozenset(
    f"kernel/{name}"
    for name in (
        "msgmax", "msgmnb", "msgmni", "sem", "shmall", "shmmax", "shmmni", "shm_rmid_forced",
    )
)  # fmt: skip


def parse_namespaces(
    *,
    modes: dict[str, str],
    sysctls: tuple[str, ...],
    add_host: tuple[str, ...],
    dns: tuple[str, ...],
    dns_search: tuple[str, ...],
    dns_option: tuple[str, ...],
) -> NamespaceOptions:
    """Read the words of the command line; UsageError says what is wrong with one.

    `modes` has those that were given: an empty one, of a variable that is not set, is wrong.
    """
    mode = {name: _mode(name, modes.get(name)) for name in _MODES}
    options = NamespaceOptions(
        network=mode["network"],
        pid=mode["pid"],
        ipc=mode["ipc"],
        uts=mode["uts"],
        cgroup=mode["cgroup"],
        asked=tuple(name for name in _MODES if name in modes),
        sysctls=tuple(dict(map(_sysctl, sysctls)).items()),
        dns=tuple(_address("--dns", word) for word in dns),
        dns_search=tuple(_plain("--dns-search", word) for word in dns_search),
        dns_options=tuple(_plain("--dns-option", word) for word in dns_option),
    )
    hosts = tuple(_host(word, options.network or "host") for word in add_host)
    for path, _ in options.sysctls:
        _check_sysctl(path, options)
    return options.replace(hosts=hosts)


def _mode(name: str, word: str | None) -> str:
    known = _MODES[name]
    if word is None:
        return "" if name == "network" else known[0]
    word = _ALIASES.get((name, word), word)
    joins = word.startswith(JOIN) and word != JOIN and JOIN in known
    if joins or (word in known and word != JOIN):
        return word
    words = ", ".join(f"{each}ID" if each == JOIN else each for each in known)
    flag = _FLAGS.get(name, name)
    raise UsageError(f"cannot read --{flag} {word!r}: expected {words}")


def _sysctl(text: str) -> tuple[str, str]:
    """Read NAME=VALUE; where a slash comes first it separates, as for sysctl(8), and dots do not.

    The result is a path below /proc/sys.
    """
    name, equals, content = text.partition("=")
    name = name.strip()
    slash, dot = name.find("/"), name.find(".")
    path = name if 0 <= slash < (dot if dot >= 0 else len(name)) else _with_slashes(name)
    if not equals or not {"", ".", ".."}.isdisjoint(path.split("/")) or "\0" in text:
        raise UsageError(f"cannot read --sysctl {text!r}: expected NAME=VALUE, see sysctl(8)")
    return path, content.strip()


def _with_slashes(name: str) -> str:
    return name.translate({ord("."): "/", ord("/"): "."})


def _check_sysctl(path: str, options: NamespaceOptions) -> None:
    """Refuse what is the machine's: a container sets only what it has of its own, as docker's."""
    name = path.replace("/", ".")
    if path.startswith("net/"):
        _check_own(name, "network", own=options.network == "none", how="--network none")
    elif path in _IPC_SYSCTLS or path.startswith("fs/mqueue/"):
        _check_own(name, "IPC", own=options.ipc in {"private", "none"}, how="--ipc private")
    elif path == "kernel/domainname":
        _check_own(name, "UTS", own=options.uts == "private", how="--uts private")
    elif path == "kernel/hostname":
        raise UsageError(f"cannot set {name} by --sysctl", hint="use --hostname")
    else:
        raise UsageError(f"cannot set {name}: it is the whole machine's, no namespace has its own")


def _check_own(name: str, kind: str, *, own: bool, how: str) -> None:
    if not own:
        raise UsageError(
            f"cannot set {name}: the {kind} namespace is not the container's own", hint=f"use {how}"
        )


def _host(text: str, network: str) -> tuple[str, str]:
    """Read NAME:ADDRESS, or NAME=ADDRESS; `host-gateway` is where this machine is reached."""
    separator = "=" if "=" in text else ":"
    name, _, address = text.partition(separator)
    plain = name.replace("-", "").replace(".", "").replace("_", "")
    if not plain.isascii() or not plain.isalnum() or not address:
        raise UsageError(
            f"cannot read --add-host {text!r}: expected NAME:ADDRESS",
            hint="--add-host db:192.0.2.1, say",
        )
    if address == "host-gateway":
        return _gateway(text, network), name
    if address.startswith("[") and address.endswith("]"):
        address = address[1:-1]
    return _address("--add-host", address), name


def _gateway(text: str, network: str) -> str:
    """On the machine's own network the machine is at its loopback address."""
    if network == "host":
        return "127.0.0.1"
    raise UsageError(f"cannot use --add-host {text!r} with --network {network}: there is no way")


def _address(flag: str, word: str) -> str:
    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            socket.inet_pton(family, word.partition("%")[0])
        except (OSError, ValueError):  # not one, or with a NUL or a byte that is no UTF-8
            continue
        return _plain(flag, word)
    raise UsageError(f"cannot read {flag} {word!r}: expected an address such as 192.0.2.1")


def _plain(flag: str, word: str) -> str:
    """Check a word of resolv.conf(5): one line, no blanks, and something."""
    if not word or not word.isascii() or not word.isprintable() or " " in word:
        raise UsageError(f"cannot read {flag} {word!r}: expected one word")
    return word


def check_options(options: RunOptions) -> None:
    """Refuse a host name or shared memory of its own in namespaces that are not; UsageError."""
    if options.limits.shm_bytes and options.namespaces.ipc != "private":
        raise UsageError(
            f"cannot use --shm-size with --ipc {options.namespaces.ipc}: "
            "there is no /dev/shm of its own"
        )
    if options.hostname and options.namespaces.uts != "private":
        raise UsageError(
            f"cannot use --hostname with --uts {options.namespaces.uts}: it is not this container's"
        )
