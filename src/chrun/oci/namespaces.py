"""What changes in a spec when namespaces are shared, with the machine or another container."""

from __future__ import annotations

from chrun.oci.spec import SpecMount

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from chrun.oci.options import NamespaceOptions

_SHM = "/dev/shm"  # noqa: S108 - inside a container
_SHM_OPTIONS = ("nosuid", "noexec", "nodev")


def own_namespaces(options: NamespaceOptions) -> tuple[str, ...]:
    """Give the runtime spec's names of the namespaces that are the container's own."""
    modes = {
        "pid": options.pid,
        "network": options.network or "host",
        "ipc": options.ipc,
        "uts": options.uts,
        "cgroup": options.cgroup,
    }
    own = (name for name, mode in modes.items() if mode in {"private", "none"})
    return ("mount", *own)


def shared_mounts(
    mounts: tuple[SpecMount, ...], options: NamespaceOptions, *, user_namespace: bool
) -> Iterator[SpecMount]:
    """Give the system's mounts as shared namespaces have them.

    Who shares IPC shares /dev/shm, where POSIX shared memory lies; another container's, which has
    no path here, is fetched by the plan. With --ipc none there is none.
    In a user namespace the machine's message queues cannot be mounted: mq_open(3) finds them all
    the same, only their directory is missing.
    """
    for mount in mounts:
        if mount.destination == _SHM and options.ipc != "private":
            if options.ipc == "host":
                yield SpecMount(_SHM, "bind", _SHM, ("bind", *_SHM_OPTIONS))
        elif not (mount.type == "mqueue" and options.ipc == "host" and user_namespace):
            yield mount
