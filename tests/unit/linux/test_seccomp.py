"""The pretending filter, run in a simulator of classic BPF: instruction by instruction."""

from __future__ import annotations

import errno
import os
import struct

import pytest

from chrun.linux.seccomp import pretend_root_filter

ALLOW, PRETEND, ASK = 0x7FFF0000, 0x00050000, 0x7FC00000
ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
I386 = 0x40000003


def simulate(program: bytes, number: int, arch: int, *arguments: int) -> int:
    """Run a filter over a struct seccomp_data, as the kernel's documentation defines it."""
    data = struct.pack("<IIQ6Q", number, arch, 0, *(arguments + (0,) * 6)[:6])
    instructions = list(struct.iter_unpack("<HBBI", program))
    accumulator = counter = 0
    while True:
        code, if_true, if_false, operand = instructions[counter]
        counter += 1
        if code == 0x20:
            accumulator = struct.unpack_from("<I", data, operand)[0]
        elif code == 0x54:
            accumulator &= operand
        elif code == 0x15:
            counter += if_true if accumulator == operand else if_false
        elif code == 0x06:
            return operand
        else:
            raise AssertionError(f"unknown instruction {code:#x}")


PRETENDED = {"x86_64": {92, 93, 94, 260, 116}, "aarch64": {55, 54, 159}}
BECOMING = {
    "x86_64": {105, 106, 113, 114, 117, 119},
    "aarch64": {146, 144, 145, 143, 147, 149},
}
TELLING = {"x86_64": {102, 104, 107, 108}, "aarch64": {174, 175, 176, 177}}
MKNOD = {"x86_64": {133: 1, 259: 2}, "aarch64": {33: 2}}


@pytest.mark.parametrize("asks", [True, False])
@pytest.mark.parametrize("machine", ARCH)
def test_every_system_call_gets_the_answer_of_the_table(machine, asks):
    program = pretend_root_filter(machine, asks=asks)
    for number in range(600):
        expected = PRETEND if number in PRETENDED[machine] else ALLOW
        if number in BECOMING[machine]:
            expected = ASK if asks else PRETEND
        if number in TELLING[machine] and asks:
            expected = ASK
        assert simulate(program, number, ARCH[machine]) == expected, number


@pytest.mark.parametrize("machine", ARCH)
def test_only_devices_are_pretended_to_be_made(machine):
    program = pretend_root_filter(machine, asks=True)
    for number, position in MKNOD[machine].items():
        for kind, expected in (
            (0o020000, PRETEND), (0o060000, PRETEND),
            (0o010000, ALLOW), (0o100000, ALLOW), (0o140000, ALLOW), (0, ALLOW),
        ):  # fmt: skip
            arguments = [0, 0, 0, 0]
            arguments[position] = kind | 0o644
            assert simulate(program, number, ARCH[machine], *arguments) == expected


def test_another_abi_of_the_processor_is_left_alone():
    assert simulate(pretend_root_filter("x86_64", asks=True), 105, I386) == ALLOW


def test_an_unknown_machine_has_no_filter():
    assert pretend_root_filter("riscv64", asks=True) == b""


def test_pretending_means_success():
    assert PRETEND & 0xFFFF == 0
    assert os.strerror(0) == "Success"
    assert errno.errorcode.get(0) is None
