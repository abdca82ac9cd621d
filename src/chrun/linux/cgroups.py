"""Where this process is among the control groups of this machine, and what it may make there.

Two versions exist, side by side on some machines: version 1 has a tree of its own for each
controller, version 2 one tree for all. cgroups(7), Documentation/admin-guide/cgroup-v2.rst.
"""

from __future__ import annotations

import os

from chrun.linux.host import read_first_line, read_text
from chrun.linux.mountinfo import read_mountinfo
from chrun.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from chrun.linux.mountinfo import MountEntry
    from chrun.oci.spec import Resources

_LAST_PROCESSOR = (1 << 16) - 1  # no kernel counts so many
_CONTROLLERS = frozenset({"memory", "cpu", "cpuset", "pids", "blkio", "devices"})
_SYSTEMD_RUN = (
    "/usr/bin/systemd-run",
    "/bin/systemd-run",
    "/run/current-system/sw/bin/systemd-run",
)


class Legacy(Value):
    """A tree of version 1: its controllers, and the directory of this process's cgroup."""

    controllers: tuple[str, ...]
    directory: str
    writable: bool


class Group(Value):
    """A cgroup of version 2.

    `controllers` may be used in it, `enabled` ones in its children; `processes` are those in it
    itself; `is_root` says that it is the root of the whole tree, to which most rules do not apply;
    `is_managed` that systemd made it for itself and may change it at any time.
    """

    directory: str
    controllers: tuple[str, ...]
    enabled: tuple[str, ...]
    writable: bool
    processes: tuple[int, ...]
    is_root: bool = False
    is_managed: bool = False


class Manager(Value):
    """A systemd that makes cgroups on request: the words before a command that is to have one.

    `controllers` are those that it can give; None where only it knows.
    """

    words: tuple[str, ...]
    controllers: tuple[str, ...] | None


class Cgroups(Value):
    """All that this process can use.

    `mount_point` is where version 2 is mounted, "" where it is not, and `present` the controllers
    that it has there; `own` is this process's cgroup and `above` the one around it, each None where
    it cannot be seen. `systemd` says that the machine is run by it, and `manager` is the one that
    this user can ask. `processors` may be used, with the memory of `memory_nodes`; `weighs` says
    that a disk's scheduler honours weights.
    """

    legacy: tuple[Legacy, ...] = ()
    mount_point: str = ""
    readonly: bool = False
    present: tuple[str, ...] = ()
    own: Group | None = None
    above: Group | None = None
    systemd: bool = False
    manager: Manager | None = None
    processors: frozenset[int] = frozenset()
    memory_nodes: str = ""
    weighs: bool = False

    def find_legacy(self, controller: str) -> Legacy | None:
        """Give the tree of version 1 that has a controller; None when there is none."""
        return next((tree for tree in self.legacy if controller in tree.controllers), None)


def read_cgroups(resources: Resources) -> Cgroups:
    """Ask the kernel, and look for a systemd that could be asked; changes nothing.

    Of processors and disks only what `resources` are about.
    """
    mounts, places = _mounts(), read_places(own_place())
    legacy = tuple(_legacy(mounts, places))
    entry = next((entry for entry in mounts if entry.fstype == "cgroup2"), None)
    found = Cgroups(legacy, systemd=os.path.isdir("/run/systemd/system"))
    if entry and "" in places:
        directory = own_directory(entry, places[""])
        above = os.path.dirname(directory) if directory != entry.mount_point else ""
        found = found.replace(
            mount_point=entry.mount_point,
            readonly="ro" in entry.options,
            present=_words(f"{entry.mount_point}/cgroup.controllers"),
            own=_group(directory),
            above=_group(above),
            manager=_manager(entry.mount_point) if found.systemd else None,
        )
    if resources.cpus:
        found = _with_processors(found)
    return found.replace(weighs=_weighs(found.mount_point)) if resources.blkio_weight else found


def own_place() -> str:
    """Give the text of /proc/self/cgroup: it changes when this process is moved."""
    return read_text("/proc/self/cgroup")


def read_places(text: str) -> dict[str, str]:
    """Read /proc/PID/cgroup: the path in its tree by controller, version 2's by "".

    A line of another form is skipped.
    """
    places: dict[str, str] = {}
    for line in text.split("\n"):
        _, _, rest = line.partition(":")
        names, colon, path = rest.partition(":")
        for name in names.split(",") if colon else ():
            places[name] = path
    return places


def own_directory(entry: MountEntry, place: str) -> str:
    """Give the directory of a cgroup below a mount of its tree, "" when it lies outside."""
    root = entry.root.rstrip("/")
    if place != root and not place.startswith(f"{root}/"):
        return ""
    return f"{entry.mount_point}{place[len(root) :]}".rstrip("/")


def parse_processors(text: str) -> frozenset[int]:
    """Read a list such as 0-3,6 (cpuset(7), "List format"); ValueError when it is none."""
    numbers: set[int] = set()
    for part in text.split(","):
        first, dash, last = part.partition("-")
        low, high = int(first), int(last if dash else first)
        if not (first + last).isdigit() or not low <= high <= _LAST_PROCESSOR:
            message = f"not a range: {part}"
            raise ValueError(message)
        numbers.update(range(low, high + 1))
    return frozenset(numbers)


def _mounts() -> tuple[MountEntry, ...]:
    """Give the mounts of cgroups that can be seen: something else may lie on them."""
    return tuple(
        entry
        for entry in read_mountinfo()
        if entry.fstype.startswith("cgroup") and os.path.exists(f"{entry.mount_point}/cgroup.procs")
    )


def _with_processors(found: Cgroups) -> Cgroups:
    """Add which processors this process's cgroup may use."""
    tree = found.find_legacy("cpuset")
    listed = nodes = ""
    if tree:
        listed = read_first_line(f"{tree.directory}/cpuset.effective_cpus")
        nodes = read_first_line(f"{tree.directory}/cpuset.effective_mems")
    elif found.own:
        listed = read_first_line(f"{found.own.directory}/cpuset.cpus.effective")
    listed = listed or read_first_line("/sys/devices/system/cpu/online")
    return found.replace(processors=parse_processors(listed or "0"), memory_nodes=nodes)


def _weighs(mount_point: str) -> bool:
    """Say whether some disk has a scheduler that honours weights, or the cost model is on."""
    disks = os.listdir("/sys/block") if os.path.isdir("/sys/block") else []
    schedulers = (read_first_line(f"/sys/block/{disk}/queue/scheduler") for disk in disks)
    return any("[bfq]" in line or "[cfq]" in line for line in schedulers) or (
        "enable=1" in _words(f"{mount_point}/io.cost.qos")
    )


def _legacy(mounts: tuple[MountEntry, ...], places: dict[str, str]) -> list[Legacy]:
    trees: list[Legacy] = []
    for entry in mounts:
        held = tuple(name for name in entry.super_options if name in places)
        if entry.fstype != "cgroup" or not _CONTROLLERS & set(held):
            continue
        directory = own_directory(entry, places[held[0]])
        if os.path.exists(f"{directory}/cgroup.procs"):
            trees.append(Legacy(held, directory, os.access(directory, os.W_OK)))
    return trees


def _group(directory: str) -> Group | None:
    """Describe a cgroup of version 2; None when it is not there."""
    if not os.path.exists(f"{directory}/cgroup.controllers"):
        return None
    files = ("", "/cgroup.procs", "/cgroup.subtree_control")
    words = _words(f"{directory}/cgroup.procs")
    return Group(
        directory,
        _words(f"{directory}/cgroup.controllers"),
        _words(f"{directory}/cgroup.subtree_control"),
        all(os.access(f"{directory}{name}", os.W_OK) for name in files),
        tuple(int(word) for word in words if word.isdigit()),
        not os.path.exists(f"{directory}/cgroup.type"),
        _is_managed(directory),
    )


def _is_managed(directory: str) -> bool:
    """Say whether systemd would undo what somebody else does there: it marks what it delegates."""
    if not os.path.isdir("/run/systemd/system"):
        return False
    for name in ("user.delegate", "trusted.delegate"):
        try:
            if os.getxattr(directory, name) == b"1":
                return False
        except OSError:
            continue
    return True


def _manager(mount_point: str) -> Manager | None:
    """Find the systemd that makes cgroups for this user: the machine's for root, else their own.

    systemd-run(1): with --scope it asks for a cgroup and becomes the command in it.
    """
    program = next((path for path in _SYSTEMD_RUN if os.access(path, os.X_OK)), "")
    if not program:
        return None
    words = (program, "--scope", "--quiet", "--collect", "--property=Delegate=yes")
    uid = os.geteuid()
    if uid == 0:
        return Manager((*words, "--"), None)
    if not os.path.exists(f"{os.environ.get('XDG_RUNTIME_DIR', '')}/systemd/private"):
        return None
    service = f"{mount_point}/user.slice/user-{uid}.slice/user@{uid}.service"
    return Manager((*words, "--user", "--"), _words(f"{service}/cgroup.controllers") or None)


def _words(path: str) -> tuple[str, ...]:
    return tuple(read_text(path).split())
