"""Which capabilities are left."""

from __future__ import annotations

from chrun.oci.capabilities import capability_sets
from chrun.oci.options import SecurityOptions
from chrun.oci.spec import CapabilitySets

BASE = ("CAP_CHOWN", "CAP_KILL")
AVAILABLE = ("CAP_CHOWN", "CAP_KILL", "CAP_NET_RAW", "CAP_SYS_ADMIN")
NOBODY = 65534


def sets(uid: int = 0, add: tuple[str, ...] = (), drop: tuple[str, ...] = ()) -> CapabilitySets:
    options = SecurityOptions(cap_add=add, cap_drop=drop, available=AVAILABLE)
    return capability_sets(options, BASE, uid)


def test_added_ones_come_behind_those_of_the_rung():
    assert sets(add=("CAP_NET_RAW", "CAP_KILL")).effective == (*BASE, "CAP_NET_RAW")


def test_dropped_ones_are_gone_from_every_set():
    only = ("CAP_KILL",)
    assert sets(drop=("CAP_CHOWN",)) == CapabilitySets(only, only, only)


def test_dropping_all_leaves_what_was_added():
    assert sets(add=("CAP_CHOWN",), drop=("ALL",)).bounding == ("CAP_CHOWN",)
    assert sets(drop=("ALL",)) == CapabilitySets()


def test_adding_all_leaves_out_what_was_dropped():
    left = ("CAP_KILL", "CAP_NET_RAW", "CAP_SYS_ADMIN")
    assert set(sets(add=("ALL",), drop=("CAP_CHOWN",)).effective) == set(left)


def test_root_inherits_nothing():
    # CVE-2022-24769: a program with inheritable file capabilities must not gain them from root
    made = sets(add=("ALL",))
    assert (made.inheritable, made.ambient) == ((), ())


def test_another_user_keeps_through_execve_what_was_added_and_nothing_else():
    asked = ("CAP_NET_RAW",)
    assert sets(NOBODY, add=asked) == CapabilitySets((*BASE, *asked), asked, asked, asked, asked)
    assert sets(NOBODY, drop=("CAP_KILL",)) == CapabilitySets(("CAP_CHOWN",))
