"""Compiled filters in a simulator, against a plain reading of their profiles."""

from __future__ import annotations

import errno
import random

import pytest
from hypothesis import given
from hypothesis import strategies as some

from chrun.errors import UnsupportedError
from chrun.linux.caps import NAMES
from chrun.linux.seccomp.compiler import MAX_INSTRUCTIONS, compile_profile
from chrun.linux.seccomp.numbers import call_numbers
from chrun.linux.seccomp.pretend import pretend_root_profile
from chrun.oci.seccomp.default import default_profile
from chrun.oci.seccomp.profile import (
    ALL_BITS,
    ALLOW,
    ERRNO,
    KILL_PROCESS,
    LOW_WORD,
    Case,
    Condition,
    Rule,
    combine,
    make_profile,
)
from tests.support.bpf import (
    AUDIT_ARCH,
    AUDIT_ARCH_ARM,
    AUDIT_ARCH_I386,
    X32_BIT,
    read_plainly,
    run_filter,
)
from tests.support.profiles import ARGUMENTS, CONDITION, PROFILE, WORDS

NOT_KNOWN, NOT_ALLOWED = ERRNO | errno.ENOSYS, ERRNO | errno.EPERM
PROFILES = {
    "confined": default_profile(()),
    "old kernel": default_profile((), kernel=(4, 4)),
    "all capabilities": default_profile(NAMES),
    "sealed": default_profile((), sealed=True),
    "one id": combine(default_profile(()), pretend_root_profile(asks=True)),
    "sealed, one id": combine(default_profile((), sealed=True), pretend_root_profile(asks=False)),
}
MACHINES = sorted(AUDIT_ARCH)


def names_of(machine):
    return {number: name for name, number in call_numbers(machine).items()}


def compared(profile, machine, arguments):
    """Check every number of a machine, and those that it does not have yet."""
    program, names = compile_profile(profile, machine), names_of(machine)
    for number in range(700):
        expected = read_plainly(profile, names.get(number), arguments)
        got = run_filter(program, number, AUDIT_ARCH[machine], arguments)
        assert got == expected, (names.get(number, number), arguments)


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES)
def test_every_system_call_gets_the_answer_that_the_profile_has_for_it(profile, machine):
    chosen = random.Random(machine)
    for _ in range(8):
        compared(profile, machine, [chosen.choice(WORDS) for _ in range(6)])


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES)
def test_calls_with_conditions_are_answered_for_every_interesting_argument(profile, machine):
    program, numbers = compile_profile(profile, machine), call_numbers(machine)
    for name, cases in profile.calls.items():
        looked_at = {condition.index for case in cases for condition in case.conditions}
        for index in looked_at if name in numbers else ():
            for word in WORDS:
                arguments = [0, 1, 0, 0, 0, 0]
                arguments[index] = word
                got = run_filter(program, numbers[name], AUDIT_ARCH[machine], arguments)
                assert got == read_plainly(profile, name, arguments), (name, arguments)


@pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES)
def test_another_abi_of_the_processor_is_killed(profile):
    for machine, arch in (("x86_64", AUDIT_ARCH_I386), ("aarch64", AUDIT_ARCH_ARM)):
        program = compile_profile(profile, machine)
        for number in range(500):
            assert run_filter(program, number, arch) == KILL_PROCESS


@pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES)
def test_no_number_of_the_x32_abi_gets_past_the_filter(profile):
    program = compile_profile(profile, "x86_64")
    for number in (*range(X32_BIT, X32_BIT + 600), 0x7FFFFFFF, 0x80000000, LOW_WORD):
        assert run_filter(program, number, AUDIT_ARCH["x86_64"]) == NOT_KNOWN


def test_a_list_of_refusals_does_not_leave_x32_open():
    refused = Rule(("chmod",), Case(NOT_ALLOWED))
    program = compile_profile(make_profile([refused], ALLOW, ALLOW, KILL_PROCESS), "x86_64")
    assert run_filter(program, 90, AUDIT_ARCH["x86_64"]) == NOT_ALLOWED
    assert run_filter(program, X32_BIT | 90, AUDIT_ARCH["x86_64"]) == NOT_KNOWN
    assert run_filter(program, 15, AUDIT_ARCH_I386) == KILL_PROCESS


@pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES)
def test_a_filter_is_short_and_its_jumps_stay_inside(profile):
    for machine in MACHINES:
        program = compile_profile(profile, machine)
        instructions = [program[start : start + 8] for start in range(0, len(program), 8)]
        assert len(program) % 8 == 0
        assert len(instructions) < 500
        for position, (code, _, if_true, if_false, *operand) in enumerate(instructions):
            if code & 7 == 5:
                far = int.from_bytes(bytes(operand), "little") if code == 5 else 0
                assert position + 1 + max(if_true, if_false, far) < len(instructions)


def test_calls_are_found_in_a_dozen_steps():
    """The kernel walks each call through a new filter once, to keep what needs no argument."""
    program, names = compile_profile(PROFILES["one id"], "x86_64"), names_of("x86_64")
    longest = max(steps(program, number) for number in names)
    assert longest <= 2 + 12


def steps(program, number):
    """Count the instructions up to the end, or up to the first look at an argument."""
    counter = count = 0
    while True:
        code, if_true, if_false = program[counter * 8], *program[counter * 8 + 2 : counter * 8 + 4]
        operand = int.from_bytes(program[counter * 8 + 4 : counter * 8 + 8], "little")
        counter, count = counter + 1, count + 1
        if code == 6 or (code == 0x20 and operand >= 16):
            return count
        if code == 5:
            counter += operand
        elif code == 0x35:
            counter += if_true if number >= operand else if_false
        elif code == 0x15:
            counter += if_true


def test_a_machine_without_a_table_is_an_error():
    with pytest.raises(UnsupportedError, match="chrun knows none of riscv64"):
        compile_profile(PROFILES["confined"], "riscv64")


def test_a_profile_that_no_program_holds_is_an_error():
    rules = [
        Rule((name,), Case(ALLOW, (Condition(0, "==", number << 33 | value),)))
        for name, number in call_numbers("x86_64").items()
        for value in range(3)
    ]
    with pytest.raises(UnsupportedError, match=f"at most {MAX_INSTRUCTIONS}"):
        compile_profile(make_profile(rules, NOT_ALLOWED, NOT_KNOWN, KILL_PROCESS), "x86_64")


@given(PROFILE, ARGUMENTS, some.sampled_from(MACHINES))
def test_any_profile_is_compiled_to_what_it_says(profile, arguments, machine):
    compared(profile, machine, arguments)


@given(some.lists(CONDITION, min_size=1, max_size=3), ARGUMENTS, some.data())
def test_a_condition_holds_at_its_edges_as_the_operators_say(conditions, arguments, data):
    """Arguments at, just above and just below what they are compared with."""
    for condition in conditions:
        near = data.draw(some.sampled_from([-1, 0, 1, 1 << 32, -(1 << 32)]))
        arguments[condition.index] = (condition.operand + near) & ALL_BITS
    rule = Rule(("read",), Case(ALLOW, tuple(conditions)))
    profile = make_profile([rule], NOT_ALLOWED, NOT_KNOWN, KILL_PROCESS)
    program = compile_profile(profile, "x86_64")
    got = run_filter(program, 0, AUDIT_ARCH["x86_64"], arguments)
    assert got == read_plainly(profile, "read", arguments)


@given(PROFILE, PROFILE, ARGUMENTS)
def test_two_profiles_in_one_filter_answer_as_two_filters_do(first, second, arguments):
    """The kernel runs all filters and takes the strictest answer: seccomp(2)."""
    combined = combine(first, second)
    for name in ("read", "openat", "newer", "write", None):
        both = [read_plainly(profile, name, arguments) for profile in (first, second)]
        strictest = min(both, key=lambda answer: signed(answer & 0xFFFF0000))
        assert read_plainly(combined, name, arguments) == strictest


def signed(answer):
    return answer - (1 << 32) if answer & 1 << 31 else answer
