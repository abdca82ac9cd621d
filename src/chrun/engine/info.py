"""What this machine allows, as facts that a user can read: for `chrun info`."""

from __future__ import annotations

import os

from chrun.engine.descent import OPTIONAL_NAMESPACES, why_without
from chrun.engine.isolation import choose_rung
from chrun.engine.subid_trial import explained
from chrun.engine.subordinate import find_subordinate
from chrun.errors import StoreError, UnsupportedError
from chrun.linux import caps
from chrun.linux.host import read_first_line, read_host
from chrun.linux.mountinfo import find_mount
from chrun.oci.spec import count_ids
from chrun.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from chrun.engine.engine import Engine
    from chrun.linux.host import Host, Lack


class MachineFact(Value):
    """One line of `chrun info`; `why` and `hint` are empty where nothing is missing."""

    name: str
    state: str
    why: str = ""
    hint: str = ""


def describe_machine(
    engine: Engine, root: str, refused: StoreError | None = None
) -> tuple[MachineFact, ...]:
    """Ask the kernel anew, by trying, and give what it allowed.

    `refused` is why the engine's data directory is not `root` but a temporary one.
    """
    host = read_host()
    host = host.replace(lacks=engine.probe(host))
    return tuple(_facts(engine, host, _data_directory(engine, root, refused)))


def _facts(engine: Engine, host: Host, data_directory: MachineFact) -> Iterator[MachineFact]:
    yield MachineFact("user", _user(host))
    yield MachineFact("kernel", f"Linux {host.release} {host.machine}")
    yield data_directory
    yield _rung(host)
    yield from _namespaces(host)
    yield _tried("/proc", "one of its own", host.lack_of("proc"), "the caller's")
    yield _tried("system call filter", "yes", host.lack_of("seccomp"))
    yield _tried("root file system", "overlay", host.lack_of("overlay"), "copy")
    yield _owners(engine, host)
    yield _limits()
    yield _cgroups()
    yield _limitable(host)


def _data_directory(engine: Engine, root: str, refused: StoreError | None) -> MachineFact:
    name = "data directory"
    if refused:
        return MachineFact(name, "none", str(refused), refused.hint)
    mount = find_mount(root)
    where = f"{root} ({mount.fstype}, {_free_gigabytes(root)} GB free)" if mount else root
    if os.access(engine.store.layout.containers_dir, os.W_OK):
        return MachineFact(name, where)
    hint = "choose another place with --root or CHRUN_HOME"
    return MachineFact(name, where, "it cannot be written to", hint)


def _user(host: Host) -> str:
    if host.privileged:
        return f"uid {host.uid}, may mount (CAP_SYS_ADMIN)"
    return f"uid {host.uid}, in a user namespace"


def _rung(host: Host) -> MachineFact:
    try:
        rung, _ = choose_rung(host, "auto")
    except UnsupportedError as error:
        return MachineFact("isolation", "none", str(error).partition(": ")[2], error.hint)
    return MachineFact("isolation", rung)


def _namespaces(host: Host) -> Iterator[MachineFact]:
    """Tell which namespaces a container gets, and why it does not get the others."""
    lacks = {name: why_without(host, name) for name in OPTIONAL_NAMESPACES}
    got = ", ".join(["mount", *(name for name, lack in lacks.items() if lack is None)])
    yield _tried("namespaces", got, host.lack_of("namespaces"))
    for name, lack in lacks.items():
        if lack:
            yield MachineFact(f"{name} namespace", "the caller's", lack.why, lack.hint)


def _tried(name: str, good: str, lack: Lack | None, instead: str = "no") -> MachineFact:
    return MachineFact(name, instead, lack.why, lack.hint) if lack else MachineFact(name, good)


def _owners(engine: Engine, host: Host) -> MachineFact:
    name = "owners of files"
    if host.privileged:
        return MachineFact(name, "the image's")
    found = explained(find_subordinate(engine.store.layout))
    if found.maps.uids:
        count = count_ids(found.maps.uids)
        return MachineFact(name, f"the image's: {count} ids, the caller's and subordinate ones")
    lack = host.lack_of("listener")
    seems = "only succeed" if lack else "seem to succeed"
    return MachineFact(
        name,
        f"one id is mapped: chown and setuid {seems}",
        found.why + (f"; what setuid changes is not shown: {lack.why}" if lack else ""),
        found.hint,
    )


def _limits() -> MachineFact:
    name = "raising limits"
    if caps.has(caps.effective_mask(), "CAP_SYS_RESOURCE"):
        return MachineFact(name, "yes")
    return MachineFact(name, "no", "CAP_SYS_RESOURCE is missing: --ulimit ends at hard limits")


def _cgroups() -> MachineFact:
    """Tell which cgroup hierarchies are mounted: cgroups(7)."""
    mounted = read_first_line("/sys/fs/cgroup/cgroup.controllers")
    if os.path.exists("/sys/fs/cgroup/cgroup.controllers"):
        return MachineFact("cgroups", f"version 2 ({mounted})")
    if os.path.isdir("/sys/fs/cgroup/memory"):
        mixed = os.path.exists("/sys/fs/cgroup/unified/cgroup.controllers")
        return MachineFact("cgroups", "versions 1 and 2 mixed" if mixed else "version 1")
    return MachineFact("cgroups", "none", "no cgroup file system is mounted on /sys/fs/cgroup")


def _limitable(host: Host) -> MachineFact:
    """Tell what this user can limit by cgroups: memory, processors and the rest, one by one."""
    from chrun.engine.limiting import limits_to_be_had

    possible, why, hint = limits_to_be_had(host)
    return MachineFact("limits", ", ".join(possible) or "none by cgroups", why, hint)


def _free_gigabytes(path: str) -> int:
    status = os.statvfs(path)
    return status.f_bavail * status.f_frsize // 1_000_000_000
