"""The runtime spec: what runtime-spec's config.md and config-linux.md describe, as values.

Only the parts that chrun composes. Paths in it are those of the spec: `destination` inside,
`source` outside the container.
"""

from __future__ import annotations

from chrun.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from chrun.oci.device_rules import Rule

VERSION = "1.2.0"
_DOTTED = {ord("/"): ".", ord("."): "/"}  # sysctl(8): a dot in a name becomes the slash
_NAMESPACE_FILES = {"network": "net", "mount": "mnt"}  # those that namespaces(7) calls otherwise


class ProcessUser(Value):
    """Who the process is, by the ids that it has inside the container."""

    uid: int = 0
    gid: int = 0
    additional_gids: tuple[int, ...] = ()


class CapabilitySets(Value):
    """The five sets of capabilities(7), by names such as CAP_CHOWN."""

    bounding: tuple[str, ...] = ()
    effective: tuple[str, ...] = ()
    permitted: tuple[str, ...] = ()
    inheritable: tuple[str, ...] = ()
    ambient: tuple[str, ...] = ()


class Rlimit(Value):
    """One of `process.rlimits`: `name` such as RLIMIT_NOFILE; -1 is no limit."""

    name: str
    soft: int
    hard: int


class Process(Value):
    """The command, what it sees of its surroundings, and what it may do.

    `capabilities` None means that nothing is taken away.
    """

    args: tuple[str, ...]
    env: tuple[str, ...] = ()
    cwd: str = "/"
    user: ProcessUser = ProcessUser()
    terminal: bool = False
    capabilities: CapabilitySets | None = None
    no_new_privileges: bool = False
    rlimits: tuple[Rlimit, ...] = ()


class SpecMount(Value):
    """One entry of `mounts`: options are words as mount(8) has them, plus tmpfs's own.

    A type that is no file system's: "bind"; "overlay", which keeps what is written off its source,
    or shows the directories `layers`, base first; and, until the engine knows where they lie, the
    names of a "volume" or an "image". `subpath` is the part of it that is shown. "ro" holds for
    all that is mounted below, where the kernel can do that; "rro" in any case; "ro-top" does not.
    """

    destination: str
    type: str
    source: str
    options: tuple[str, ...] = ()
    subpath: str = ""
    layers: tuple[str, ...] = ()


class IdMapping(Value):
    """A range of ids: `size` of them, from `container_id` inside and `host_id` outside."""

    container_id: int
    host_id: int
    size: int

    def __contains__(self, number: int) -> bool:
        """Whether an id exists inside."""
        return 0 <= number - self.container_id < self.size


def count_ids(mappings: tuple[IdMapping, ...]) -> int:
    """Give how many ids are mapped; 1 is the caller's alone."""
    return sum(mapping.size for mapping in mappings)


class Joined(Value):
    """A namespace that exists already, of the process whose directory in /proc is `process`.

    `type` is the spec's name of it; `started` when that process did, in clock ticks since boot
    (proc_pid_stat(5)): a process of the same number that started later is another one.
    """

    type: str
    process: str
    started: int

    @property
    def path(self) -> str:
        """The namespace's file."""
        return f"{self.process}/ns/{_NAMESPACE_FILES.get(self.type, self.type)}"


class Device(Value):
    """A device node: `kind` is "c" or "b", `mode` its permission bits, `access` letters of "rwm".

    `source` is the node on this machine that a user namespace, which can make none, binds.
    """

    path: str
    kind: str
    major: int
    minor: int
    mode: int
    source: str
    access: str = "rwm"
    uid: int = 0
    gid: int = 0


class Throttle(Value):
    """A rate of a block device: `what` is "rbps", "wbps", "riops" or "wiops"."""

    what: str
    major: int
    minor: int
    rate: int


class Resources(Value):
    """`linux.resources`, in the units that docker's flags have; 0 and "" ask for nothing.

    `memory` and `swap` (memory and swap together; -1: no limit) in bytes, `cpu_quota` and
    `cpu_period` in microseconds, `pids` a number of tasks, `blkio_weight` from 10 to 1000.
    """

    memory: int = 0
    swap: int = 0
    cpu_quota: int = 0
    cpu_period: int = 0
    cpu_shares: int = 0
    cpus: str = ""
    pids: int = 0
    blkio_weight: int = 0
    throttles: tuple[Throttle, ...] = ()


class Spec(Value):
    """A container, complete: what to run, in which root, behind which walls.

    `namespaces` holds the spec's names (`pid`, `network`, `mount`, ...) of new ones; none at all
    is the `chroot` rung. `root_path` "" means the root file system that the engine assembles.
    `seccomp` is "" for no filter, "default" for chrun's own, else a profile as JSON text.
    `sealed` asks for Landlock and the stricter filter; `timeout_ms` ends the container, 0 never.
    """

    process: Process
    root_path: str = ""
    root_readonly: bool = False
    hostname: str = ""
    mounts: tuple[SpecMount, ...] = ()
    namespaces: tuple[str, ...] = ()
    joined: tuple[Joined, ...] = ()
    uid_mappings: tuple[IdMapping, ...] = ()
    gid_mappings: tuple[IdMapping, ...] = ()
    masked_paths: tuple[str, ...] = ()
    readonly_paths: tuple[str, ...] = ()
    sysctls: tuple[tuple[str, str], ...] = ()
    resources: Resources = Resources()
    devices: tuple[Device, ...] = ()
    device_rules: tuple[Rule, ...] = ()  # none: what a device's own mode says
    seccomp: str = ""
    sealed: bool = False
    timeout_ms: int = 0
    init: bool = False  # an annotation in the spec's terms: the runtime puts a reaping PID 1 first

    def named(self, host_name: str) -> Spec:
        """Give the spec with the host name in it, that asked for or this one.

        Until then it is a blank, which chrun-init fills in: `HOSTNAME=%h` in the environment.
        """
        name = self.hostname or host_name
        known = {"HOSTNAME=%h": f"HOSTNAME={name}"}
        env = tuple(known.get(entry, entry) for entry in self.process.env)
        return self.replace(
            process=self.process.replace(env=env),
            hostname=name if "uts" in self.namespaces else "",
        )

    def to_json(self, seccomp: dict[str, object] | None = None) -> dict[str, object]:
        """Give the content of config.json; `seccomp` is the profile as the spec writes it."""
        from chrun.oci.mounts_json import device_json, mount_json  # only for kept and exported ones

        return {
            "ociVersion": VERSION,
            "process": _process_json(self.process),
            "root": {"path": self.root_path or "rootfs", "readonly": self.root_readonly},
            "hostname": self.hostname,
            "mounts": list(map(mount_json, self.mounts)),
            "linux": {
                "namespaces": [
                    *({"type": name} for name in self.namespaces),
                    *({"type": each.type, "path": each.path} for each in self.joined),
                ],
                "resources": self._resources_json(),
                "devices": list(map(device_json, self.devices)),
                "sysctl": {path.translate(_DOTTED): content for path, content in self.sysctls},
                "uidMappings": _mappings_json(self.uid_mappings),
                "gidMappings": _mappings_json(self.gid_mappings),
                "maskedPaths": list(self.masked_paths),
                "readonlyPaths": list(self.readonly_paths),
                **({"seccomp": seccomp} if seccomp else {}),
            },
        }

    def _resources_json(self) -> dict[str, object]:
        from chrun.oci.limits_json import resources_json

        resources = resources_json(self.resources)
        if self.devices or self.device_rules:
            from chrun.oci.device_rules import rules_json

            resources["devices"] = rules_json(self.device_rules)
        return resources


def _process_json(process: Process) -> dict[str, object]:
    user = process.user
    fields: dict[str, object] = {
        "terminal": process.terminal,
        "user": {"uid": user.uid, "gid": user.gid, "additionalGids": list(user.additional_gids)},
        "args": list(process.args),
        "env": list(process.env),
        "cwd": process.cwd,
        "noNewPrivileges": process.no_new_privileges,
    }
    if process.rlimits:
        from chrun.oci.limits_json import rlimits_json

        fields["rlimits"] = rlimits_json(process.rlimits)
    if sets := process.capabilities:
        fields["capabilities"] = {
            name: list(getattr(sets, name)) for name in type(sets).fields if getattr(sets, name)
        }
    return fields


def _mappings_json(mappings: tuple[IdMapping, ...]) -> list[dict[str, int]]:
    return [
        {"containerID": mapping.container_id, "hostID": mapping.host_id, "size": mapping.size}
        for mapping in mappings
    ]
