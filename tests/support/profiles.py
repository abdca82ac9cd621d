"""Seccomp profiles that nobody would write, for property tests, and arguments to try them with."""

from __future__ import annotations

from hypothesis import strategies as some

from chrun.linux.seccomp.numbers import call_numbers
from chrun.oci.seccomp.profile import (
    ALL_BITS,
    ALLOW,
    ERRNO,
    KILL_PROCESS,
    KILL_THREAD,
    LOG,
    LOW_WORD,
    TRAP,
    Case,
    Condition,
    Rule,
    make_profile,
)

_NOT_ALLOWED = ERRNO | 1
# Values that conditions of the profiles are about, with and without something in the upper half
INTERESTING = [
    *range(8), 10, 16, 38, 40, 0x20000, 0x20008, LOW_WORD, 0x5412, 0x541C, 0x5423, 0x10000000,
    0x7E020000, 0o020644, 0o060644, 0o100644, 0x80000, ALL_BITS,
]  # fmt: skip
WORDS = [*INTERESTING, *(value | 1 << 40 for value in INTERESTING)]

WORD = some.sampled_from(WORDS) | some.integers(0, ALL_BITS)
CONDITION = some.builds(
    Condition,
    some.integers(0, 5),
    some.sampled_from(["==", "!=", "<", "<=", ">", ">="]),
    WORD,
    some.sampled_from([ALL_BITS, LOW_WORD, 0xF, 0xFF << 36, 0]) | some.integers(0, ALL_BITS),
)
ANSWER = some.sampled_from([ALLOW, LOG, TRAP, KILL_PROCESS, KILL_THREAD, _NOT_ALLOWED, ERRNO])
CALL = some.sampled_from([*sorted(call_numbers("x86_64"))[::20], "read", "openat", "newer"])
RULE = some.builds(
    Rule,
    some.lists(CALL, min_size=1, max_size=4).map(tuple),
    some.builds(Case, ANSWER, some.lists(CONDITION, max_size=4).map(tuple)),
)
PROFILE = some.builds(make_profile, some.lists(RULE, max_size=12), ANSWER, ANSWER, ANSWER)
ARGUMENTS = some.lists(WORD, min_size=6, max_size=6)
