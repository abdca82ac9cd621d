"""A system call filter as a value: seccomp(2), and what linux/seccomp.h names SECCOMP_RET_*.

An answer is the 32-bit value that a filter returns: what the kernel does, and in the low half an
errno for those that carry one.
"""

from __future__ import annotations

from chrun.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Literal

    Operator = Literal["==", "!=", "<", "<=", ">", ">="]

KILL_PROCESS = 0x80000000
KILL_THREAD = 0x00000000
TRAP = 0x00030000
ERRNO = 0x00050000  # with the errno in the low half; 0 is success without effect
ASK = 0x7FC00000  # SECCOMP_RET_USER_NOTIF: chrun-init answers
TRACE = 0x7FF00000
LOG = 0x7FFC0000
ALLOW = 0x7FFF0000
ANSWER_DATA = 0x0000FFFF

ALL_BITS = (1 << 64) - 1
LOW_WORD = (1 << 32) - 1  # of an argument that the kernel takes as an int


class Condition(Value):
    """What an argument must be: `(argument & mask) operator operand`, unsigned, in 64 bits.

    The mask of an argument that the kernel takes as an int must be LOW_WORD: it does not look at
    the upper half, so what a caller puts there must not get a call past the filter
    (CVE-2019-10063).
    """

    index: int
    operator: Operator
    operand: int
    mask: int = ALL_BITS


class Case(Value):
    """An answer, and the conditions that must all hold; the first case that fits counts."""

    answer: int
    conditions: tuple[Condition, ...] = ()


class Rule(Value):
    """One line of a profile: the same case for several system calls."""

    names: tuple[str, ...]
    case: Case


class Profile(Value):
    """Which system call gets which answer.

    `calls` holds the cases of each call by name, the last of which has no conditions. All other
    calls that chrun knows get `default`; those it does not know, because they are newer than it,
    get `unknown`; a program of another ABI of the processor (i386 on x86-64, say) gets `foreign`.
    """

    calls: Mapping[str, tuple[Case, ...]]
    default: int
    unknown: int
    foreign: int


def make_profile(rules: Iterable[Rule], default: int, unknown: int, foreign: int) -> Profile:
    """Sort rules by call, as libseccomp reads them.

    A rule without conditions covers all those with conditions for the same call; of several that
    fit the first one counts; one that says what the default says anyway says nothing.
    """
    cases: dict[str, list[Case]] = {}
    for rule in rules:
        for name in rule.names:
            if rule.case.answer != default:
                cases.setdefault(name, []).append(rule.case)
    calls = {name: _settled(listed, default) for name, listed in cases.items()}
    return Profile(calls, default, unknown, foreign)


def _settled(cases: list[Case], default: int) -> tuple[Case, ...]:
    for case in cases:
        if not case.conditions:
            return (case,)
    return (*cases, Case(default))


def combine(first: Profile, second: Profile) -> Profile:
    """Give the profile that does what the kernel does under both: the stricter answer counts.

    Where both refuse, the words of `first` count.
    """
    calls = {
        name: _both(
            first.calls.get(name, (Case(first.default),)),
            second.calls.get(name, (Case(second.default),)),
        )
        for name in (*first.calls, *(second.calls.keys() - first.calls.keys()))
    }
    return Profile(
        calls,
        stricter(first.default, second.default),
        stricter(first.unknown, second.unknown),
        stricter(first.foreign, second.foreign),
    )


def _both(first: tuple[Case, ...], second: tuple[Case, ...]) -> tuple[Case, ...]:
    """Pair the cases in the order in which the first pair that fits is the first of each."""
    pairs = tuple(
        Case(stricter(one.answer, other.answer), one.conditions + other.conditions)
        for one in first
        for other in second
    )
    end = next(number for number, case in enumerate(pairs) if not case.conditions)
    while end and pairs[end - 1].answer == pairs[end].answer:
        pairs = (*pairs[: end - 1], pairs[end])
        end -= 1
    return pairs[: end + 1]


def stricter(first: int, second: int) -> int:
    """Give the answer that the kernel takes of two: seccomp(2), "order of precedence"."""
    return second if _leniency(second) < _leniency(first) else first


def _leniency(answer: int) -> int:
    kind = answer & ~ANSWER_DATA
    return -1 if kind == KILL_PROCESS else kind  # the kernel compares them as signed numbers
