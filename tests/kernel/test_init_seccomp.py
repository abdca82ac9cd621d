"""Filters in the kernel: every system call is answered as the simulator says it is."""

from __future__ import annotations

import errno
import os
import signal

import pytest

from chrun.linux.seccomp.compiler import compile_profile
from chrun.linux.seccomp.numbers import MACHINES, call_numbers
from chrun.linux.seccomp.pretend import pretend_root_profile
from chrun.oci.seccomp.default import default_profile
from chrun.oci.seccomp.profile import (
    ALLOW,
    ANSWER_DATA,
    ERRNO,
    KILL_PROCESS,
    KILL_THREAD,
    LOG,
    TRACE,
    TRAP,
    Case,
    Condition,
    Rule,
    combine,
    make_profile,
)
from chrun.runtime.steps import Capabilities, NoNewPrivileges, Seccomp
from tests.support.box import Box
from tests.support.bpf import AUDIT_ARCH, run_filter
from tests.support.calls import PROGRAM_PATH, install_calls, parse_results
from tests.support.needs import needs

MACHINE = os.uname().machine
pytestmark = [
    needs("busybox"),
    pytest.mark.skipif(MACHINE not in MACHINES, reason="chrun filters no calls here"),
]
NO_CAPABILITIES = Capabilities(0, 0, 0, 0, 0)
NOT_ALLOWED, NOT_KNOWN = ERRNO | errno.EPERM, ERRNO | errno.ENOSYS
USELESS = [(1 << 64) - 1] * 6
PROFILES = {
    "confined": default_profile(()),
    "sealed": default_profile((), sealed=True),
    "one id": combine(default_profile(()), pretend_root_profile(asks=False)),
}


@pytest.fixture
def box(tmp_path, busybox_dir):
    program_dir = tmp_path / "calls"
    program_dir.mkdir()
    install_calls(program_dir)
    return Box(tmp_path, program_dir, busybox_dir)


def filtered(profile):
    program = compile_profile(profile, MACHINE)
    return NO_CAPABILITIES, NoNewPrivileges(), Seccomp(program, "filter", "a test")


def results(box, after, *words):
    done = box.run(PROGRAM_PATH, *words, after=after)
    assert done.stderr == ""
    return parse_results(done.stdout)


@pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES)
def test_the_kernel_answers_every_call_as_the_profile_says(box, profile):
    """An allowed call fares as without a filter, a refused one gets its errno from the filter."""
    program = compile_profile(profile, MACHINE)
    plain = results(box, (NO_CAPABILITIES, NoNewPrivileges()), "all")
    seen = results(box, filtered(profile), "all")
    assert plain.keys() == seen.keys()
    assert len(seen) > 580
    names = {number: name for name, number in call_numbers(MACHINE).items()}
    for number, result in seen.items():
        answer = run_filter(program, number, AUDIT_ARCH[MACHINE], USELESS)
        expected = plain[number] if answer == ALLOW else answer & ANSWER_DATA
        assert result == expected, (names.get(number, number), hex(answer))


@pytest.mark.skipif(MACHINE != "x86_64", reason="the ABI of another processor's programs")
def test_a_32_bit_call_of_a_64_bit_program_is_its_end(box):
    assert results(box, (NoNewPrivileges(),), "i386", "20") == {20: 0}  # getpid
    assert results(box, filtered(PROFILES["confined"]), "i386", "20") == {20: -signal.SIGSYS}


@pytest.mark.skipif(MACHINE != "x86_64", reason="the ABI of another processor's programs")
@pytest.mark.parametrize("number", [0x40000027, 0x40000000 + 272, 0x40000209, 0xFFFFFFFF])
def test_x32_numbers_do_not_get_past_the_filter(box, number):
    denied = make_profile(
        [Rule(("getpid", "unshare"), Case(NOT_ALLOWED))], ALLOW, ALLOW, KILL_PROCESS
    )
    for profile in (PROFILES["confined"], denied):
        assert results(box, filtered(profile), str(number), "0x10000000") == {number: errno.ENOSYS}


@pytest.mark.parametrize(
    ("answer", "result"),
    [
        (ALLOW, 0),
        (LOG, 0),
        (ERRNO, 0),
        (ERRNO | errno.EDOM, errno.EDOM),
        (TRACE | 1, errno.ENOSYS),  # there is no tracer
        (TRAP, -signal.SIGSYS),
        (KILL_THREAD, -signal.SIGSYS),
        (KILL_PROCESS, -signal.SIGSYS),
    ],
)
def test_every_action_does_what_its_name_says(box, answer, result):
    profile = make_profile([Rule(("getpid",), Case(answer))], ALLOW, ALLOW, KILL_PROCESS)
    number = call_numbers(MACHINE)["getpid"]
    assert results(box, filtered(profile), str(number)) == {number: result}


@pytest.mark.parametrize(
    ("operator", "operand", "fits", "fits_not"),
    [
        ("==", 1 << 33 | 5, [1 << 33 | 5], [5, 1 << 33]),
        ("!=", 5, [4, 1 << 33 | 5], [5]),
        (">", 1 << 33, [(1 << 33) + 1, 1 << 34], [1 << 33, 5, (1 << 33) - 1]),
        (">=", 1 << 33, [1 << 33, 1 << 34], [5, (1 << 33) - 1]),
        ("<", 1 << 33, [5, (1 << 33) - 1], [1 << 33, 1 << 34]),
        ("<=", 1 << 33, [5, 1 << 33], [(1 << 33) + 1, 1 << 34]),
    ],
)
def test_arguments_are_compared_in_64_bits(box, operator, operand, fits, fits_not):
    refused = Case(ERRNO | errno.EDOM, (Condition(2, operator, operand),))
    profile = make_profile([Rule(("getpid",), refused)], ALLOW, ALLOW, KILL_PROCESS)
    number = call_numbers(MACHINE)["getpid"]
    for words, result in ((fits, errno.EDOM), (fits_not, 0)):
        for word in words:
            assert results(box, filtered(profile), str(number), "0", "0", str(word)) == {
                number: result
            }


def test_a_filter_stays_for_children_and_the_programs_they_run(box):
    script = "sh -c 'grep Seccomp: /proc/self/status; unshare -U true' 2>&1"
    shown = box.run("sh", "-c", script, after=filtered(PROFILES["confined"])).stdout
    assert "Seccomp:\t2" in shown
    assert "Operation not permitted" in shown
