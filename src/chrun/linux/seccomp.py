"""System call filters as BPF: seccomp(2), and what the kernel's filter.h calls an instruction.

So far one filter: the one that lets package managers believe that they are root. The allowlist of
the `confined` rung takes its place in the plan behind no_new_privs too.
"""

from __future__ import annotations

# struct seccomp_data: nr at 0, arch at 4, the low half of argument n at 16 + 8 n
_NR, _ARCH, _ARGUMENTS = 0, 4, 16
_LOAD, _AND, _JUMP_IF_EQUAL, _RETURN = 0x20, 0x54, 0x15, 0x06
_ALLOW, _PRETEND = 0x7FFF0000, 0x00050000  # SECCOMP_RET_ALLOW; SECCOMP_RET_ERRNO with errno 0
_ASK = 0x7FC00000  # SECCOMP_RET_USER_NOTIF
_FILE_TYPE, _CHARACTER_DEVICE, _BLOCK_DEVICE = 0o170000, 0o020000, 0o060000

_AUDIT_ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}

# Calls that a user namespace with a single id refuses although a package manager needs nothing but
# their success: chown to an owner that is not mapped.
_PRETENDED = {
    # chown fchown lchown fchownat setgroups
    "x86_64": (92, 93, 94, 260, 116),
    "aarch64": (55, 54, 159),
}
# Becoming a user that is not mapped, for which success is not enough: entrypoints run themselves
# again as their service's user, and would for ever if they were not told that they are it.
_BECOMING = {
    # setuid setgid setreuid setregid setresuid setresgid
    "x86_64": (105, 106, 113, 114, 117, 119),
    "aarch64": (146, 144, 145, 143, 147, 149),
}
_TELLING = {
    # getuid getgid geteuid getegid
    "x86_64": (102, 104, 107, 108),
    "aarch64": (174, 176, 175, 177),
}
# mknod(2) and mknodat(2) and which of their arguments is the mode: pretended for devices only
_MKNOD = {"x86_64": ((133, 1), (259, 2)), "aarch64": ((33, 2),)}


def _instruction(code: int, operand: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return code.to_bytes(2, "little") + bytes((if_true, if_false)) + operand.to_bytes(4, "little")


def pretend_root_filter(machine: str, *, asks: bool) -> bytes:
    """Give the filter under which chown, setuid and mknod succeed without effect.

    With `asks`, calls that change or tell a process's ids are held back for chrun-init to answer;
    else the former only succeed. b"" for a machine whose system call numbers are not known here:
    there such calls fail as the kernel means them to. A program of another ABI of the same
    processor is not filtered either.
    """
    if machine not in _AUDIT_ARCH:
        return b""
    program = [
        _instruction(_LOAD, _ARCH),
        _instruction(_JUMP_IF_EQUAL, _AUDIT_ARCH[machine], 1, 0),
        _instruction(_RETURN, _ALLOW),
        _instruction(_LOAD, _NR),
    ]
    answers = dict.fromkeys(_PRETENDED[machine] + _BECOMING[machine], _PRETEND)
    if asks:
        answers |= dict.fromkeys(_BECOMING[machine] + _TELLING[machine], _ASK)
    for number, answer in answers.items():
        program += [_instruction(_JUMP_IF_EQUAL, number, 0, 1), _instruction(_RETURN, answer)]
    for number, mode_argument in _MKNOD[machine]:
        program += [
            _instruction(_JUMP_IF_EQUAL, number, 0, 6),
            _instruction(_LOAD, _ARGUMENTS + 8 * mode_argument),
            _instruction(_AND, _FILE_TYPE),
            _instruction(_JUMP_IF_EQUAL, _CHARACTER_DEVICE, 1, 0),
            _instruction(_JUMP_IF_EQUAL, _BLOCK_DEVICE, 0, 1),
            _instruction(_RETURN, _PRETEND),
            _instruction(_RETURN, _ALLOW),
        ]
    program.append(_instruction(_RETURN, _ALLOW))
    return b"".join(program)
