"""Limits as words: what is read, and what contradicts itself or the kernel."""

from __future__ import annotations

import os

import pytest

from chrun.engine.limits import parse_duration, parse_limits
from chrun.errors import UsageError
from chrun.oci.options import LimitOptions
from chrun.oci.spec import Resources, Rlimit


def resources(**given: str) -> Resources:
    return parse_limits({name.replace("_", "-"): (text,) for name, text in given.items()}).resources


def test_nothing_asked_is_nothing_limited():
    assert parse_limits({}) == LimitOptions()


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"memory": "64m"}, Resources(memory=64 << 20)),
        ({"memory": "1G", "memory_swap": "2g"}, Resources(memory=1 << 30, swap=2 << 30)),
        ({"memory": "1.5g", "memory_swap": "2.5g"}, Resources(memory=3 << 29, swap=5 << 29)),
        ({"memory": "64m", "memory_swap": "-1"}, Resources(memory=64 << 20, swap=-1)),
        ({"memory": "64m", "memory_swap": "64m"}, Resources(memory=64 << 20, swap=64 << 20)),
        ({"cpus": "1"}, Resources(cpu_quota=100_000, cpu_period=100_000)),
        ({"cpus": "0.015"}, Resources(cpu_quota=1500, cpu_period=100_000)),
        ({"cpus": "0"}, Resources()),
        ({"cpu_quota": "5000", "cpu_period": "20000"}, Resources(cpu_quota=5000, cpu_period=20000)),
        ({"cpu_quota": "-1"}, Resources()),
        ({"cpu_quota": "-1", "cpu_period": "20000"}, Resources()),
        ({"cpu_shares": "1024"}, Resources(cpu_shares=1024)),
        ({"cpuset_cpus": "3,1,0,2,7"}, Resources(cpus="0-3,7")),
        ({"cpuset_cpus": "5"}, Resources(cpus="5")),
        ({"pids_limit": "10"}, Resources(pids=10)),
        ({"pids_limit": "-1"}, Resources()),
        ({"blkio_weight": "500"}, Resources(blkio_weight=500)),
    ],
)
def test_resources_are_read_as_docker_reads_them(given, expected):
    assert resources(**given) == expected


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"memory": "6291455"}, "no less than 6m"),
        ({"memory": "lots"}, "cannot read --memory 'lots': expected a size such as 64m or 1.5g"),
        ({"memory": "-1"}, "cannot read --memory '-1'"),
        ({"memory_swap": "64m"}, "without --memory"),
        ({"memory_swap": "-1"}, "without --memory"),
        ({"memory": "64m", "memory_swap": "63m"}, "and --memory is 64m"),
        ({"cpus": "-1"}, "cannot read --cpus"),
        ({"cpus": "nan"}, "cannot read --cpus"),
        ({"cpus": "0.001"}, "expected 0.01 to"),
        ({"cpus": str((os.cpu_count() or 1) + 0.1)}, "as many as there are here"),
        ({"cpus": "1", "cpu_quota": "5000"}, "they say the same thing"),
        ({"cpus": "1", "cpu_period": "5000"}, "they say the same thing"),
        ({"cpu_quota": "999"}, "expected 1000 to"),
        ({"cpu_period": "1000001"}, "expected 1000 to 1000000"),
        ({"cpu_period": "20000"}, "without --cpu-quota"),
        ({"cpuset_cpus": "0,65536"}, "expected a list"),
        ({"cpu_shares": "1"}, "expected 2 to 262144"),
        ({"cpuset_cpus": ""}, "expected a list"),
        ({"memory": "64m", "memory_swap": ""}, "expected a size"),
        ({"cpuset_cpus": "0-"}, "expected a list such as 0-3,6"),
        ({"cpuset_cpus": "2-1"}, "expected a list"),
        ({"cpuset_cpus": "-1"}, "expected a list"),
        ({"cpuset_cpus": "a"}, "expected a list"),
        ({"pids_limit": "1e3"}, "expected a whole number"),
        ({"pids_limit": "-2"}, "expected 1 to"),
        ({"blkio_weight": "9"}, "expected 10 to 1000"),
        ({"blkio_weight": "1001"}, "expected 10 to 1000"),
        ({"device_read_bps": "sda:1m"}, "expected /dev/DISK:RATE"),
        ({"device_read_bps": "/dev/null:1m"}, "it is no disk"),
        ({"device_read_bps": "/dev/none-such:1m"}, "no such file or directory"),
        ({"shm_size": "0x"}, "cannot read --shm-size"),
    ],
)
def test_what_means_nothing_is_refused(given, words):
    with pytest.raises(UsageError) as caught:
        resources(**given)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("text", "limit"),
    [
        ("nofile=10", Rlimit("RLIMIT_NOFILE", 10, 10)),
        ("nofile=10:20", Rlimit("RLIMIT_NOFILE", 10, 20)),
        ("core=-1", Rlimit("RLIMIT_CORE", -1, -1)),
        ("core=0:-1", Rlimit("RLIMIT_CORE", 0, -1)),
    ],
)
def test_a_resource_limit_is_soft_and_hard(text, limit):
    assert parse_limits({"ulimit": (text,)}).rlimits == (limit,)


def test_of_two_limits_of_one_resource_the_last_counts():
    assert parse_limits({"ulimit": ("core=1", "core=2")}).rlimits == (Rlimit("RLIMIT_CORE", 2, 2),)


@pytest.mark.parametrize(
    "text", ["nofile", "files=1", "nofile=", "nofile=a", "nofile=2:1", "nofile=-1:5", "nofile=-2",
             "nofile=1:2:3", "nofile=99999999999999999999", "NOFILE=1"]
)  # fmt: skip
def test_a_resource_limit_that_is_none_is_refused(text):
    with pytest.raises(UsageError, match="--ulimit"):
        parse_limits({"ulimit": (text,)})


@pytest.mark.parametrize(
    ("text", "milliseconds"),
    [("10s", 10_000), ("10", 10_000), ("5m", 300_000), ("1h", 3_600_000), ("1m30s", 90_000),
     ("250ms", 250), ("0.5s", 500), ("2d", 172_800_000)],
)  # fmt: skip
def test_a_time_is_read(text, milliseconds):
    assert parse_duration(text) == milliseconds


@pytest.mark.parametrize("text", ["", "s", "0", "0s", "-1s", "1x", "1s1", "1..5s", "1e5", "inf"])
def test_a_time_that_is_none_is_refused(text):
    with pytest.raises(UsageError, match="--timeout"):
        parse_duration(text)


@pytest.mark.parametrize("number", ["9" * 5000, "9" * 20, "\xb2", "1e3", "nan", "true"])
@pytest.mark.parametrize(
    "name",
    ["memory", "shm-size", "pids-limit", "cpus", "cpu-quota", "cpu-shares", "cpuset-cpus",
     "timeout", "blkio-weight"],
)  # fmt: skip
def test_a_number_has_an_end(name, number):
    with pytest.raises(UsageError, match=r"^cannot "):
        parse_limits({name: (number,)})


@pytest.mark.parametrize("number", ["9" * 5000, "9" * 20])
def test_a_limit_of_setrlimit_has_64_bits(number):
    with pytest.raises(UsageError, match="cannot read --ulimit"):
        parse_limits({"ulimit": (f"nofile={number}",)})
