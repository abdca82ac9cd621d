"""The receipt: what the kernel enforces on a command that is about to run, read back from it.

Nothing here is taken from what was asked for, with two exceptions that say so: Landlock, for which
the kernel has no file, and what chrun calls the container. docs/reference/receipt.md specifies the
JSON.
"""

from __future__ import annotations

import os
import stat

from chrun.linux import process as processes
from chrun.linux.host import read_first_line
from chrun.oci.convert import MASKED_PATHS, READONLY_PATHS
from chrun.runtime.receipt_limits import Bounds, Cgroup, read_limits_of, smallest
from chrun.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from chrun.linux.process import Filters, Process

VERSION = 1
_NULL = os.makedev(1, 3)
_STEP = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC


class Context(Value):
    """What the kernel cannot tell: what chrun calls the container, and what it did itself.

    `landlock` says that the plan restricts with Landlock, which the kernel accepted, or the command
    would not be there; `pretending` counts the filters that make calls succeed, which shut nothing;
    `listed` says that chrun's own list of system calls is in a filter; `joined` are the types of
    namespaces that are another container's.
    """

    version: str
    container_id: str
    image: str
    image_id: str
    rung: str
    notices: tuple[str, ...]
    landlock: bool
    pretending: int
    listed: bool
    joined: tuple[str, ...]


class Kernel(Value):
    """The kernel: its version of Landlock, 0 without, and Yama's scope, None without."""

    release: str
    machine: str
    landlock: int
    ptrace_scope: int | None


class SeenPath(Value):
    """A path inside: "absent", "unreadable", "hidden" or "visible", "read-only" or "writable"."""

    path: str
    state: str


class Receipt(Value):
    """All of it; `inherited` are the filters that the caller has itself."""

    context: Context
    kernel: Kernel
    process: Process
    inherited: Filters
    root_readonly: bool
    masked: tuple[SeenPath, ...]
    readonly: tuple[SeenPath, ...]
    cgroups: tuple[Cgroup, ...]

    @property
    def limits(self) -> Bounds:
        """The limits that hold, whoever set them."""
        return smallest([cgroup.limits for cgroup in self.cgroups])

    @property
    def own_limits(self) -> Bounds:
        """The limits that are the container's own."""
        return smallest([cgroup.own_limits for cgroup in self.cgroups])

    @property
    def own_filters(self) -> int:
        """How many filters shut something out that the caller may do; 0 where nobody can tell."""
        held, inherited = self.process.seccomp, self.inherited
        if held.mode != "filter":
            return 0
        if held.count is None or inherited.count is None:  # before Linux 5.9
            return int(inherited.mode != "filter" and not self.context.pretending)
        return held.count - inherited.count - self.context.pretending


def take_receipt(pid: int, context: Context, landlock: int) -> Receipt:
    """Look at a process that stands still; OSError when it is gone or may not be looked at.

    `landlock` is the version that the kernel gave.
    """
    process = processes.read_process(pid)
    root_fd = os.open(f"/proc/{pid}/root", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        root_readonly = _writability(root_fd) == "read-only"
        masked = tuple(SeenPath(path, _look(root_fd, path, _visibility)) for path in MASKED_PATHS)
        readonly = tuple(
            SeenPath(path, _look(root_fd, path, _writability)) for path in READONLY_PATHS
        )
    finally:
        os.close(root_fd)
    uname = os.uname()
    scope = read_first_line("/proc/sys/kernel/yama/ptrace_scope")
    kernel = Kernel(uname.release, uname.machine, landlock, int(scope) if scope else None)
    inherited = processes.own_filters()
    cgroups = read_limits_of(process.cgroup)
    return Receipt(context, kernel, process, inherited, root_readonly, masked, readonly, cgroups)


def _look(root_fd: int, path: str, judge: Callable[[int], str]) -> str:
    """Say what becomes of a path inside, by a word of `judge`'s where there is one to open."""
    try:
        fd = _open_inside(root_fd, path)
    except (FileNotFoundError, NotADirectoryError):
        return "absent"
    except PermissionError:
        return "unreadable"
    try:
        return judge(fd)
    except PermissionError:
        return "unreadable"
    finally:
        os.close(fd)


def _visibility(fd: int) -> str:
    """Say whether a path shows anything: it is not /dev/null, and not an empty directory."""
    status = os.fstat(fd)
    if stat.S_ISDIR(status.st_mode):
        return "visible" if os.listdir(f"/proc/self/fd/{fd}") else "hidden"
    is_null = stat.S_ISCHR(status.st_mode) and status.st_rdev == _NULL
    return "hidden" if is_null else "visible"


def _writability(fd: int) -> str:
    """Say whether the mount that a path lies on is read-only."""
    return "read-only" if os.fstatvfs(fd).f_flag & os.ST_RDONLY else "writable"


def _open_inside(root_fd: int, path: str) -> int:
    """Open a path below a root, name by name: an absolute symlink would lead into ours."""
    fd = os.dup(root_fd)
    try:
        for name in filter(None, path.split("/")):
            below = os.open(name, _STEP, dir_fd=fd)
            os.close(fd)
            fd = below
    except BaseException:
        os.close(fd)
        raise
    return fd
