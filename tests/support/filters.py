"""Machines that refuse a system call, as an old kernel or a policy does: played by a filter."""

from __future__ import annotations

import os
import struct
from typing import TYPE_CHECKING

from chrun.runtime.plan import Clone, Exec, Plan
from chrun.runtime.steps import NoNewPrivileges, Seccomp
from chrun.values import Value

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
    "close": {"x86_64": 3, "aarch64": 57},
    "ptrace": {"x86_64": 101, "aarch64": 117},
    "read": {"x86_64": 0, "aarch64": 63},
    "seccomp": {"x86_64": 317, "aarch64": 277},
}
_LOAD, _JUMP_IF_EQUAL, _JUMP_IF_AT_LEAST, _RETURN = 0x20, 0x15, 0x35, 0x06
_ALLOW, _ERRNO, KILL = 0x7FFF0000, 0x00050000, 0x80000000
_FIRST_ARGUMENT = 16


class Refusal(Value):
    """A system call and how it ends: an errno or KILL.

    With `argument`, only where the argument of that index, as 32 bits, is `at_least` that.
    """

    name: str
    end: int
    argument: int = 0
    at_least: int = 0


def without_call(name: str, errno: int, argv: Sequence[str]) -> Plan:
    """Give a plan that runs a command for which a system call fails with an errno."""
    return under_filter(argv, Refusal(name, errno))


def under_filter(argv: Sequence[str], *refusals: Refusal) -> Plan:
    """Return a plan that runs a command for which system calls are refused."""
    instructions = [(_LOAD, 0, 0, 0)]
    for refusal in refusals:
        answer = KILL if refusal.end == KILL else _ERRNO | refusal.end
        instructions += [
            (_JUMP_IF_EQUAL, 0, 4, _NUMBERS[refusal.name][os.uname().machine]),
            (_LOAD, 0, 0, _FIRST_ARGUMENT + 8 * refusal.argument),
            (_JUMP_IF_AT_LEAST, 0, 1, refusal.at_least),
            (_RETURN, 0, 0, answer),
            (_LOAD, 0, 0, 0),
        ]
    instructions.append((_RETURN, 0, 0, _ALLOW))
    program = b"".join(struct.pack("<HBBI", *instruction) for instruction in instructions)
    env = tuple(f"{key}={value}" for key, value in os.environ.items())
    what = ", ".join(refusal.name for refusal in refusals)
    steps = (NoNewPrivileges(), Seccomp(program, f"forbid {what}", ""))
    return Plan(Clone(()), steps, Exec(tuple(argv), env, False))
