"""Seccomp profiles, from JSON to the program that the kernel is given."""

from __future__ import annotations

from chrun.linux import caps
from chrun.linux.seccomp.compiler import compile_profile
from chrun.linux.seccomp.numbers import known_names
from chrun.oci.seccomp.documents import ACTIONS, MASKED_EQUAL, OPERATORS, Situation, read_profile
from tests.fuzz.harness import Quiet, fuzz
from tests.fuzz.inputs import anything, fixed, json_bytes, listed, number, objects, raw

_MACHINE = "x86_64"
_SITUATION = Situation(_MACHINE, (6, 1), caps.NAMES, known_names(), caps.NAMES)
_PROGRAM_BYTES = 4096 * 8  # seccomp(2): BPF_MAXINSNS of 8 bytes each
_ARGUMENT = objects(
    {
        "index": raw("0", "1", "5", "6"),
        "value": number,
        "valueTwo": number,
        "op": fixed(*OPERATORS, MASKED_EQUAL),
    }
)
_WHERE = objects(
    {
        "caps": listed(fixed("CAP_SYS_ADMIN", "CAP_NOTHING")),
        "arches": listed(fixed("amd64", "arm64", "x32")),
        "minKernel": fixed("4.8", "6", "7.0", "x.y", "9" * 5000 + ".1", "1.\xb2"),
    }
)
_RULE = objects(
    {
        "names": listed(fixed("read", "write", "openat", "clone", "ioctl", "nothing", "execve")),
        "action": fixed(*ACTIONS, "SCMP_ACT_NOTIFY"),
        "errnoRet": raw("1", "38", "4096", "-1"),
        "errno": fixed("EPERM", "ENOSYS", "errorcode", "E"),
        "args": listed(_ARGUMENT, 6),
        "includes": _WHERE,
        "excludes": _WHERE,
        "comment": anything,
    }
)
_PROFILE = objects(
    {
        "defaultAction": fixed(*ACTIONS),
        "defaultErrnoRet": raw("1", "38"),
        "architectures": listed(fixed("SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32")),
        "flags": listed(fixed("SECCOMP_FILTER_FLAG_TSYNC", "SECCOMP_FILTER_FLAG_LOG")),
        "syscalls": listed(_RULE),
    }
)


def _compile(content: bytes) -> None:
    with Quiet():
        profile = read_profile("it", content, _SITUATION)
        program = compile_profile(profile, _MACHINE)
        assert 0 < len(program) <= _PROGRAM_BYTES
        assert len(program) % 8 == 0


def run(seconds: float, seed: int | None = None) -> None:
    """Fuzz the reader and the compiler behind it."""
    fuzz(_compile, json_bytes(_PROFILE), seconds, seed)
