"""The filter under which an ordinary user's container believes that it is root's.

Only one id exists in its user namespace, and the kernel refuses what it cannot do with one. Package
managers and entrypoints need nothing but the success of such calls.
"""

from __future__ import annotations

from chrun.linux.seccomp.compiler import compile_profile
from chrun.linux.seccomp.numbers import MACHINES
from chrun.oci.seccomp.profile import (
    ALLOW,
    ASK,
    ERRNO,
    Case,
    Condition,
    Rule,
    make_profile,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from chrun.oci.seccomp.profile import Profile

_SUCCESS = ERRNO  # with the errno 0

# Giving a file to an owner that is not mapped, and groups that are not
_PRETENDED = ("chown", "fchown", "lchown", "fchownat", "setgroups")
# Becoming a user that is not mapped, for which success is not enough: entrypoints run themselves
# again as their service's user, and would for ever if they were not told that they are it.
_BECOMING = ("setuid", "setgid", "setreuid", "setregid", "setresuid", "setresgid")
_TELLING = ("getuid", "getgid", "geteuid", "getegid")

_MODE_ARGUMENTS = (("mknod", 1), ("mknodat", 2))
_FILE_TYPE, _CHARACTER_DEVICE, _BLOCK_DEVICE = 0o170000, 0o020000, 0o060000


def pretend_root_profile(*, asks: bool) -> Profile:
    """Give the profile under which chown, setuid and mknod of devices succeed without effect.

    With `asks`, calls that change or tell a process's ids are held back for chrun-init to answer;
    else the former only succeed. A program of another ABI of the same processor is not filtered.
    """
    return make_profile(_rules(asks=asks), ALLOW, ALLOW, ALLOW)


def pretend_root_filter(machine: str, *, asks: bool) -> bytes:
    """Give that profile's program; b"" for a machine whose system call numbers are not known."""
    return compile_profile(pretend_root_profile(asks=asks), machine) if machine in MACHINES else b""


def _rules(*, asks: bool) -> Iterator[Rule]:
    yield Rule(_PRETENDED, Case(_SUCCESS))
    yield Rule(_BECOMING, Case(ASK if asks else _SUCCESS))
    if asks:
        yield Rule(_TELLING, Case(ASK))
    for name, index in _MODE_ARGUMENTS:
        for kind in (_CHARACTER_DEVICE, _BLOCK_DEVICE):
            is_device = Condition(index, "==", kind, _FILE_TYPE)
            yield Rule((name,), Case(_SUCCESS, (is_device,)))
