"""Profiles written as linux.seccomp: read back, they answer every call the same."""

from __future__ import annotations

import errno
import json

import pytest
from hypothesis import given
from hypothesis import strategies as some

from chrun.errors import UnsupportedError
from chrun.linux import caps
from chrun.linux.caps import NAMES
from chrun.linux.seccomp.numbers import call_numbers, known_names
from chrun.oci.seccomp.default import default_profile
from chrun.oci.seccomp.documents import Situation, read_profile
from chrun.oci.seccomp.export import profile_json
from chrun.oci.seccomp.profile import (
    ALL_BITS,
    ALLOW,
    ERRNO,
    KILL_PROCESS,
    Case,
    Condition,
    Rule,
    make_profile,
)
from tests.support.bpf import read_plainly
from tests.support.profiles import ANSWER, ARGUMENTS, CALL, CONDITION, WORDS

NOT_KNOWN, NOT_ALLOWED = ERRNO | errno.ENOSYS, ERRNO | errno.EPERM
HERE = Situation("x86_64", (6, 1), frozenset(), known_names() | {"newer"}, caps.NAMES)
OWN = {
    "confined": default_profile(()),
    "all capabilities": default_profile(NAMES),
    "sealed": default_profile((), sealed=True),
}


def read_back(profile):
    return read_profile("exported", json.dumps(profile_json(profile)).encode(), HERE)


@pytest.mark.parametrize("profile", OWN.values(), ids=OWN)
def test_chruns_own_filters_mean_the_same_to_other_runtimes(profile):
    again = read_back(profile)
    assert (again.default, again.unknown, again.foreign) == (
        profile.default, profile.unknown, profile.foreign
    )  # fmt: skip
    for name in call_numbers("x86_64"):
        for word in WORDS:
            arguments = [word] * 6
            assert read_plainly(again, name, arguments) == read_plainly(profile, name, arguments)


@pytest.mark.parametrize("profile", OWN.values(), ids=OWN)
def test_an_argument_is_compared_once_a_rule_as_libseccomp_wants_it(profile):
    for entry in profile_json(profile)["syscalls"]:
        indexes = [argument["index"] for argument in entry.get("args", ())]
        assert len(set(indexes)) == len(indexes)


@pytest.mark.parametrize("profile", OWN.values(), ids=OWN)
def test_rules_are_few_enough_to_be_read(profile):
    assert len(profile_json(profile)["syscalls"]) < 250


# One condition on one call with another before it takes up to 64 x 64 rules: more is for nobody
SHORT_RULE = some.builds(
    Rule,
    some.tuples(CALL),
    some.builds(Case, ANSWER, some.lists(CONDITION, max_size=1).map(tuple)),
)
SHORT_PROFILE = some.builds(
    make_profile, some.lists(SHORT_RULE, max_size=4), ANSWER, ANSWER, ANSWER
)


@given(SHORT_PROFILE, ARGUMENTS)
def test_any_profile_can_be_written_and_read_back(profile, arguments):
    """But for the words on calls that nobody knows, which the runtime spec has none for."""
    again = read_back(profile)
    for name in profile.calls:
        assert read_plainly(again, name, arguments) == read_plainly(profile, name, arguments)
    assert again.default == profile.default


def test_more_rules_than_anybody_reads_are_an_error():
    conditions = tuple(Condition(index, "!=", 0, ALL_BITS >> 1) for index in range(3))
    profile = make_profile(
        [Rule(("read",), Case(ALLOW, conditions))], NOT_ALLOWED, NOT_KNOWN, KILL_PROCESS
    )
    with pytest.raises(UnsupportedError, match="cannot write the filter of read"):
        profile_json(profile)


def test_a_profile_without_rules_is_its_default():
    assert profile_json(make_profile([], NOT_ALLOWED, NOT_KNOWN, 0)) == {
        "defaultAction": "SCMP_ACT_ERRNO",
        "defaultErrnoRet": 1,
        "syscalls": [],
    }
