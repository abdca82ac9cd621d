"""Handing a plan to chrun-init: by becoming it (command line), or by starting it (API).

Both the program and the plan are sealed memfds. A container that opens /proc/self/exe gets a file
that nobody can write to (CVE-2019-5736), and a plan does not change under its reader.
"""

from __future__ import annotations

import errno
import fcntl
import os

from chrun.errors import CommandNotExecutableError, CommandNotFoundError, SandboxError
from chrun.runtime.notes import PROCESS_LIMIT
from chrun.runtime.plan import Exec
from chrun.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

    from chrun.runtime.plan import Plan
    from chrun.runtime.steps import Step

_SEALS = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE
_MFD_NOEXEC_SEAL, _MFD_EXEC = 8, 16  # linux/memfd.h, since Linux 6.3
INIT_REFUSALS = {
    errno.EACCES: "ask for: sysctl vm.memfd_noexec=1, or a security policy that allows it",
    errno.EPERM: "a security policy forbids it",
    PROCESS_LIMIT.errno: PROCESS_LIMIT.hint,
    errno.ENOEXEC: "this installation is for another processor: install it again with pip",
}
REPORT_BYTES = 512  # of a failure: two numbers, and what a program said
_NAME = "chrun-init"
_PACKAGE_DIR = os.path.dirname(os.path.dirname(__file__))


class Launch(Value):
    """What chrun-init is told at its start: all that is not in the plan, so that plans can be kept.

    `hold_fd` is the lock on the container's directory, kept open while the container exists; so
    are `volume_fds`, those on its volumes. `wrapper` are the words of a program that becomes
    chrun-init, once it has a cgroup to make others in.
    """

    container_id: str
    scratch_dir: str
    hold_fd: int
    volume_fds: tuple[int, ...] = ()
    wrapper: tuple[str, ...] = ()


def open_sealed(name: str, content: bytes, *, executable: bool = True) -> int:
    """Return a descriptor of an anonymous file with this content that can never change.

    Raises SandboxError where the limit of file sizes is smaller: it holds for memory, too.
    """
    sealed_fd = _memfd(name, _MFD_EXEC if executable else _MFD_NOEXEC_SEAL)
    try:
        view = memoryview(content)
        while view:
            view = view[os.write(sealed_fd, view) :]
        fcntl.fcntl(sealed_fd, fcntl.F_ADD_SEALS, _SEALS)
    except OSError as error:
        os.close(sealed_fd)
        if error.errno != errno.EFBIG:
            raise
        raise SandboxError(
            f"cannot start the container: {name} has {len(content)} bytes, more than a file may",
            hint="raise the limit of file sizes: ulimit -f",
        ) from error
    return sealed_fd


def _memfd(name: str, kind: int) -> int:
    """Make an anonymous file; unless told, vm.memfd_noexec decides whether it can be executed."""
    flags = os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING
    try:
        return os.memfd_create(name, flags | kind)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        return os.memfd_create(name, flags)  # an older kernel: what it makes is executable


def read_init() -> bytes:
    """Read the chrun-init program that is part of this package.

    Raises SandboxError where there is none.
    """
    path = os.path.join(_PACKAGE_DIR, _NAME)
    try:
        with open(path, "rb") as program:
            return program.read()
    except FileNotFoundError as error:
        raise SandboxError(
            f"cannot find {path}: this installation of chrun is incomplete",
            hint="install it again with pip",
        ) from error


def open_init(program: bytes = b"") -> int:
    """Return a sealed descriptor of the chrun-init program, for one container alone.

    Seals keep the content; mode, owner and attributes of what it runs from a container can change
    through /proc/PID/exe. `program` is what `read_init` gave. Raises SandboxError where there is
    none, or programs in memory are forbidden.
    """
    try:
        return open_sealed(_NAME, program or read_init())
    except PermissionError as error:
        raise init_refused(error) from error


def init_refused(error: OSError) -> SandboxError:
    """Give the error for a system that does not run chrun-init from a memfd."""
    reason = (error.strerror or str(error)).lower()
    if error.errno == PROCESS_LIMIT.errno:
        reason = PROCESS_LIMIT.text
    hint = INIT_REFUSALS.get(error.errno or 0, "")
    return SandboxError(f"cannot run chrun-init from memory: {reason}", hint=hint)


def open_plan(encoded: bytes) -> int:
    """Give a sealed descriptor of an encoded plan."""
    return open_sealed("chrun-plan", encoded, executable=False)


def command_line(launch: Launch, plan_fd: int, *words: str) -> list[str]:
    """Give chrun-init's arguments (docs/reference/plan.md)."""
    return [
        _NAME,
        f"plan={plan_fd}",
        f"id={launch.container_id}",
        f"scratch={launch.scratch_dir}",
        f"hold={launch.hold_fd}",
        *words,
    ]


def executed(
    launch: Launch, init_fd: int, command: list[str]
) -> tuple[str, list[str], dict[str, str]]:
    """Give what execve(2) takes to start chrun-init: path, arguments, environment.

    It needs no environment; its wrapper needs to know where this user's systemd listens.
    """
    path = f"/proc/self/fd/{init_fd}"
    if not launch.wrapper:
        return path, command, {}
    known = ("XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS")
    env = {name: os.environ[name] for name in known if name in os.environ}
    return launch.wrapper[0], [*launch.wrapper, path, *command[1:]], env


def become(encoded: bytes, launch: Launch, init_fd: int, *, gate_fd: int = -1) -> NoReturn:
    """Replace this process by chrun-init with a plan: while a container runs there is no Python.

    `init_fd` is what `open_init` gave, `gate_fd` a socket to who looks at the command. Raises
    SandboxError where the system refuses to run chrun-init.
    """
    plan_fd = open_plan(encoded)
    inherited = [plan_fd, launch.hold_fd, *launch.volume_fds]
    words: list[str] = []
    if gate_fd >= 0:
        inherited.append(gate_fd)
        words.append(f"gate={gate_fd}")
    if launch.wrapper:
        inherited.append(init_fd)
    for inherited_fd in inherited:
        os.set_inheritable(inherited_fd, True)
    try:
        os.execve(*executed(launch, init_fd, command_line(launch, plan_fd, *words)))
    except OSError as error:
        raise init_refused(error) from error


def failure(plan: Plan, report: bytes) -> SandboxError | None:
    """Turn what chrun-init reported into an error; None when no step failed.

    (position, errno) as two u32, and behind them what a program that a step ran said.
    """
    if not report or ending(plan, report):
        return None
    position, number = (int.from_bytes(half, "little") for half in (report[:4], report[4:8]))
    if position >= len(plan.records):
        return SandboxError("cannot start the container: chrun-init does not read this plan")
    step = plan.records[position]
    words = step.describe()
    text, hint = os.strerror(number).lower(), ""
    for note in step.notes:
        if note.errno == number:
            text, hint = note.text or text, note.hint
    text = report[8:].decode(errors="replace") or text
    kind = SandboxError
    if isinstance(step, Exec):
        missing = number in {errno.ENOENT, errno.ELIBACC}
        kind = CommandNotFoundError if missing else CommandNotExecutableError
    return kind(f"cannot {words}: {text}", hint=hint, step=words, errno=number)


def ending(plan: Plan, report: bytes) -> Step | None:
    """Give the step that ended the container: its time was up, or its memory used up; or None."""
    position, number = (int.from_bytes(half, "little") for half in (report[:4], report[4:8]))
    return plan.records[position] if report and not number else None
