"""Which devices are allowed, in the words of the runtime specification."""

from __future__ import annotations

from chrun.oci.device_rules import Rule, rules_for, rules_json
from chrun.oci.spec import Device


def test_a_device_that_all_have_is_for_what_it_was_given_for():
    null = Device("/dev/null", "c", 1, 3, 0o666, "/dev/null", "r")
    assert [str(rule) for rule in rules_for((null,)) if rule.minor == 3] == ["c 1:3 r"]
    assert "c 1:3 rwm" in map(str, rules_for(()))


def test_rules_allow_what_is_denied_before():
    assert rules_json((Rule("c", 136, -1, "rwm"), Rule("b", 8, 0, "r"))) == [
        {"allow": False, "access": "rwm"},
        {"allow": True, "type": "c", "major": 136, "access": "rwm"},
        {"allow": True, "type": "b", "major": 8, "minor": 0, "access": "r"},
    ]


def test_without_rules_a_runtime_is_told_to_make_none_of_its_own():
    assert rules_json(()) == [{"allow": True, "access": "rwm"}]
