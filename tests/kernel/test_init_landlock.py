"""The Landlock step: what it forbids where every mount would allow it."""

from __future__ import annotations

import pytest

from chrun.runtime.landlock import Landlock
from chrun.runtime.steps import Capabilities, NoNewPrivileges
from tests.support.needs import needs

pytestmark = needs("busybox", "overlay", "landlock")

READ, ALL = 0b1101, (1 << 16) - 1


@pytest.fixture
def restricted(box):
    """Run a script behind rules, path by path; every mount is writable."""

    def run(script, rules, files=ALL):
        step = Landlock(files, 0, 0b11, tuple(rules), tuple(rules.values()))
        return box.run("sh", "-c", script, after=(NoNewPrivileges(), step))

    return run


def test_what_no_rule_allows_to_change_does_not_change(restricted):
    done = restricted("echo lost > /etc/group; echo $?; mkdir /new; echo $?", {"/": READ})
    assert done.stdout == "1\n1\n"
    assert "Permission denied" in done.stderr


def test_a_rule_opens_a_directory_and_what_is_below(restricted):
    script = "mkdir /tmp/a && echo kept > /tmp/a/b && mv /tmp/a/b /tmp/c && cat /tmp/c"
    done = restricted(script, {"/": READ, "/tmp": ALL})
    assert (done.returncode, done.stdout) == (0, "kept\n"), done.stderr


def test_without_a_rule_nothing_can_even_be_executed(restricted):
    done = restricted("true", {})
    assert done.returncode == 126
    assert "permission denied" in done.stderr


def test_a_rule_for_a_file_is_one_for_that_file(restricted):
    script = "echo > /etc/group && echo > /etc/passwd"
    done = restricted(script, {"/": READ, "/etc/group": ALL})
    assert done.returncode == 1
    assert "/etc/passwd" in done.stderr
    assert "/etc/group" not in done.stderr


def test_a_path_that_is_not_there_needs_no_rule(restricted):
    done = restricted("echo fine", {"/": READ, "/no/such": ALL, "/etc/group/below": ALL})
    assert done.stdout == "fine\n"


def test_without_no_new_privs_an_ordinary_process_may_not_restrict_itself(box):
    step = Landlock(ALL, 0, 0, ("/",), (READ,))
    done = box.run("true", after=(Capabilities(0, 0, 0, 0, 0), step))
    assert done.returncode == 125
    assert "cannot forbid with Landlock to change files: operation not permitted" in done.stderr


def test_rights_that_this_kernel_does_not_know_are_left_out(restricted):
    done = restricted("echo fine", {"/": (1 << 40) - 1}, files=(1 << 40) - 1)
    assert done.stdout == "fine\n"
