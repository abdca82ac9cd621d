"""The pretending filter, run in a simulator of classic BPF: instruction by instruction."""

from __future__ import annotations

import errno
import os
import struct

import pytest

from chrun.linux.seccomp import pretend_root_filter

ALLOW, PRETEND = 0x7FFF0000, 0x00050000
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


PRETENDED = {
    "x86_64": {92, 93, 94, 260, 105, 106, 113, 114, 116, 117, 119},
    "aarch64": {55, 54, 146, 144, 145, 143, 159, 147, 149},
}
MKNOD = {"x86_64": {133: 1, 259: 2}, "aarch64": {33: 2}}


@pytest.mark.parametrize("machine", ARCH)
def test_every_system_call_is_allowed_or_pretended_as_the_table_says(machine):
    program = pretend_root_filter(machine)
    for number in range(600):
        expected = PRETEND if number in PRETENDED[machine] else ALLOW
        assert simulate(program, number, ARCH[machine]) == expected, number


@pytest.mark.parametrize("machine", ARCH)
def test_only_devices_are_pretended_to_be_made(machine):
    program = pretend_root_filter(machine)
    for number, position in MKNOD[machine].items():
        for kind, expected in (
            (0o020000, PRETEND), (0o060000, PRETEND),
            (0o010000, ALLOW), (0o100000, ALLOW), (0o140000, ALLOW), (0, ALLOW),
        ):  # fmt: skip
            arguments = [0, 0, 0, 0]
            arguments[position] = kind | 0o644
            assert simulate(program, number, ARCH[machine], *arguments) == expected


def test_another_abi_of_the_processor_is_left_alone():
    assert simulate(pretend_root_filter("x86_64"), 105, I386) == ALLOW


def test_an_unknown_machine_has_no_filter():
    assert pretend_root_filter("riscv64") == b""


def test_pretending_means_success():
    assert PRETEND & 0xFFFF == 0
    assert os.strerror(0) == "Success"
    assert errno.errorcode.get(0) is None
