"""Where a process is among cgroups, and what is written to their files."""

from __future__ import annotations

import pytest

from chrun.linux.cgroup_files import Limit, limits_of, size_words, weight_of_shares
from chrun.linux.cgroups import own_directory, parse_processors, read_cgroups, read_places
from chrun.linux.mountinfo import MountEntry
from chrun.oci.spec import Resources, Throttle
from tests.support import cgroups

PLACES = "3:cpu,cpuacct:/a\n2:name=systemd:/user.slice\n1:pids:/\n0::/user.slice/x:y\n"


def test_places_are_read_by_controller_and_colons_in_names_stay():
    assert read_places(PLACES) == {
        "cpu": "/a", "cpuacct": "/a", "name=systemd": "/user.slice", "pids": "/",
        "": "/user.slice/x:y",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("root", "place", "directory"),
    [
        ("/", "/", "/cg"),
        ("/", "/user.slice", "/cg/user.slice"),
        ("/docker/1", "/docker/1", "/cg"),
        ("/docker/1", "/docker/1/x", "/cg/x"),
        ("/docker/1", "/docker/12", ""),  # outside of what is mounted
        ("/docker/1", "/", ""),
    ],
)
def test_the_own_directory_lies_below_what_is_mounted(root, place, directory):
    assert own_directory(MountEntry("/cg", "cgroup2", (), root), place) == directory


def test_this_machines_own_cgroups_are_those_that_a_walk_finds():
    found = read_cgroups(Resources(cpus="0"))
    for controller in ("memory", "pids", "cpu", "cpuset"):
        assert bool(found.find_legacy(controller)) == cgroups.has_version_1(controller)
        assert (controller in found.present) == cgroups.has_version_2(controller)


@pytest.mark.parametrize(
    ("text", "numbers"), [("0", {0}), ("0-3,6", {0, 1, 2, 3, 6}), ("1,0", {0, 1})]
)
def test_a_list_of_processors_is_read(text, numbers):
    assert parse_processors(text) == numbers


@pytest.mark.parametrize("text", ["", "-", "1-", "-1", "3-1", "a", "1;2", "+1", "²", "65536"])
def test_a_list_of_processors_that_is_none_is_refused(text):
    with pytest.raises(ValueError):  # noqa: PT011 - int() has words of its own
        parse_processors(text)


def written(resources):
    """Give what is written in version 1 and in version 2, all limits after one another."""
    limits = list(limits_of(resources, "0-1"))
    return (
        [text for limit in limits for text in limit.v1],
        [text for limit in limits for text in limit.v2],
    )


@pytest.mark.parametrize(
    ("resources", "v1", "v2"),
    [
        (
            Resources(memory=64 << 20),
            ["memory.limit_in_bytes=67108864", "?memory.memsw.limit_in_bytes=134217728"],
            ["memory.max=67108864", "?memory.swap.max=67108864"],
        ),
        (
            Resources(memory=64 << 20, swap=64 << 20),
            ["memory.limit_in_bytes=67108864", "memory.memsw.limit_in_bytes=67108864"],
            ["memory.max=67108864", "memory.swap.max=0"],
        ),
        (
            Resources(memory=(64 << 20) + 5, swap=-1),  # the kernel counts pages
            ["memory.limit_in_bytes=67108864"],
            ["memory.max=67108864"],
        ),
        (
            Resources(cpu_quota=5000, cpu_period=20000, cpu_shares=1024),
            ["cpu.cfs_period_us=20000", "cpu.cfs_quota_us=5000", "cpu.shares=1024"],
            ["cpu.max=5000 20000", "cpu.weight=100"],
        ),
        (
            Resources(cpus="0-1", pids=5),
            ["cpuset.mems=0-1", "cpuset.cpus=0-1", "pids.max=5"],
            ["cpuset.cpus=0-1", "pids.max=5"],
        ),
        (
            Resources(blkio_weight=10),
            ["?blkio.weight=10", "?blkio.bfq.weight=10"],
            ["?io.bfq.weight=10", "?io.weight=default 1"],
        ),
        (
            Resources(throttles=(Throttle("rbps", 8, 0, 100), Throttle("wiops", 8, 1, 7))),
            ["blkio.throttle.read_bps_device=8:0 100", "blkio.throttle.write_iops_device=8:1 7"],
            ["io.max=8:0 rbps=100", "io.max=8:1 wiops=7"],
        ),
    ],
)
def test_limits_are_written_in_the_words_of_each_version(resources, v1, v2):
    assert written(resources) == (v1, v2)


def test_the_words_of_a_limit_are_for_people():
    (memory,) = limits_of(Resources(memory=1 << 30, swap=1 << 30), "")
    assert isinstance(memory, Limit)
    assert memory.words == "limit memory to 1 GiB, and swap to 0 bytes"
    assert (memory.flag, memory.amount) == ("--memory", "1 GiB")


@pytest.mark.parametrize(
    ("shares", "weight"), [(2, 1), (512, 59), (1024, 100), (2048, 174), (1 << 18, 10_000)]
)
def test_shares_become_weights_between_the_same_ends(shares, weight):
    assert weight_of_shares(shares) == weight


def test_more_shares_are_never_less_weight():
    weights = [weight_of_shares(shares) for shares in range(2, 1 << 18, 97)]
    assert weights == sorted(weights)


@pytest.mark.parametrize(
    ("size", "words"),
    [(5, "5 bytes"), (4096, "4 KiB"), (64 << 20, "64 MiB"), (1 << 30, "1 GiB"), (0, "0 bytes")],
)
def test_a_size_is_written_in_the_largest_unit_that_keeps_it_whole(size, words):
    assert size_words(size) == words


@pytest.mark.parametrize("line", ["x", "1:", ":", "1", "::"])
def test_lines_of_another_form_name_no_cgroup(line):
    assert read_places(f"{line}\n4:cpu,cpuacct:/a:b\n") | {"": ""} == {
        "cpu": "/a:b",
        "cpuacct": "/a:b",
        "": "",
    }
