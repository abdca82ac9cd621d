"""The pretending filter: what package managers are told."""

from __future__ import annotations

import errno
import os

import pytest

from chrun.linux.seccomp.numbers import call_numbers
from chrun.linux.seccomp.pretend import pretend_root_filter
from chrun.oci.seccomp.profile import ALLOW, ASK, ERRNO
from tests.support.bpf import AUDIT_ARCH, AUDIT_ARCH_I386, X32_BIT, run_filter

PRETEND = ERRNO
PRETENDED = {"chown", "fchown", "lchown", "fchownat", "setgroups"}
BECOMING = {"setuid", "setgid", "setreuid", "setregid", "setresuid", "setresgid"}
TELLING = {"getuid", "getgid", "geteuid", "getegid"}


@pytest.mark.parametrize("asks", [True, False])
@pytest.mark.parametrize("machine", sorted(AUDIT_ARCH))
def test_every_system_call_gets_the_answer_of_the_table(machine, asks):
    program = pretend_root_filter(machine, asks=asks)
    names = {number: name for name, number in call_numbers(machine).items()}
    for number in range(600):
        name = names.get(number)
        expected = PRETEND if name in PRETENDED else ALLOW
        if name in BECOMING:
            expected = ASK if asks else PRETEND
        if name in TELLING and asks:
            expected = ASK
        assert run_filter(program, number, AUDIT_ARCH[machine]) == expected, name


@pytest.mark.parametrize("machine", sorted(AUDIT_ARCH))
def test_only_devices_are_pretended_to_be_made(machine):
    program = pretend_root_filter(machine, asks=True)
    numbers = call_numbers(machine)
    for name, position in (("mknod", 1), ("mknodat", 2)):
        for kind, expected in (
            (0o020000, PRETEND), (0o060000, PRETEND),
            (0o010000, ALLOW), (0o100000, ALLOW), (0o140000, ALLOW), (0, ALLOW),
        ):  # fmt: skip
            arguments = [0, 0, 0, 0]
            arguments[position] = kind | 0o644
            if name in numbers:
                got = run_filter(program, numbers[name], AUDIT_ARCH[machine], arguments)
                assert got == expected


@pytest.mark.parametrize(("number", "arch"), [(105, AUDIT_ARCH_I386), (X32_BIT, 0xC000003E)])
def test_another_abi_of_the_processor_is_left_alone(number, arch):
    assert run_filter(pretend_root_filter("x86_64", asks=True), number, arch) == ALLOW


def test_an_unknown_machine_has_no_filter():
    assert pretend_root_filter("riscv64", asks=True) == b""


def test_pretending_means_success():
    assert PRETEND & 0xFFFF == 0
    assert os.strerror(0) == "Success"
    assert errno.errorcode.get(0) is None
