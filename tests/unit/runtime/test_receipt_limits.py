"""Which limits of cgroups hold, and whose they are: read from trees of files."""

from __future__ import annotations

import pytest

from chrun.linux.mountinfo import MountEntry
from chrun.runtime.receipt_limits import Bounds, _read_cgroup, read_limits_of, smallest

MIB = 1 << 20


@pytest.fixture
def tree(tmp_path):
    """Make a cgroup tree of files: path to contents by name."""

    def make(groups):
        for path, files in groups.items():
            directory = tmp_path / path.lstrip("/")
            directory.mkdir(parents=True, exist_ok=True)
            for name, content in files.items():
                (directory / name).write_text(f"{content}\n")
        return str(tmp_path)

    return make


def read_v2(top, path, callers="/"):
    mount = MountEntry(top, "cgroup2", ("rw",), "/", ("rw",))
    return _read_cgroup(f"0::{path}", [mount], {"": callers})


def test_the_smallest_limit_up_to_the_mount_holds(tree):
    top = tree(
        {
            "/": {"memory.max": str(64 * MIB)},
            "/a": {"memory.max": "max", "pids.max": "100", "cpu.max": "max 100000"},
            "/a/b": {"memory.max": str(128 * MIB), "pids.max": "max", "cpu.max": "50000 100000"},
        }
    )
    cgroup = read_v2(top, "/a/b")
    assert cgroup.limits == Bounds(64 * MIB, 100, 0.5)
    assert dict(cgroup.files)["cpu.max"] == "50000 100000"
    assert "memory.swap.max" not in dict(cgroup.files)


def test_limits_of_cgroups_that_the_caller_is_in_are_not_the_containers_own(tree):
    top = tree({"/u": {"pids.max": "100"}, "/u/c": {"memory.max": str(MIB)}})
    shared = read_v2(top, "/u/c", callers="/u/c")
    assert (shared.is_own, shared.limits, shared.own_limits) == (
        False,
        Bounds(MIB, 100),
        Bounds(),
    )
    own = read_v2(top, "/u/c", callers="/u/shell")
    assert (own.is_own, own.limits, own.own_limits) == (True, Bounds(MIB, 100), Bounds(MIB))


def test_a_name_that_begins_like_the_callers_is_another_cgroup(tree):
    top = tree({"/u": {}, "/u/chr": {"pids.max": "5"}})
    assert read_v2(top, "/u/chr", callers="/u/chrun-1").own_limits == Bounds(pids=5)


def test_version_1_says_no_limit_by_a_number_or_by_minus_one(tree):
    top = tree(
        {
            "/c": {
                "memory.limit_in_bytes": "9223372036854771712",
                "cpu.cfs_quota_us": "-1",
                "cpu.cfs_period_us": "100000",
            },
            "/d": {
                "memory.limit_in_bytes": str(MIB),
                "cpu.cfs_quota_us": "150000",
                "cpu.cfs_period_us": "100000",
            },
        }
    )
    mount = MountEntry(top, "cgroup", ("rw",), "/", ("rw", "memory", "cpu"))
    callers = {"memory": "/", "cpu": "/"}
    assert _read_cgroup("4:memory,cpu:/c", [mount], callers).limits == Bounds()
    cgroup = _read_cgroup("4:memory,cpu:/d", [mount], callers)
    assert (cgroup.version, cgroup.limits) == (1, Bounds(MIB, None, 1.5))


def test_a_tree_that_is_not_mounted_or_shows_another_part_tells_nothing(tree):
    top = tree({"/c": {"pids.max": "5"}})
    elsewhere = MountEntry(top, "cgroup2", ("rw",), "/other", ("rw",))
    for mounts in ([], [elsewhere]):
        cgroup = _read_cgroup("0::/c", mounts, {"": "/"})
        assert (cgroup.files, cgroup.limits) == ((), Bounds())


def test_a_process_is_in_the_callers_cgroups_unless_somebody_moved_it():
    with open("/proc/self/cgroup") as file:
        cgroups = read_limits_of(file.read())
    assert not any(cgroup.is_own for cgroup in cgroups)
    assert smallest([cgroup.own_limits for cgroup in cgroups]) == Bounds()


def test_the_smallest_of_nothing_is_no_limit():
    assert smallest([]) == Bounds()
    assert smallest([Bounds(2, None, 1.0), Bounds(1, 7, None)]) == Bounds(1, 7, 1.0)
