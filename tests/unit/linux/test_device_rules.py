"""Which devices may be used: as version 1 has it, and as a program, run here by a few lines."""

from __future__ import annotations

import pytest

from chrun.linux.device_rules import program_of, settings_of
from chrun.oci.device_rules import DEFAULT_RULES, Rule, rules_for
from chrun.oci.spec import Device

BLOCK, CHARACTER = 1, 2
MAKE, READ, WRITE = 1, 2, 4
DISK = Device("/dev/sda", "b", 8, 0, 0o660, "/dev/sda", "r")


def allows(rules, kind, access, major, minor):
    """Run the program as the kernel would, for one use of a device."""
    code, registers, at = program_of(rules), [0] * 11, 0
    context = {0: access << 16 | kind, 4: major, 8: minor}
    while True:
        operation, both, offset, value = (
            code[at], code[at + 1], int.from_bytes(code[at + 2 : at + 4], "little"),
            int.from_bytes(code[at + 4 : at + 8], "little"),
        )  # fmt: skip
        target, source = both & 15, both >> 4
        at += 8
        if operation == 0x61:
            registers[target] = context[offset]
        elif operation == 0xBF:
            registers[target] = registers[source]
        elif operation == 0xB7:
            registers[target] = value
        elif operation == 0x77:
            registers[target] >>= value
        elif operation == 0x57:
            registers[target] &= value
        elif operation == 0x55:
            at += 8 * offset * (registers[target] != value)
        elif operation == 0x45:
            at += 8 * offset * bool(registers[target] & value)
        else:
            assert operation == 0x95
            return bool(registers[0])


@pytest.mark.parametrize(
    ("use", "allowed"),
    [
        ((CHARACTER, READ | WRITE, 1, 3), True),  # null
        ((CHARACTER, MAKE | READ | WRITE, 1, 9), True),  # urandom
        ((CHARACTER, READ, 1, 1), False),  # mem
        ((CHARACTER, READ, 1, 11), False),  # kmsg
        ((BLOCK, MAKE, 8, 0), True),
        ((BLOCK, READ, 8, 0), False),
        ((BLOCK, MAKE | READ, 8, 0), False),
        ((BLOCK, READ, 1, 3), False),  # a block device of null's number is none of null's
        ((CHARACTER, READ | WRITE, 136, 77), True),  # a terminal
        ((CHARACTER, READ, 10, 200), False),  # tun
    ],
)
def test_what_every_container_may_use(use, allowed):
    assert allows(DEFAULT_RULES, *use) is allowed


def test_a_given_device_may_be_used_as_it_was_given():
    rules = rules_for((DISK,))
    assert allows(rules, BLOCK, READ, 8, 0)
    assert not allows(rules, BLOCK, WRITE, 8, 0)
    assert not allows(rules, BLOCK, READ | WRITE, 8, 0)
    assert not allows(rules, BLOCK, READ, 8, 1)


def test_no_rule_allows_nothing():
    assert not allows((), CHARACTER, READ, 1, 3)


def test_version_1_denies_everything_before_it_allows():
    settings = settings_of((Rule("b", 8, 0, "r"), Rule("c", -1, -1, "m")))
    assert settings == ("devices.deny=a", "devices.allow=b 8:0 r", "devices.allow=c *:* m")
