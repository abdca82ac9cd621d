"""Profiles of docker, podman and the runtime spec, read as those read them."""

from __future__ import annotations

import errno
import json

import pytest

from chrun.errors import ContentError
from chrun.linux import caps
from chrun.linux.seccomp.numbers import known_names
from chrun.oci.seccomp.documents import Situation, read_profile
from chrun.oci.seccomp.profile import (
    ALLOW,
    ERRNO,
    KILL_PROCESS,
    KILL_THREAD,
    LOG,
    TRACE,
    TRAP,
)
from tests.support.bpf import read_plainly

HERE = Situation("x86_64", (6, 1), frozenset({"CAP_CHOWN"}), known_names(), caps.NAMES)
EPERM = ERRNO | errno.EPERM


def read(situation=HERE, **fields):
    fields = {"defaultAction": "SCMP_ACT_ERRNO"} | fields
    return read_profile("profile x", json.dumps(fields).encode(), situation)


def rule(*names, action="SCMP_ACT_ALLOW", **fields):
    return {"names": list(names), "action": action} | fields


def arg(index, op, value, second=0):
    return {"index": index, "op": f"SCMP_CMP_{op}", "value": value, "valueTwo": second}


def answer(profile, name, *arguments):
    return read_plainly(profile, name, arguments)


def refusal(**fields):
    with pytest.raises(ContentError) as caught:
        read(**fields)
    message = str(caught.value)
    assert message.startswith("cannot read profile x")
    assert "\n" not in message
    return message


@pytest.mark.parametrize(
    ("action", "expected"),
    [
        ("KILL", KILL_THREAD),
        ("KILL_THREAD", KILL_THREAD),
        ("KILL_PROCESS", KILL_PROCESS),
        ("TRAP", TRAP),
        ("ERRNO", ERRNO | errno.EPERM),
        ("TRACE", TRACE | errno.EPERM),
        ("LOG", LOG),
        ("ALLOW", ALLOW),
    ],
)
def test_every_action_has_its_answer(action, expected):
    made = read(
        defaultAction="SCMP_ACT_LOG" if action != "LOG" else "SCMP_ACT_ALLOW",
        syscalls=[rule("read", action=f"SCMP_ACT_{action}")],
    )
    assert answer(made, "read") == expected
    assert read(defaultAction=f"SCMP_ACT_{action}").default == expected


def test_an_errno_is_a_number_or_as_podman_writes_it_a_name():
    assert read(defaultErrnoRet=38).default == ERRNO | 38
    assert read(defaultErrno="ENOSYS").default == ERRNO | 38
    assert read(defaultErrnoRet=0).default == ERRNO
    made = read(syscalls=[rule("read", action="SCMP_ACT_ERRNO", errnoRet=22, errno="EINVAL")])
    assert answer(made, "read") == ERRNO | 22


def test_other_abis_are_killed_and_newer_calls_seem_not_to_exist():
    made = read(syscalls=[rule("read")])
    assert (made.foreign, made.unknown) == (KILL_PROCESS, ERRNO | errno.ENOSYS)
    assert read(defaultAction="SCMP_ACT_KILL").unknown == ERRNO | errno.ENOSYS
    listed = read(defaultAction="SCMP_ACT_ALLOW")
    assert (listed.foreign, listed.unknown) == (KILL_PROCESS, ALLOW)


@pytest.mark.parametrize(
    ("op", "value", "second", "fits", "fits_not"),
    [
        ("NE", 5, 0, [4, 6, 5 + (1 << 32)], [5]),
        ("LT", 1 << 33, 0, [0, (1 << 33) - 1], [1 << 33, (1 << 33) + 1]),
        ("LE", 1 << 33, 0, [0, 1 << 33], [(1 << 33) + 1, 1 << 34]),
        ("EQ", 5, 0, [5], [4, 6, 5 + (1 << 32)]),
        ("GE", 5, 0, [5, 6, 1 << 40], [4, 0]),
        ("GT", 5, 0, [6, 1 << 40], [5, 4]),
        ("MASKED_EQ", 0xF0, 0x20, [0x20, 0x2F, 0x120], [0x30, 0]),
    ],
)
def test_every_comparison_is_the_one_of_the_runtime_spec(op, value, second, fits, fits_not):
    made = read(syscalls=[rule("read", args=[arg(1, op, value, second)])])
    assert [answer(made, "read", 0, argument) for argument in fits] == [ALLOW] * len(fits)
    assert [answer(made, "read", 0, argument) for argument in fits_not] == [EPERM] * len(fits_not)


def test_arguments_of_one_rule_must_all_fit_and_rules_of_one_call_are_alternatives():
    made = read(
        syscalls=[
            rule("read", args=[arg(0, "EQ", 1), arg(1, "EQ", 2)]),
            rule("read", args=[arg(0, "EQ", 7)]),
        ]
    )
    assert answer(made, "read", 1, 2) == answer(made, "read", 7, 0) == ALLOW
    assert answer(made, "read", 1, 3) == EPERM


def test_comparisons_of_one_argument_are_alternatives_as_runc_has_them():
    made = read(syscalls=[rule("read", args=[arg(0, "EQ", 1), arg(0, "EQ", 2)])])
    assert [answer(made, "read", word) for word in (1, 2, 3)] == [ALLOW, ALLOW, EPERM]


def test_a_rule_without_arguments_covers_those_with_some_and_the_first_of_several_counts():
    made = read(
        syscalls=[
            rule("read", action="SCMP_ACT_KILL", args=[arg(0, "EQ", 1)]),
            rule("read", action="SCMP_ACT_LOG"),
            rule("read", action="SCMP_ACT_TRAP"),
            rule("write", action="SCMP_ACT_TRAP", args=[arg(0, "GE", 1)]),
            rule("write", action="SCMP_ACT_LOG", args=[arg(0, "GE", 2)]),
        ]
    )
    assert answer(made, "read", 1) == LOG
    assert [answer(made, "write", word) for word in (0, 1, 2)] == [EPERM, TRAP, TRAP]


def test_a_rule_that_says_what_the_default_says_is_as_good_as_none():
    made = read(syscalls=[rule("read", action="SCMP_ACT_ERRNO"), rule("read")])
    assert answer(made, "read") == ALLOW


def test_dockers_old_form_names_one_call_a_rule():
    made = read(syscalls=[{"name": "read", "action": "SCMP_ACT_ALLOW", "args": []}])
    assert answer(made, "read") == ALLOW


@pytest.mark.parametrize(
    ("conditions", "holds"),
    [
        ({"includes": {"caps": ["CAP_CHOWN"]}}, True),
        ({"includes": {"caps": ["CAP_CHOWN", "CAP_SYS_ADMIN"]}}, False),
        ({"excludes": {"caps": ["CAP_CHOWN", "CAP_SYS_ADMIN"]}}, False),
        ({"excludes": {"caps": ["CAP_SYS_ADMIN"]}}, True),
        ({"includes": {"arches": ["amd64", "x32"]}}, True),
        ({"includes": {"arches": ["arm64"]}}, False),
        ({"excludes": {"arches": ["amd64"]}}, False),
        ({"excludes": {"arches": ["s390", "s390x"]}}, True),
        ({"includes": {"minKernel": "4.8"}}, True),
        ({"includes": {"minKernel": "6.1"}}, True),
        ({"includes": {"minKernel": "6.10"}}, False),
        ({"excludes": {"minKernel": "5.19"}}, False),
        ({"includes": {"caps": ["CAP_CHOWN"]}, "excludes": {"minKernel": "7.0"}}, True),
        ({"includes": None, "excludes": {}}, True),
    ],
)
def test_dockers_conditions_say_where_a_rule_holds(conditions, holds):
    made = read(syscalls=[rule("read", **conditions)])
    assert (answer(made, "read") == ALLOW) is holds


def test_a_list_for_all_processors_is_one_for_each():
    arches = [
        {"architecture": "SCMP_ARCH_AARCH64", "subArchitectures": ["SCMP_ARCH_ARM"]},
        {"architecture": "SCMP_ARCH_X86_64", "subArchitectures": ["SCMP_ARCH_X86"]},
    ]
    made = read(archMap=arches, syscalls=[rule("chown32", "socketcall", "read", "newer_than_us")])
    assert answer(made, "read") == ALLOW
    assert made.foreign == KILL_PROCESS  # whatever archMap lists
    assert read(HERE.replace(machine="aarch64"), architectures=["SCMP_ARCH_AARCH64"]).calls == {}


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"defaultAction": None}, "defaultAction is missing"),
        ({"defaultAction": "ALLOW"}, "defaultAction is 'ALLOW': unknown action"),
        ({"defaultAction": "SCMP_ACT_NOTIFY"}, "chrun has no listener"),
        ({"defaultErrnoRet": 4096}, "expected 0 to 4095"),
        ({"defaultErrnoRet": -1}, "expected 0 to 4095"),
        ({"defaultErrnoRet": True}, "expected a int"),
        ({"defaultErrno": "NOTHING"}, "defaultErrno is 'NOTHING'"),
        ({"defaultAction": "SCMP_ACT_ALLOW", "defaultErrnoRet": 1}, "has no errno"),
        ({"syscals": []}, "unknown field 'syscals'"),
        ({"syscalls": {}}, "syscalls is a dict, expected a list"),
        ({"syscalls": ["read"]}, "syscalls holds a str"),
        ({"syscalls": [{"names": ["read"]}]}, "syscalls[0]: action is missing"),
        ({"syscalls": [rule("read", name="read")]}, "both name and names"),
        ({"syscalls": [rule(7)]}, "names holds a int"),
        ({"syscalls": [rule("read", arg=[])]}, "unknown field 'arg'"),
        ({"syscalls": [rule("read", action="SCMP_ACT_NOTIFY")]}, "no listener"),
        ({"syscalls": [rule("read", errnoRet=1)]}, "SCMP_ACT_ALLOW has no errno"),
        ({"syscalls": [rule("read", args=[arg(6, "EQ", 1)])]}, "index is 6, expected 0 to 5"),
        ({"syscalls": [rule("read", args=[arg(0, "EQ", 1 << 64)])]}, "value is 18446744073709551"),
        ({"syscalls": [rule("read", args=[arg(0, "EQ", -1)])]}, "value is -1"),
        ({"syscalls": [rule("read", args=[arg(0, "IS", 1)])]}, "op is 'SCMP_CMP_IS'"),
        ({"syscalls": [rule("read", args=[{"op": "SCMP_CMP_EQ"}])]}, "index is missing"),
        ({"syscalls": [rule("read", args=[arg(0, "EQ", 1) | {"x": 1}])]}, "unknown field 'x'"),
        ({"syscalls": [rule("read", includes={"cap": []})]}, "unknown field 'cap'"),
        ({"syscalls": [rule("read", includes={"arches": ["x86_64"]})]}, "is no architecture"),
        ({"syscalls": [rule("read", excludes={"caps": ["SYS_ADMIN"]})]}, "is no capability"),
        ({"syscalls": [rule("read", includes={"minKernel": "4"})]}, "minKernel is '4'"),
        ({"syscalls": [rule("read", excludes={"minKernel": "4.x"})]}, "minKernel is '4.x'"),
        ({"architectures": ["SCMP_ARCH_ARM"]}, "is for SCMP_ARCH_ARM, this machine is SCMP_ARCH_X"),
        ({"architectures": ["SCMP_ARCH_X86_64"], "archMap": []}, "both architectures and archMap"),
        ({"archMap": [{"arch": "x"}]}, "unknown field 'arch'"),
        ({"listenerPath": "/run/x"}, "listenerPath"),
        ({"flags": ["SECCOMP_FILTER_FLAG_LOG"]}, "SECCOMP_FILTER_FLAG_LOG"),
    ],
)  # fmt: skip
def test_what_it_does_not_understand_is_an_error_that_says_where(fields, words):
    assert words in refusal(**fields)


def test_a_misspelt_refusal_is_an_error_since_it_would_refuse_nothing():
    denied = [rule("chmood", action="SCMP_ACT_ERRNO")]
    assert "no system call 'chmood'" in refusal(defaultAction="SCMP_ACT_ALLOW", syscalls=denied)
    assert answer(read(syscalls=[rule("chmood")]), "chmod") == EPERM


def test_what_holds_elsewhere_only_is_checked_all_the_same():
    broken = rule("read", args=[arg(9, "EQ", 1)], includes={"arches": ["s390x"]})
    assert "index is 9" in refusal(syscalls=[broken])


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b"\xff", b"[" * 100000, b'{"a": NaN}'])
def test_what_is_no_document_is_an_error(content):
    with pytest.raises(ContentError):
        read_profile("profile x", content, HERE)


def test_flags_without_a_meaning_for_a_new_process_are_accepted():
    assert read(flags=["SECCOMP_FILTER_FLAG_TSYNC"], comment="c").default == EPERM
