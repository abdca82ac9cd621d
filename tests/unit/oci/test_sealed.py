"""What `sealed` shuts where nothing was asked, and leaves as it was asked."""

from __future__ import annotations

from chrun.oci.options import LimitOptions, NamespaceOptions, RunOptions
from chrun.oci.sealed import seal
from chrun.oci.spec import Resources, Rlimit, SpecMount


def test_what_nobody_asked_for_is_shut():
    sealed = seal(RunOptions())
    assert sealed.readonly
    assert sealed.namespaces.network == "none"
    assert [mount.destination for mount in sealed.mounts] == ["/tmp"]
    assert sealed.limits.rlimits == (Rlimit("RLIMIT_CORE", 1, 1),)


def test_memory_tasks_and_time_are_limited_and_swap_is_no_way_round():
    limits = seal(RunOptions()).limits
    assert limits.resources == Resources(memory=1 << 30, swap=1 << 30, pids=256)
    assert limits.timeout_ms == 300_000


def test_what_was_said_to_have_no_limit_has_none():
    limits = seal(RunOptions(limits=LimitOptions(unlimited=("memory", "pids")))).limits
    assert limits.resources == Resources()


def test_what_was_asked_for_stands():
    tmp = SpecMount("/tmp", "bind", "/somewhere", ("rbind",))
    core = Rlimit("RLIMIT_CORE", 5, 5)
    asked = RunOptions(
        mounts=(tmp,),
        namespaces=NamespaceOptions(network="host"),
        limits=LimitOptions(Resources(memory=1 << 21, pids=7), (core,), timeout_ms=5),
    )
    sealed = seal(asked)
    assert sealed.mounts == (tmp,)
    assert sealed.namespaces.network == "host"
    assert sealed.limits.rlimits == (core,)
    assert sealed.limits.resources == Resources(memory=1 << 21, swap=1 << 21, pids=7)
    assert sealed.limits.timeout_ms == 5
