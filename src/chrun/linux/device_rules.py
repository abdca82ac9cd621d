"""Which devices a cgroup's processes may make, read and write: cgroup-v1/devices.rst, bpf(2).

Whoever has CAP_MKNOD could make a node of the machine's disk; what it is used for, this decides.
Pure.
"""

from __future__ import annotations

from chrun.oci.device_rules import ANY

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from chrun.oci.device_rules import Rule

# enum bpf_devcg_type and the access bits of include/uapi/linux/bpf.h
_KINDS = {"b": 1, "c": 2}
_ACCESSES = {"m": 1, "r": 2, "w": 4}
# Instructions of linux/bpf.h and bpf_common.h: class, operation and source of the operand
_LOAD_WORD, _JUMP_NOT_EQUAL, _JUMP_IF_BITS = 0x61, 0x55, 0x45
_MOVE, _MOVE_REGISTER, _AND, _SHIFT_RIGHT, _EXIT = 0xB7, 0xBF, 0x57, 0x77, 0x95
_RESULT, _CONTEXT, _KIND, _ACCESS, _MAJOR, _MINOR = 0, 1, 2, 3, 4, 5  # registers


def settings_of(rules: Iterable[Rule]) -> tuple[str, ...]:
    """Give what version 1's files are written: everything is denied first."""
    return ("devices.deny=a", *(f"devices.allow={rule}" for rule in rules))


def program_of(rules: Iterable[Rule]) -> bytes:
    """Compile the rules to a BPF_PROG_TYPE_CGROUP_DEVICE program: the first that fits allows."""
    code = [
        _instruction(_LOAD_WORD, _KIND, _CONTEXT),  # access in the upper half, kind in the lower
        _instruction(_LOAD_WORD, _MAJOR, _CONTEXT, 4),
        _instruction(_LOAD_WORD, _MINOR, _CONTEXT, 8),
        _instruction(_MOVE_REGISTER, _ACCESS, _KIND),
        _instruction(_SHIFT_RIGHT, _ACCESS, value=16),
        _instruction(_AND, _KIND, value=0xFFFF),
    ]
    for rule in rules:
        code += _tests(rule)
    return b"".join([*code, _instruction(_MOVE, _RESULT, value=0), _instruction(_EXIT)])


def _tests(rule: Rule) -> Iterator[bytes]:
    """Allow what the rule allows; what it does not fit goes on behind it."""
    forbidden = sum(bit for letter, bit in _ACCESSES.items() if letter not in rule.access)
    tests = [(_JUMP_NOT_EQUAL, _KIND, _KINDS[rule.kind])]
    if forbidden:
        tests.append((_JUMP_IF_BITS, _ACCESS, forbidden))
    if rule.major != ANY:
        tests.append((_JUMP_NOT_EQUAL, _MAJOR, rule.major))
    if rule.minor != ANY:
        tests.append((_JUMP_NOT_EQUAL, _MINOR, rule.minor))
    for position, (operation, register, value) in enumerate(tests):
        yield _instruction(operation, register, offset=len(tests) - position + 1, value=value)
    yield _instruction(_MOVE, _RESULT, value=1)
    yield _instruction(_EXIT)


def _instruction(
    operation: int, target: int = 0, source: int = 0, offset: int = 0, value: int = 0
) -> bytes:
    """Encode a struct bpf_insn."""
    registers = bytes([operation, target | source << 4])
    return registers + offset.to_bytes(2, "little") + value.to_bytes(4, "little")
