"""What the kernel says of one process: /proc/PID, read into values (proc(5) and its parts).

Reading wants the right to look at the process (ptrace(2), "Ptrace access mode checking"), which
whoever started a container has. Ids and paths are as the reader sees them, unless it says inside.
"""

from __future__ import annotations

import os

from chrun.linux import caps
from chrun.linux.mountinfo import parse_mountinfo
from chrun.oci.spec import CapabilitySets, IdMapping, Rlimit
from chrun.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from chrun.linux.mountinfo import MountEntry

# The runtime spec's names of namespaces, by those of their files.
NAMESPACES = {
    "cgroup": "cgroup",
    "ipc": "ipc",
    "mnt": "mount",
    "net": "network",
    "pid": "pid",
    "time": "time",
    "user": "user",
    "uts": "uts",
}
_LIMITS = {
    "Max cpu time": "RLIMIT_CPU",
    "Max file size": "RLIMIT_FSIZE",
    "Max data size": "RLIMIT_DATA",
    "Max stack size": "RLIMIT_STACK",
    "Max core file size": "RLIMIT_CORE",
    "Max resident set": "RLIMIT_RSS",
    "Max processes": "RLIMIT_NPROC",
    "Max open files": "RLIMIT_NOFILE",
    "Max locked memory": "RLIMIT_MEMLOCK",
    "Max address space": "RLIMIT_AS",
    "Max file locks": "RLIMIT_LOCKS",
    "Max pending signals": "RLIMIT_SIGPENDING",
    "Max msgqueue size": "RLIMIT_MSGQUEUE",
    "Max nice priority": "RLIMIT_NICE",
    "Max realtime priority": "RLIMIT_RTPRIO",
    "Max realtime timeout": "RLIMIT_RTTIME",
}
_CAPABILITY_SETS = {
    "bounding": "CapBnd",
    "effective": "CapEff",
    "permitted": "CapPrm",
    "inheritable": "CapInh",
    "ambient": "CapAmb",
}
SECCOMP_MODES = {"0": "disabled", "1": "strict", "2": "filter"}


class Namespace(Value):
    """A namespace of a process: its type by the spec's name; `own`: not the reader's."""

    type: str
    inode: int
    own: bool


class Descriptor(Value):
    """An open descriptor, and what it leads to."""

    number: int
    target: str


class Ids(Value):
    """The four ids of credentials(7)."""

    real: int
    effective: int
    saved: int
    filesystem: int

    @property
    def all(self) -> tuple[int, int, int, int]:
        """Give the four."""
        return self.real, self.effective, self.saved, self.filesystem


class Filters(Value):
    """System call filters: the mode in words, and how many; None before Linux 5.9."""

    mode: str
    count: int | None


class Process(Value):
    """One process, as the kernel has it. `pids` begins with its own namespace's id of it."""

    pid: int
    pids: tuple[int, ...]
    executable: str
    root: str
    own_root: bool
    working_dir: str
    uids: Ids
    gids: Ids
    groups: tuple[int, ...]
    uid_map: tuple[IdMapping, ...]
    gid_map: tuple[IdMapping, ...]
    setgroups: bool
    capabilities: CapabilitySets
    no_new_privileges: bool
    seccomp: Filters
    namespaces: tuple[Namespace, ...]
    mounts: tuple[MountEntry, ...]
    limits: tuple[Rlimit, ...]
    descriptors: tuple[Descriptor, ...]
    interfaces: tuple[str, ...]
    cgroup: str
    umask: int
    oom_score_adj: int
    session: int
    terminal: int

    def owns(self, namespace: str) -> bool:
        """Say whether a namespace, by the spec's name, is not the reader's."""
        return any(item.type == namespace and item.own for item in self.namespaces)

    def inside(self, kind: str, number: int) -> int | None:
        """Give the id by which the process itself knows a `uid` or `gid`; None for one unmapped."""
        for line in self.uid_map if kind == "uid" else self.gid_map:
            if 0 <= number - line.host_id < line.size:
                return line.container_id + number - line.host_id
        return None


def read_process(pid: int) -> Process:
    """Read a process that stands still; OSError when it is gone or cannot be looked at."""
    status = parse_status(_read(pid, "status"))
    session, terminal = parse_stat(_read(pid, "stat"))
    uids, gids = (Ids(*map(int, status[name].split())) for name in ("Uid", "Gid"))
    return Process(
        pid=pid,
        pids=tuple(reversed([int(word) for word in status.get("NSpid", str(pid)).split()])),
        executable=_link(pid, "exe"),
        root=_link(pid, "root"),
        own_root=not os.path.samestat(os.stat(f"/proc/{pid}/root/."), os.stat("/")),
        working_dir=_link(pid, "cwd"),
        uids=uids,
        gids=gids,
        groups=tuple(map(int, status["Groups"].split())),
        uid_map=parse_id_map(_read_optional(pid, "uid_map")),
        gid_map=parse_id_map(_read_optional(pid, "gid_map")),
        setgroups=_read_optional(pid, "setgroups").strip() != "deny",
        capabilities=CapabilitySets(
            **{name: _names(status.get(field, "0")) for name, field in _CAPABILITY_SETS.items()}
        ),
        no_new_privileges=status.get("NoNewPrivs") == "1",
        seccomp=filters_in(status),
        namespaces=_namespaces(pid),
        mounts=parse_mountinfo(_read(pid, "mountinfo")),
        limits=parse_limits(_read(pid, "limits")),
        descriptors=_descriptors(pid),
        interfaces=parse_interfaces(_read_optional(pid, "net/dev")),
        cgroup=_read_optional(pid, "cgroup"),
        umask=int(status.get("Umask", "0"), 8),
        oom_score_adj=int(_read(pid, "oom_score_adj")),
        session=session,
        terminal=terminal,
    )


def own_filters() -> Filters:
    """Give the filters of this process itself, which what it starts inherits."""
    return filters_in(parse_status(_read(os.getpid(), "status")))


def filters_in(status: dict[str, str]) -> Filters:
    """Give the filters that a parsed status file tells of."""
    mode, count = status.get("Seccomp", "0"), status.get("Seccomp_filters")
    return Filters(SECCOMP_MODES.get(mode, mode), None if count is None else int(count))


def parse_status(text: str) -> dict[str, str]:
    """Read /proc/PID/status: contents by name (proc_pid_status(5))."""
    pairs = (line.partition(":") for line in text.split("\n"))
    return {name: content.strip() for name, _, content in pairs}


def parse_stat(text: str) -> tuple[int, int]:
    """Read the session and the controlling terminal's number of a stat file (proc_pid_stat(5)).

    The command's name, between parentheses, may hold anything, also parentheses.
    """
    words = text.rpartition(")")[2].split()
    return int(words[3]), int(words[4])


def start_time(pid: int) -> int | None:
    """Give when a process started, in clock ticks since boot; None when there is none."""
    try:
        words = _read(pid, "stat").rpartition(")")[2].split()
    except OSError:
        return None
    return int(words[19])


def is_container_process(pid: int, started: int) -> bool:
    """Return whether a process started then, and its root directory is not this process's.

    `started` is in clock ticks since boot. A process of the host that got the same pid has the
    same root as this process.
    """
    try:
        is_apart = not os.path.samestat(os.stat(f"/proc/{pid}/root/."), os.stat("/"))
    except OSError:  # it has ended, or belongs to another user
        return False
    return is_apart and start_time(pid) == started


def children_of(pid: int) -> list[int]:
    """Return the pids of a process's children (proc_pid_task_children(5)); none once it ended."""
    found: list[int] = []
    try:
        for task in os.listdir(f"/proc/{pid}/task"):
            found += map(int, _read_optional(pid, f"task/{task}/children").split())
    except (FileNotFoundError, ProcessLookupError):
        return found
    return found


def parse_id_map(text: str) -> tuple[IdMapping, ...]:
    """Read the lines of a uid_map or gid_map file (user_namespaces(7))."""
    return tuple(IdMapping(*map(int, line.split())) for line in text.splitlines())


def parse_limits(text: str) -> tuple[Rlimit, ...]:
    """Read /proc/PID/limits (proc_pid_limits(5)); -1 is no limit."""
    limits: list[Rlimit] = []
    for line in text.split("\n"):
        for title, name in _LIMITS.items():
            if line.startswith(f"{title} "):
                soft, hard = line[len(title) :].split()[:2]
                limits.append(Rlimit(name, _limit(soft), _limit(hard)))
    return tuple(limits)


def parse_interfaces(text: str) -> tuple[str, ...]:
    """Read the names in /proc/PID/net/dev, behind its two lines of headings."""
    lines = filter(None, text.split("\n")[2:])
    return tuple(sorted(line.partition(":")[0].strip() for line in lines))


def _limit(word: str) -> int:
    return -1 if word == "unlimited" else int(word)


def _names(mask: str) -> tuple[str, ...]:
    """Give the capabilities of a hexadecimal mask; one newer than chrun goes by its number."""
    bits = int(mask, 16)
    known = len(caps.NAMES)
    return tuple(
        caps.NAMES[bit] if bit < known else f"CAP_{bit}" for bit in range(64) if bits >> bit & 1
    )


def _namespaces(pid: int) -> tuple[Namespace, ...]:
    """Compare by what the files are, for a name can stand for a new namespace after a reuse."""
    found: list[Namespace] = []
    for file, name in NAMESPACES.items():
        try:
            theirs, ours = (os.stat(f"/proc/{whose}/ns/{file}") for whose in (pid, "self"))
        except FileNotFoundError:  # a kernel without this type
            continue
        found.append(Namespace(name, theirs.st_ino, not os.path.samestat(theirs, ours)))
    return tuple(found)


def _descriptors(pid: int) -> tuple[Descriptor, ...]:
    try:
        return tuple(Descriptor(fd, _link(pid, f"fd/{fd}")) for fd in _numbers(pid, "fd"))
    except PermissionError:
        # /proc/PID/fd is for its user, who may be a subordinate id of the caller's; fdinfo asks for
        # the right to trace (Linux 5.14), and has no targets.
        return tuple(Descriptor(fd, "") for fd in _numbers(pid, "fdinfo"))


def _numbers(pid: int, directory: str) -> list[int]:
    return sorted(map(int, os.listdir(f"/proc/{pid}/{directory}")))


def _link(pid: int, name: str) -> str:
    return os.readlink(f"/proc/{pid}/{name}")


def _read(pid: int, name: str) -> str:
    path = f"/proc/{pid}/{name}"
    with open(path, encoding="utf-8", errors="surrogateescape", newline="\n") as file:
        return file.read()


def _read_optional(pid: int, name: str) -> str:
    """Read a file that a kernel may be built without."""
    try:
        return _read(pid, name)
    except FileNotFoundError:
        return ""
