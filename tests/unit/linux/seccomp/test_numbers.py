"""The tables of system call numbers, against the kernel's headers where they are installed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from chrun.linux.seccomp.numbers import MACHINES, call_numbers, known_names

# asm/unistd.h of Debian's linux-libc-dev; other machines' are not what is tested here
_HEADERS = {
    "x86_64": Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h"),
    "aarch64": Path("/usr/include/aarch64-linux-gnu/asm/unistd_64.h"),
}
NEWEST = 471  # rseq_slice_yield, Linux 7.0


@pytest.mark.parametrize("machine", sorted(MACHINES))
def test_a_number_has_one_name(machine):
    numbers = call_numbers(machine)
    assert len(set(numbers.values())) == len(numbers)
    assert max(numbers.values()) == NEWEST


def test_both_machines_have_the_same_numbers_from_424_on():
    newer = [
        {name: number for name, number in call_numbers(machine).items() if number >= 424}
        for machine in sorted(MACHINES)
    ]
    assert newer[0] == newer[1]
    assert len(newer[0]) == NEWEST - 423


@pytest.mark.parametrize(
    ("machine", "name", "number"),
    [
        ("x86_64", "read", 0),
        ("x86_64", "execve", 59),
        ("x86_64", "uretprobe", 335),
        ("x86_64", "fchmodat2", 452),
        ("aarch64", "io_setup", 0),
        ("aarch64", "execve", 221),
        ("aarch64", "recvmmsg", 243),
        ("aarch64", "wait4", 260),
        ("aarch64", "kexec_file_load", 294),
        ("aarch64", "clone3", 435),
    ],
)
def test_numbers_are_those_of_the_kernels_tables(machine, name, number):
    assert call_numbers(machine)[name] == number


@pytest.mark.parametrize("machine", sorted(MACHINES))
def test_all_of_the_installed_header_is_there(machine):
    header = _HEADERS[machine]
    if not header.exists():
        assert machine != "x86_64" or not header.parent.exists()
        return
    listed = re.findall(r"^#define __NR_(\w+) (\d+)$", header.read_text(), re.MULTILINE)
    numbers = call_numbers(machine)
    assert {name: int(number) for name, number in listed}.items() <= numbers.items()


def test_names_of_other_processors_are_known_too():
    assert {"socketcall", "mmap2", "riscv_flush_icache", "openat"} <= known_names()
    assert "chmood" not in known_names()
