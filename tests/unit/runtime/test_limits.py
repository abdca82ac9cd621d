"""Where a container's cgroups are made, and what is said where they cannot be."""

from __future__ import annotations

import pytest

from chrun.errors import UnsupportedError, UsageError
from chrun.linux.cgroups import Cgroups, Group, Legacy, Manager
from chrun.linux.host import Host
from chrun.oci.spec import Process, Resources, Rlimit, Spec
from chrun.runtime.limits import (
    Cgroup,
    CgroupNamespace,
    Deadline,
    RemoveCgroups,
    duration_words,
    plan_limits,
)
from chrun.runtime.rlimits import plan_rlimits

USER = Host(1000, 1000, privileged=False, machine="x86_64", release="6.1.0")
ROOT = USER.replace(uid=0, gid=0, privileged=True)
ALL = ("cpuset", "cpu", "io", "memory", "pids")
OWN = Group("/cg/a/b", ALL, (), writable=True, processes=(1, 2))
ABOVE = Group("/cg/a", ALL, (), writable=True, processes=())
UNIFIED = Cgroups(mount_point="/cg", present=ALL, own=OWN, above=ABOVE, processors=frozenset({0}))
MANAGER = Manager(("systemd-run", "--"), ("memory", "pids"))


def spec_of(namespaces=("mount", "pid", "cgroup"), **resources):
    return Spec(Process(("true",)), namespaces=namespaces, resources=Resources(**resources))


def parent(cgroups, host=USER, **resources):
    """Give the directory below which cgroups are made, and the words before chrun-init."""
    limited = plan_limits(spec_of(**resources or {"memory": 1 << 30}), cgroups, host)
    (step,) = {step.parent for step in limited.steps if isinstance(step, Cgroup)}
    return step, limited.wrapper


def test_no_limit_is_no_step():
    assert plan_limits(spec_of(), UNIFIED, USER).steps == ()


def test_each_limit_of_version_1_goes_to_the_tree_of_its_controller():
    cgroups = Cgroups((Legacy(("memory",), "/m", True), Legacy(("cpu", "cpuacct"), "/c", True)))
    limited = plan_limits(spec_of(memory=1 << 30, cpu_quota=5000), cgroups, USER)
    memory, cpu = (step for step in limited.steps if isinstance(step, Cgroup))
    assert (memory.parent, cpu.parent) == ("/m", "/c")
    assert memory.controllers == cpu.controllers == ()
    assert memory.settings[0] == "memory.limit_in_bytes=1073741824"


def test_a_controller_that_version_1_has_not_is_looked_for_in_version_2():
    cgroups = UNIFIED.replace(legacy=(Legacy(("memory",), "/m", True),))
    limited = plan_limits(spec_of(memory=1 << 30, pids=5), cgroups, USER)
    memory, pids = (step for step in limited.steps if isinstance(step, Cgroup))
    assert (memory.parent, pids.parent) == ("/m", "/cg/a")
    assert pids.controllers == ("pids",)


def test_the_cgroup_namespace_comes_behind_the_cgroups_and_the_clone_leaves_it_out():
    limited = plan_limits(spec_of(pids=5), UNIFIED, USER)
    assert [type(step) for step in limited.steps] == [Cgroup, CgroupNamespace]
    assert limited.late == ("cgroup",)
    assert limited.cleanup == (RemoveCgroups(),)


def test_who_shares_the_cgroup_namespace_gets_none():
    limited = plan_limits(spec_of(("mount", "pid"), pids=5), UNIFIED, USER)
    assert [type(step) for step in limited.steps] == [Cgroup]
    assert limited.late == ()


# The nearest cgroup that may be divided


def test_the_root_of_all_cgroups_may_hold_processes_and_be_divided():
    root = Group("/cg", ALL, (), writable=True, processes=(1,), is_root=True)
    assert parent(UNIFIED.replace(own=root, above=None)) == ("/cg", ())


def test_the_cgroup_above_is_taken_where_nothing_is_in_it():
    assert parent(UNIFIED) == ("/cg/a", ())


def test_the_cgroup_above_is_not_taken_where_processes_are_in_it():
    busy = UNIFIED.replace(above=ABOVE.replace(processes=(7,)))
    with pytest.raises(UnsupportedError, match="no cgroup that may be divided"):
        parent(busy)


def test_the_cgroup_above_is_taken_where_it_passes_the_controllers_on_already():
    enabled = UNIFIED.replace(above=ABOVE.replace(enabled=("memory", "pids"), processes=(7,)))
    assert parent(enabled) == ("/cg/a", ())


def test_a_cgroup_of_ones_own_is_divided_where_one_is_alone_in_it():
    alone = UNIFIED.replace(above=None, own=OWN.replace(processes=(1,)))
    assert parent(alone) == ("@/cg", ())


@pytest.mark.parametrize("change", [{"writable": False}, {"controllers": ("pids",)}])
def test_a_cgroup_that_cannot_give_what_is_wanted_is_passed_by(change):
    with pytest.raises(UnsupportedError):
        parent(UNIFIED.replace(above=ABOVE.replace(**change)))


def test_what_is_systemds_own_is_left_alone_and_systemd_is_asked():
    managed = UNIFIED.replace(
        systemd=True,
        manager=MANAGER,
        own=OWN.replace(is_managed=True, processes=(1,)),
        above=ABOVE.replace(is_managed=True),
    )
    assert parent(managed) == ("@/cg", ("systemd-run", "--"))


def test_a_delegated_cgroup_comes_before_systemd():
    assert parent(UNIFIED.replace(systemd=True, manager=MANAGER)) == ("/cg/a", ())


# What cannot be had, and how to get it

NOWHERE = UNIFIED.replace(own=OWN.replace(writable=False), above=None)


@pytest.mark.parametrize(
    ("cgroups", "host", "reason", "hint"),
    [
        (Cgroups(), USER, "no cgroup file system is mounted", "mount -t cgroup2"),
        (
            NOWHERE.replace(present=("pids",)),
            USER,
            "the kernel does not offer the cgroup controller memory",
            "cgroup_enable=memory",
        ),
        (NOWHERE.replace(readonly=True), USER, "/cg is read-only", "the container that chrun"),
        (NOWHERE, USER, "no cgroup that may be divided", "chown -R 1000 /cg/chrun-1000"),
        (NOWHERE.replace(systemd=True), USER, "no cgroup", "loginctl enable-linger 1000"),
        (
            NOWHERE.replace(systemd=True, manager=MANAGER.replace(controllers=("pids",))),
            USER,
            "no cgroup",
            "Delegate=cpu cpuset io memory pids",
        ),
        (NOWHERE.replace(systemd=True), ROOT, "no cgroup", "systemd-run --scope"),
        (
            Cgroups((Legacy(("memory",), "/m", writable=False),)),
            USER,
            "/m is not this user's to change",
            "systemd.unified_cgroup_hierarchy=1",
        ),
        (
            Cgroups((Legacy(("memory",), "/m", writable=False),)),
            ROOT,
            "/m is read-only",
            "cgroups that it may change",
        ),
    ],
)
def test_a_limit_that_cannot_be_had_says_why_and_how_to_get_it(cgroups, host, reason, hint):
    with pytest.raises(UnsupportedError) as caught:
        parent(cgroups, host)
    assert str(caught.value).startswith("cannot use --memory: ")
    assert reason in str(caught.value)
    assert hint in caught.value.hint


def test_processors_that_are_not_there_are_a_mistake():
    with pytest.raises(UsageError, match="may run on processors 0"):
        parent(UNIFIED, cpus="0-1")


def test_weights_that_no_disk_honours_are_refused():
    with pytest.raises(UnsupportedError, match="--blkio-weight"):
        parent(UNIFIED, blkio_weight=100)
    assert parent(UNIFIED.replace(weighs=True), blkio_weight=100) == ("/cg/a", ())


# What is no cgroup's


def test_a_time_limit_needs_no_cgroup():
    spec = Spec(Process(("true",)), timeout_ms=90_000)
    assert plan_limits(spec, Cgroups(), USER).steps == (Deadline(90_000, "90 s"),)


@pytest.mark.parametrize(
    ("milliseconds", "words"),
    [(1500, "1500 ms"), (10_000, "10 s"), (300_000, "5 min"), (7_200_000, "2 h")],
)
def test_a_time_is_written_in_the_largest_unit_that_keeps_it_whole(milliseconds, words):
    assert duration_words(milliseconds) == words


def test_resource_limits_have_the_kernels_numbers():
    process = Process(
        ("true",), rlimits=(Rlimit("RLIMIT_NOFILE", 1, 2), Rlimit("RLIMIT_CORE", 0, -1))
    )
    files, core = plan_rlimits(process)
    assert (files.describe(), core.describe()) == (
        "set the limit NOFILE to 1:2",
        "set the limit CORE to 0:unlimited",
    )
    assert [step.content()[:3] for step in (files, core)] == [(7, 1, 2), (4, 0, (1 << 64) - 1)]
