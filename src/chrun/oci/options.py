"""What the command line or the API asks for, beside the image: as values, read and checked."""

from __future__ import annotations

from chrun.oci.spec import Device, Joined, Resources, Rlimit, SpecMount
from chrun.values import Value


class SecurityOptions(Value):
    """What the process may do.

    `cap_add` and `cap_drop` hold names such as CAP_CHOWN, or ALL; `no_new_privileges` None is the
    rung's choice; `seccomp` is "default", "unconfined" or a profile as JSON text. `masked` paths
    are hidden too; `unmasked` ones are neither hidden nor read-only, ALL or patterns of fnmatch(3).
    `available` is what this caller could grant, filled in by the engine.
    """

    cap_add: tuple[str, ...] = ()
    cap_drop: tuple[str, ...] = ()
    privileged: bool = False
    no_new_privileges: bool | None = None
    seccomp: str = ""
    masked: tuple[str, ...] = ()
    unmasked: tuple[str, ...] = ()
    available: tuple[str, ...] = ()


class NamespaceOptions(Value):
    """Which namespaces are the container's own, and what is set in them.

    A mode is "private", "host", "none" (network, ipc) or "container:ID", of which the engine puts
    the namespaces into `joined`; network "" is the rung's choice: the host's, or none when sealed.
    `asked` names those whose mode was given, which then is no default any more.
    `hosts` are (address, name) of /etc/hosts; `dns`, `dns_search` and `dns_options` replace what
    this machine's resolver says.
    """

    network: str = ""
    pid: str = "private"
    ipc: str = "private"
    uts: str = "private"
    cgroup: str = "private"
    asked: tuple[str, ...] = ()
    joined: tuple[Joined, ...] = ()
    sysctls: tuple[tuple[str, str], ...] = ()
    hosts: tuple[tuple[str, str], ...] = ()
    dns: tuple[str, ...] = ()
    dns_search: tuple[str, ...] = ()
    dns_options: tuple[str, ...] = ()


class LimitOptions(Value):
    """How much the container may use; `shm_bytes` 0 is the default size of /dev/shm.

    `unlimited` names the resources, "memory" and "pids", that were said to have no limit: there a
    rung sets none by itself.
    """

    resources: Resources = Resources()
    rlimits: tuple[Rlimit, ...] = ()
    shm_bytes: int = 0
    timeout_ms: int = 0
    unlimited: tuple[str, ...] = ()


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
