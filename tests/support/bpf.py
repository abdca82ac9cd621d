"""Classic BPF as seccomp runs it, and profiles as their documentation reads: two oracles."""

from __future__ import annotations

import operator
import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chrun.oci.seccomp.profile import Condition, Profile

AUDIT_ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
AUDIT_ARCH_I386, AUDIT_ARCH_ARM = 0x40000003, 0x40000028
X32_BIT = 0x40000000

_COMPARISONS = {
    "==": operator.eq, "!=": operator.ne, "<": operator.lt, "<=": operator.le,
    ">": operator.gt, ">=": operator.ge,
}  # fmt: skip


def run_filter(program: bytes, number: int, arch: int, arguments: Sequence[int] = ()) -> int:
    """Run a filter over a struct seccomp_data and give what it returns.

    Jumps go forward only and end within the program, as the kernel checks before it takes one.
    """
    padded = (*arguments, *(0,) * 6)[:6]
    data = struct.pack("<IIQ6Q", number, arch, 0, *padded)
    instructions = list(struct.iter_unpack("<HBBI", program))
    accumulator = counter = 0
    while True:
        code, if_true, if_false, operand = instructions[counter]
        counter += 1
        match code:
            case 0x20:  # BPF_LD | BPF_W | BPF_ABS
                assert operand % 4 == 0
                (accumulator,) = struct.unpack_from("<I", data, operand)
            case 0x54:  # BPF_ALU | BPF_AND | BPF_K
                accumulator &= operand
            case 0x05:  # BPF_JMP | BPF_JA
                counter += operand
            case 0x15:  # BPF_JMP | BPF_JEQ | BPF_K
                counter += if_true if accumulator == operand else if_false
            case 0x25:  # BPF_JMP | BPF_JGT | BPF_K
                counter += if_true if accumulator > operand else if_false
            case 0x35:  # BPF_JMP | BPF_JGE | BPF_K
                counter += if_true if accumulator >= operand else if_false
            case 0x06:  # BPF_RET | BPF_K
                return operand
            case _:
                raise AssertionError(f"unknown instruction {code:#x}")


def read_plainly(profile: Profile, name: str | None, arguments: Sequence[int] = ()) -> int:
    """Give the answer to a call by its name (None: one that has none), without any compiling."""
    if name is None:
        return profile.unknown
    for case in profile.calls.get(name, ()):
        if all(holds(condition, arguments) for condition in case.conditions):
            return case.answer
    return profile.default


def holds(condition: Condition, arguments: Sequence[int]) -> bool:
    argument = (*arguments, *(0,) * 6)[condition.index]
    return _COMPARISONS[condition.operator](argument & condition.mask, condition.operand)
