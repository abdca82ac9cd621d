"""Asking the kernel what it allows, by running small plans that end before a command.

What chrun would do, done: no list of kernel versions and policies tells as much.
"""

from __future__ import annotations

import os
from contextlib import ExitStack

from chrun.errors import SandboxError
from chrun.linux.host import Lack
from chrun.linux.seccomp.pretend import pretend_root_filter
from chrun.runtime import launch
from chrun.runtime.descriptors import closing, pipe
from chrun.runtime.notes import (
    PROC_NOTES,
    clone_notes,
    hostname_notes,
    id_map_notes,
    namespace_notes,
    overlay_notes,
)
from chrun.runtime.plan import Clone, Plan
from chrun.runtime.steps import (
    Base,
    Directory,
    Hostname,
    IdMap,
    Mount,
    MountBase,
    NoNewPrivileges,
    Propagation,
    Root,
    Seccomp,
    Symlink,
)
from chrun.runtime.users import OuterIdMap, map_lines

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from chrun.linux.host import Fact, Host
    from chrun.oci.convert import IdMaps
    from chrun.runtime.steps import Step

# Those that a container can do without, and what the sysctl that limits them is called
_OPTIONAL: tuple[Fact, ...] = ("pid", "ipc", "uts", "cgroup")
_NEEDED: dict[Fact, Fact] = {"proc": "pid", "seccomp": "namespaces"}  # to try the one at all
_MORE = {"sysfs": ("network",)}  # namespaces beside those that all containers have
_ALLOW_ALL = bytes.fromhex("060000000000ff7f")  # one instruction: return SECCOMP_RET_ALLOW


def probe_host(host: Host, base_dir: str, scratch_dir: str) -> tuple[Lack, ...]:
    """Try the parts of a container one by one and give what this host lacks.

    `base_dir` is an empty directory; `scratch_dir` one with empty `upper` and `work` directories
    on the file system that containers will write to.
    """
    init_fd = launch.open_init()
    try:
        lacks = tuple(_missing_namespaces(host, base_dir, init_fd, scratch_dir))
        missing = {lack.what for lack in lacks}
        names = tuple(name for name in _OPTIONAL if name not in missing)
        others = (
            Lack(what, *failed)
            for what, steps in _trials(host)
            if _NEEDED.get(what) not in missing
            if (
                failed := try_plan(
                    _trial(host, base_dir, (*names, *_MORE.get(what, ())), steps),
                    init_fd,
                    scratch_dir,
                )
            )
        )
        return (*lacks, *others)
    finally:
        os.close(init_fd)


def _missing_namespaces(
    host: Host, base_dir: str, init_fd: int, scratch_dir: str
) -> Iterator[Lack]:
    """Try all namespaces at once, and where that fails find out which ones it is."""
    uses: dict[Fact, tuple[Step, ...]] = {"uts": (Hostname("probe", hostname_notes(host)),)}
    all_failed = try_plan(_trial(host, base_dir, _OPTIONAL, uses["uts"]), init_fd, scratch_dir)
    if not all_failed:
        return
    if try_plan(_trial(host, base_dir, ()), init_fd, scratch_dir):
        yield Lack("namespaces", *all_failed)
        return
    for name in _OPTIONAL:
        plan = _trial(host, base_dir, (name,), uses.get(name, ()))
        plan = plan.replace(clone=plan.clone.replace(explained=namespace_notes(name)))
        if failed := try_plan(plan, init_fd, scratch_dir):
            yield Lack(name, *failed)


def _trial(
    host: Host, base_dir: str, optional: tuple[str, ...], steps: tuple[Step, ...] = ()
) -> Plan:
    """Give a plan that takes steps in new namespaces: those that all need, and optional ones."""
    least = ("mount",) if host.privileged else ("user", "mount")
    start: tuple[Step, ...] = (Propagation(), Base(base_dir, "mode=755"))
    if not host.privileged:
        start = (IdMap(f"0 {host.uid} 1", f"0 {host.gid} 1", True, id_map_notes(host)), *start)
    return Plan(Clone((*least, *optional), clone_notes(host)), (*start, *steps))


def try_id_maps(
    host: Host, maps: IdMaps, programs: tuple[str, str], directory: str
) -> tuple[str, str] | None:
    """Have a user namespace mapped; give why that failed and a hint, None when it did not.

    `directory` is any that is there.
    """
    step = OuterIdMap(map_lines(maps.uids), map_lines(maps.gids), *programs)
    init_fd = launch.open_init()
    try:
        return try_plan(Plan(Clone(("user",), clone_notes(host)), (step,)), init_fd, directory)
    finally:
        os.close(init_fd)


def _trials(host: Host) -> Iterator[tuple[Fact, tuple[Step, ...]]]:
    """Give what is tried in new namespaces, each part by itself."""
    root = Directory("root", 0o755)
    options = "lowerdir=lower,upperdir=scratch/upper,workdir=scratch/work"
    if not host.privileged:
        options += ",userxattr"
    overlay = MountBase("overlay", "root", 0, options, "mount", "a trial", overlay_notes(host))
    yield "overlay", (Symlink("%", "scratch"), Directory("lower", 0o755), root, overlay)
    yield "proc", (root, Root("root", bind=True), Mount("proc", "/proc", 14, "", PROC_NOTES))
    if not host.privileged:
        # sysfs shows the network namespace's devices, and is for the owner of that to mount.
        yield "sysfs", (root, Root("root", bind=True), Mount("sysfs", "/sys", 15, ""))
    yield "seccomp", (NoNewPrivileges(), Seccomp(_ALLOW_ALL, "filter", "a trial"))
    if program := b"" if host.privileged else pretend_root_filter(host.machine, asks=True):
        yield "listener", (NoNewPrivileges(), Seccomp(program, "listen", "a trial", listens=True))


def try_plan(plan: Plan, init_fd: int, scratch_dir: str) -> tuple[str, str] | None:
    """Run a plan without a command; give why it failed and a hint, None when it did not."""
    with ExitStack() as passed, ExitStack() as own:
        report_fd, report_end = pipe(own, passed)
        plan_fd = closing(passed, launch.open_plan(plan.encode()))
        hold_fd = closing(passed, os.open(scratch_dir, os.O_RDONLY | os.O_CLOEXEC))
        # Under other numbers, since the same one stays closed on exec before glibc 2.29
        first = max(init_fd, plan_fd, report_end, hold_fd) + 1
        fds = dict(
            zip((init_fd, plan_fd, report_end, hold_fd), range(first, first + 4), strict=True)
        )
        told = launch.Launch("probe", scratch_dir, fds[hold_fd])
        argv = launch.command_line(told, fds[plan_fd], f"report={fds[report_end]}")
        pid = _spawn(fds[init_fd], argv, fds)
        passed.close()
        report = os.read(report_fd, launch.REPORT_BYTES)
        status = _wait(pid)
    error = launch.failure(plan, report)
    if error is None and status:
        error = SandboxError("cannot run chrun-init", hint="install chrun again with pip")
    if error is None:
        return None
    return str(error).removeprefix(f"cannot {error.step}: "), error.hint


def _spawn(init_fd: int, argv: list[str], fds: dict[int, int]) -> int:
    """Start chrun-init with descriptors of ours as numbers of its own, one of which it is."""
    actions = [(os.POSIX_SPAWN_DUP2, ours, its) for ours, its in fds.items()]
    try:
        return os.posix_spawn(f"/proc/self/fd/{init_fd}", argv, {}, file_actions=actions)
    except OSError as error:
        raise launch.init_refused(error) from error


def _wait(pid: int) -> int:
    """Wait until a child ended and give its status; 0 where this program ignores SIGCHLD."""
    try:
        return os.waitpid(pid, 0)[1]
    except ChildProcessError:  # it did end, for the kernel waits all the same: waitpid(2)
        return 0
