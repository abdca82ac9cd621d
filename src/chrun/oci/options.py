"""What the command line or the API asks for, beside the image: as values, read and checked."""

from __future__ import annotations

from chrun.oci.spec import Device, Resources, Rlimit, SpecMount
from chrun.values import Value


class SecurityOptions(Value):
    """What the process may do.

    `cap_add` and `cap_drop` hold names such as CAP_CHOWN, or ALL; `no_new_privileges` None is the
    rung's choice; `seccomp` is "default", "unconfined" or a profile as JSON text.
    """

    cap_add: tuple[str, ...] = ()
    cap_drop: tuple[str, ...] = ()
    privileged: bool = False
    no_new_privileges: bool | None = None
    seccomp: str = "default"


class NamespaceOptions(Value):
    """Which namespaces are the container's own, and what is set in them.

    A mode is "private", "host", "none" (network, ipc) or the path of a namespace's /proc/PID/ns
    directory, which is joined; network "" is the rung's choice: the host's, or none when sealed.
    `hosts` are lines of /etc/hosts; `dns`, `dns_search` and `dns_options` replace what this
    machine's resolver says.
    """

    network: str = ""
    pid: str = "private"
    ipc: str = "private"
    uts: str = "private"
    cgroup: str = "private"
    sysctls: tuple[tuple[str, str], ...] = ()
    hosts: tuple[tuple[str, str], ...] = ()
    dns: tuple[str, ...] = ()
    dns_search: tuple[str, ...] = ()
    dns_options: tuple[str, ...] = ()


class LimitOptions(Value):
    """How much the container may use; `shm_bytes` 0 is the default size of /dev/shm."""

    resources: Resources = Resources()
    rlimits: tuple[Rlimit, ...] = ()
    shm_bytes: int = 0
    timeout_ms: int = 0


class RunOptions(Value):
    """What is asked for, beside the image and how to isolate it.

    `env` holds NAME=value; `entrypoint` None is the image's; `groups` are names or numbers that
    are added to those of the user.
    """

    args: tuple[str, ...] = ()
    entrypoint: tuple[str, ...] | None = None
    env: tuple[str, ...] = ()
    working_dir: str = ""
    hostname: str = ""
    groups: tuple[str, ...] = ()
    mounts: tuple[SpecMount, ...] = ()
    devices: tuple[Device, ...] = ()
    terminal: bool = False
    readonly: bool = False
    init: bool = False
    security: SecurityOptions = SecurityOptions()
    namespaces: NamespaceOptions = NamespaceOptions()
    limits: LimitOptions = LimitOptions()
