"""Machines that refuse a system call, as an old kernel or a policy does: played by a filter."""

from __future__ import annotations

import os
import struct
from typing import TYPE_CHECKING

from chrun.runtime.plan import Clone, Exec, Plan
from chrun.runtime.steps import NoNewPrivileges, Seccomp

if TYPE_CHECKING:
    from collections.abc import Sequence

_NUMBERS = {
    **{  # the same everywhere
        name: {"x86_64": number, "aarch64": number}
        for name, number in (
            ("clone3", 435),
            ("close_range", 436),
            ("openat2", 437),
            ("mount_setattr", 442),
        )
    },
    "ptrace": {"x86_64": 101, "aarch64": 117},
    "seccomp": {"x86_64": 317, "aarch64": 277},
}
_LOAD, _JUMP_IF_EQUAL, _RETURN = 0x20, 0x15, 0x06
_ALLOW, _ERRNO = 0x7FFF0000, 0x00050000


def without_call(name: str, errno: int, argv: Sequence[str]) -> Plan:
    """Give a plan that runs a command for which a system call fails with an errno."""
    number = _NUMBERS[name][os.uname().machine]
    program = b"".join(
        struct.pack("<HBBI", *instruction)
        for instruction in (
            (_LOAD, 0, 0, 0),
            (_JUMP_IF_EQUAL, 0, 1, number),
            (_RETURN, 0, 0, _ERRNO | errno),
            (_RETURN, 0, 0, _ALLOW),
        )
    )
    env = tuple(f"{key}={value}" for key, value in os.environ.items())
    steps = (NoNewPrivileges(), Seccomp(program, f"forbid {name}", ""))
    return Plan(Clone(()), steps, Exec(tuple(argv), env, False))
