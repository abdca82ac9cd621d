"""Looking at a command before its first instruction: --receipt and --require.

chrun-init lets the command stand still behind its execve(2) ("The monitor: Gate" in
docs/reference/plan.md) and tells who it is. Here it is looked at, the receipt is written, and the
facts are checked; only then it is let go.
"""

from __future__ import annotations

import errno
import os
import socket
import stat
import struct

from chrun.engine.require import check, parse_facts, shown_rung
from chrun.engine.seccomp import PRETENDS
from chrun.errors import RequirementError, UnsupportedError, UsageError
from chrun.runtime.landlock import Landlock
from chrun.runtime.receipt import Context, take_receipt
from chrun.runtime.receipt_json import receipt_json
from chrun.runtime.steps import Seccomp

TYPE_CHECKING = False
if TYPE_CHECKING:
    from chrun.engine.containers import Prepared
    from chrun.engine.request import RunRequest
    from chrun.engine.require import Finding
    from chrun.runtime.receipt import Receipt

_ARRIVAL = struct.Struct("<3I")  # pid, errno, version of Landlock
_GO_ON = b"+"
_PACKAGE_DIR = os.path.dirname(os.path.dirname(__file__))
_MAX_WORDS = 2000  # bytes that chrun-init reads at once
_MAX_LINKS = 40  # as the kernel's own
_MOST_DIGITS = 9  # of a descriptor, which is an int to dup(2)
_FOR_ALL = stat.S_ISVTX | stat.S_IWOTH
_YAMA = "/proc/sys/kernel/yama/ptrace_scope"


def open_gate() -> tuple[socket.socket, socket.socket]:
    """Give the two ends of a gate's socket: the inspector's, and chrun-init's."""
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)


def inspect(gate: socket.socket, prepared: Prepared, request: RunRequest) -> bool:
    """Wait for the command, look at it, and let it go; False when it never came.

    Raises RequirementError, UnsupportedError, UsageError (a receipt that cannot be written); then
    the command still stands, and ends when the gate is closed.
    """
    arrival = gate.recv(_ARRIVAL.size)
    if len(arrival) < _ARRIVAL.size:
        return False  # a step failed, and chrun-init says which
    pid, error, landlock = _ARRIVAL.unpack(arrival)
    if error:
        raise _refused(error)
    try:
        receipt = take_receipt(pid, _context(prepared), landlock)
    except (FileNotFoundError, ProcessLookupError):
        return False  # it was killed meanwhile
    except OSError as failure:
        raise _unreadable(failure) from failure
    findings = check(receipt, parse_facts(request.require))
    if request.receipt:
        write_receipt(request.receipt, _text(receipt, findings))
    for finding in findings:
        if not finding.holds:
            raise _not_met(prepared, request, finding)
    try:
        gate.send(_GO_ON)
    except BrokenPipeError:
        return False
    return True


def refuse(gate: socket.socket, words: str = "") -> None:
    """End the command that stands at the gate; chrun-init says the words, which are whole lines."""
    data = b"-" + words.encode(errors="backslashreplace")[:_MAX_WORDS]
    try:
        gate.send(data)
    except BrokenPipeError:
        return  # the container is gone already


def write_receipt(path: str, text: str) -> None:
    """Write a file whole or not at all; a device, pipe or descriptor is written to as it is.

    Raises UsageError where that cannot be done.
    """
    try:
        if _is_stream(path):
            with open(_open_stream(path), "w", encoding="utf-8") as stream:
                stream.write(text)
        else:
            _replace(path, text)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise UsageError(f"cannot write the receipt {path!r}: {reason}") from error


def _is_stream(path: str) -> bool:
    """Say whether a path is no regular file; /dev/stderr never is, wherever it leads."""
    if path.startswith(("/dev/", "/proc/")):
        return True
    return os.path.exists(path) and not stat.S_ISREG(os.stat(path).st_mode)


def _open_stream(path: str) -> int:
    """Give a descriptor to write to.

    /dev/stderr is descriptor 2 itself: opened anew, a file would have a second position in it.
    """
    path = {"/dev/stdout": "/dev/fd/1", "/dev/stderr": "/dev/fd/2"}.get(path, path)
    number = path.removeprefix("/dev/fd/")
    if number.isascii() and number.isdigit() and len(number) <= _MOST_DIGITS:
        return os.dup(int(number))
    return os.open(path, os.O_WRONLY | os.O_NOCTTY | os.O_CLOEXEC)


def _replace(path: str, text: str) -> None:
    directory_fd, name = _find_directory(path)
    partial = f"{name}.{os.getpid()}.partial"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    try:
        fd = os.open(partial, flags, 0o666, dir_fd=directory_fd)
        try:
            with open(fd, "w", encoding="utf-8") as file:
                file.write(text)
            os.rename(partial, name, src_dir_fd=directory_fd, dst_dir_fd=directory_fd)
        except BaseException:
            os.unlink(partial, dir_fd=directory_fd)
            raise
    finally:
        os.close(directory_fd)


def _find_directory(path: str) -> tuple[int, str]:
    """Open the directory that a file is to be in, behind symlinks, and give its name there.

    The kernel follows those on the way, and the last one is followed where it would follow it: not
    one that somebody else put into a directory for everybody (proc_sys_fs(5), protected_symlinks).
    """
    for _ in range(_MAX_LINKS):
        directory, name = os.path.split(path)
        directory_fd = os.open(directory or ".", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            link = _read_link(directory_fd, name)
        except BaseException:
            os.close(directory_fd)
            raise
        if not link:
            return directory_fd, name
        os.close(directory_fd)
        path = os.path.join(directory, link)
    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))


def _read_link(directory_fd: int, name: str) -> str:
    """Give where a name leads that is a symlink which may be followed, "" for any other name."""
    try:
        status = os.stat(name, dir_fd=directory_fd, follow_symlinks=False)
    except FileNotFoundError:
        return ""
    if not stat.S_ISLNK(status.st_mode):
        return ""
    around = os.fstat(directory_fd)
    is_for_all = around.st_mode & _FOR_ALL == _FOR_ALL
    if is_for_all and status.st_uid not in {os.geteuid(), around.st_uid}:
        raise PermissionError(errno.EACCES, "it is somebody else's link")
    return os.readlink(name, dir_fd=directory_fd)


def _text(receipt: Receipt, findings: tuple[Finding, ...]) -> str:
    import json

    content = receipt_json(receipt)
    content["shown_rung"] = shown_rung(receipt)
    content["requirements"] = [
        {
            "fact": finding.fact.text,
            "met": finding.holds,
            "expected": finding.fact.expected,
            "found": finding.found,
        }
        for finding in findings
    ]
    return json.dumps(content, indent=2) + "\n"


def _version() -> str:
    """Give chrun's version, "" for a source tree that was never installed.

    It is in the name of a directory beside the package (PyPA, "Recording installed projects");
    importlib.metadata says the same, but takes longer to import than a container to start.
    """
    for name in os.listdir(os.path.dirname(_PACKAGE_DIR)):
        if name.startswith("chrun-") and name.endswith(".dist-info"):
            return name.removeprefix("chrun-").removesuffix(".dist-info")
    return ""


def _context(prepared: Prepared) -> Context:
    composed = prepared.composed
    steps, spec = composed.plan.steps, composed.spec
    return Context(
        version=_version(),
        container_id=prepared.launch.container_id,
        image=composed.source.name,
        image_id=composed.source.image_id,
        rung=composed.rung,
        notices=composed.notices,
        landlock=any(isinstance(step, Landlock) for step in steps),
        pretending=sum(isinstance(step, Seccomp) and step.said == PRETENDS for step in steps),
        listed=spec.seccomp == "default" or (spec.sealed and bool(spec.seccomp)),
        joined=tuple(joined.type for joined in spec.joined),
    )


def _not_met(prepared: Prepared, request: RunRequest, finding: Finding) -> RequirementError:
    return RequirementError(
        f"cannot run {prepared.composed.source.name}: --require {finding.fact.text} is not met: "
        f"expected {finding.fact.expected}, found {finding.found}",
        hint="" if request.receipt else "--receipt FILE writes all that the kernel shows",
        fact=finding.fact.text,
        found=finding.found,
    )


def _refused(error: int) -> UnsupportedError:
    """Give the error for a kernel that lets nobody hold a process: ptrace(2), "EPERM"."""
    hint = "an outer container or security policy forbids ptrace(2)"
    if os.path.exists(_YAMA):
        hint = "sysctl kernel.yama.ptrace_scope=1 allows it, unless a reboot is needed for that"
    return UnsupportedError(
        "cannot look at the command before it runs (--receipt, --require): "
        f"{os.strerror(error).lower()}",
        hint=hint if error == errno.EPERM else "",
    )


def _unreadable(failure: OSError) -> UnsupportedError:
    return UnsupportedError(
        f"cannot read {failure.filename} for the receipt: {(failure.strerror or '').lower()}",
        hint="the command may be a file that its user cannot read, or CAP_SYS_PTRACE is missing",
    )
