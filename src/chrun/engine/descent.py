"""How `auto` descends: what a run does without where the machine lacks it, each with a word.

Only what nobody asked for by name is left out. A rung or a flag that was named works, or is an
error that says what would mend it.
"""

from __future__ import annotations

from chrun.engine.isolation import notice
from chrun.errors import UnsupportedError
from chrun.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from chrun.engine.request import Isolation
    from chrun.linux.host import Fact, Host, Lack
    from chrun.oci.options import RunOptions
    from chrun.oci.spec import Spec


class Descent(Value):
    """A namespace that a run can do without: its name, the flag for it, and what that means."""

    namespace: Fact
    flag: str
    meaning: str


_DESCENTS = (
    Descent("pid", "--pid host", "the container sees the caller's processes and may signal them"),
    Descent("ipc", "--ipc host", "the container shares shared memory and semaphores"),
    Descent("uts", "--uts host", "the container has the machine's host name"),
    Descent("cgroup", "--cgroupns host", "the container sees where its cgroup is"),
)
OPTIONAL_NAMESPACES: tuple[Fact, ...] = tuple(descent.namespace for descent in _DESCENTS)


def descend(
    host: Host, isolation: Isolation, options: RunOptions
) -> tuple[RunOptions, tuple[str, ...]]:
    """Give the options that this machine can meet, and a line for each thing that is missing.

    Raises UnsupportedError for what was asked for by name.
    """
    namespaces = options.namespaces
    shared: dict[str, str] = {}
    notices: list[str] = []
    for descent in _DESCENTS:
        name = descent.namespace
        lack = why_without(host, name)
        if lack is None or getattr(namespaces, name) != "private":
            continue
        if isolation != "auto" or name in _asked(options):
            raise UnsupportedError(
                f"cannot give the container its own {name} namespace: {lack.why}",
                hint=lack.hint or f"use {descent.flag}",
            )
        shared[name] = "host"
        notices.append(notice(f"{descent.meaning} ({descent.flag})", lack.why, lack.hint))
    return options.replace(namespaces=namespaces.replace(**shared)), tuple(notices)


def without_filters(lack: Lack, spec: Spec, *, optional: bool) -> tuple[str, ...]:
    """Give the line that tells of a missing filter; UnsupportedError unless it is optional."""
    if not spec.seccomp:
        return ()
    if not optional:
        raise UnsupportedError(f"cannot filter system calls: {lack.why}", hint=lack.hint)
    what = "no system call is forbidden (--security-opt seccomp=unconfined)"
    return (notice(what, lack.why, lack.hint),)


def why_without(host: Host, namespace: Fact) -> Lack | None:
    """Give why there is no namespace of a type here; None where there is one.

    Where no /proc can be mounted that shows a new pid namespace, /proc would show another one's
    processes, by numbers that mean nothing inside.
    """
    lack = host.lack_of(namespace)
    if lack is None and namespace == "pid":
        return host.lack_of("proc")
    return lack


def _asked(options: RunOptions) -> frozenset[str]:
    """Give the namespaces that somebody asked for, by a flag or by what only an own one can do.

    A kernel parameter or host name would otherwise become the machine's.
    """
    asked = set(options.namespaces.asked)
    if options.namespaces.sysctls:
        asked |= {"ipc", "uts"}
    if options.hostname:
        asked.add("uts")
    return frozenset(asked)
