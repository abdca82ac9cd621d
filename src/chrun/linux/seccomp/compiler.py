"""Profile -> the program that the kernel runs at each system call.

Classic BPF over a struct seccomp_data: seccomp(2), the kernel's seccomp_filter.rst. The program
finds a call's number by halving the list of ranges that share an answer, some eight comparisons for
any call, and only then looks at arguments. Where it looks at none, kernels from 5.11 on keep the
answer and do not run it at all.
"""

from __future__ import annotations

import errno

from chrun.errors import UnsupportedError
from chrun.linux.seccomp.numbers import MACHINES, call_numbers
from chrun.oci.seccomp.profile import ALLOW, ERRNO, LOW_WORD, Case

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from chrun.oci.seccomp.profile import Condition, Profile

MAX_INSTRUCTIONS = 4096  # BPF_MAXINSNS

# struct seccomp_data: nr at 0, arch at 4, argument n at 16 + 8 n with its low half first
_NR, _ARCH, _ARGUMENTS = 0, 4, 16
# Operations of linux/bpf_common.h, with a constant: load a word, return, and, jumps
_LOAD, _RETURN, _AND, _JUMP = 0x20, 0x06, 0x54, 0x05
_IF_EQUAL, _IF_GREATER, _IF_AT_LEAST = 0x15, 0x25, 0x35
_FARTHEST = 255  # a conditional jump's distance is a byte

_AUDIT_ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_X32_BIT = 0x40000000  # the x32 ABI has the same AUDIT_ARCH as x86-64, and this bit in its numbers
_NO_SUCH_CALL = ERRNO | errno.ENOSYS

# (operation, operand, distance if true, distance if false)
_Instruction = tuple[int, int, int, int]
_Code = list[_Instruction]
_Cases = tuple[Case, ...]


def compile_profile(profile: Profile, machine: str) -> bytes:
    """Give a profile's program, an array of struct sock_filter in this machine's byte order.

    UnsupportedError for a machine whose system calls are not known here, and for a profile that
    is longer than a program may be.
    """
    check_machine(machine)
    ranges = list(_ranges(profile, machine))
    calls = [(_LOAD, _NR, 0, 0), *_dispatch(ranges)]
    foreign = _return(profile.foreign)
    program = [(_LOAD, _ARCH, 0, 0), (_IF_EQUAL, _AUDIT_ARCH[machine], 1, 0), *foreign, *calls]
    if len(program) > MAX_INSTRUCTIONS:
        raise UnsupportedError(
            f"cannot filter system calls: the profile takes {len(program)} instructions, "
            f"the kernel at most {MAX_INSTRUCTIONS}"
        )
    return b"".join(map(_encoded, program))


def check_machine(machine: str) -> None:
    """Raise UnsupportedError for a machine whose system calls are not known here."""
    if machine not in MACHINES:
        raise UnsupportedError(f"cannot filter system calls: chrun knows none of {machine}")


def _encoded(instruction: _Instruction) -> bytes:
    operation, operand, if_true, if_false = instruction
    return (
        operation.to_bytes(2, "little") + bytes((if_true, if_false)) + operand.to_bytes(4, "little")
    )


def _ranges(profile: Profile, machine: str) -> Iterator[tuple[int, _Cases]]:
    """Give the first number of each range of calls with the same cases, in order, from 0 on."""
    names = {number: name for name, number in call_numbers(machine).items()}
    unknown, default = (Case(profile.unknown),), (Case(profile.default),)
    last: _Cases = ()
    for number in range(max(names) + 1):
        cases = profile.calls.get(names[number], default) if number in names else unknown
        if cases != last:
            yield number, cases
            last = cases
    yield max(names) + 1, unknown
    if machine == "x86_64":
        # A kernel without x32 has no such calls. One that has it would get them past the filter.
        yield _X32_BIT, (Case(ALLOW if profile.foreign == ALLOW else _NO_SUCH_CALL),)


def _dispatch(ranges: list[tuple[int, _Cases]]) -> _Code:
    """Find the range that a number, which was loaded, lies in."""
    if len(ranges) == 1:
        return _answer(ranges[0][1])
    middle = len(ranges) // 2
    below, above = _dispatch(ranges[:middle]), _dispatch(ranges[middle:])
    first = ranges[middle][0]
    if len(below) <= _FARTHEST:
        return [(_IF_AT_LEAST, first, len(below), 0), *below, *above]
    return [(_IF_AT_LEAST, first, 0, 1), (_JUMP, len(below), 0, 0), *below, *above]


def _answer(cases: _Cases) -> _Code:
    code: _Code = []
    for case in reversed(cases):
        code = _case(case) + code
    return code


def _case(case: Case) -> _Code:
    """Return the answer, or go on behind this code where one of the conditions does not hold."""
    code = _return(case.answer)
    for condition in reversed(case.conditions):
        code = _check(condition, len(code)) + code
    return code


def _return(answer: int) -> _Code:
    return [(_RETURN, answer, 0, 0)]


def _check(condition: Condition, behind: int) -> _Code:
    """Go on where a condition holds, and else jump over as many instructions `behind` this code."""
    low_mask, high_mask = condition.mask & LOW_WORD, condition.mask >> 32
    low_operand, high_operand = condition.operand & LOW_WORD, condition.operand >> 32
    address = _ARGUMENTS + 8 * condition.index
    low = _compare_last(condition.operator, low_operand, behind)
    low = [*_load(address, low_mask), *low]
    if not high_mask and not high_operand:
        return low
    high = _compare_first(condition.operator, high_operand, len(low), behind)
    return [*_load(address + 4, high_mask), *high, *low]


def _load(address: int, mask: int) -> _Code:
    loaded: _Code = [(_LOAD, address, 0, 0)]
    return loaded if mask == LOW_WORD else [*loaded, (_AND, mask, 0, 0)]


def _compare_last(operator: str, operand: int, behind: int) -> _Code:
    """Compare the half that decides where the upper halves are equal, or that is all there is."""
    operation = {
        "==": _IF_EQUAL, "!=": _IF_EQUAL, ">": _IF_GREATER, "<=": _IF_GREATER,
        ">=": _IF_AT_LEAST, "<": _IF_AT_LEAST,
    }[operator]  # fmt: skip
    if operator in {"==", ">", ">="}:
        return [(operation, operand, 0, behind)]
    return [(operation, operand, behind, 0)]


def _compare_first(operator: str, operand: int, low: int, behind: int) -> _Code:
    """Compare the upper half: it may decide alone, over `low` instructions for the lower half."""
    holds, fails = low, low + behind
    if operator == "==":
        return [(_IF_EQUAL, operand, 0, fails)]
    if operator == "!=":
        return [(_IF_EQUAL, operand, 0, holds)]
    greater, less = (holds, fails) if operator[0] == ">" else (fails, holds)
    return [(_IF_GREATER, operand, greater + 1, 0), (_IF_EQUAL, operand, 0, less)]
