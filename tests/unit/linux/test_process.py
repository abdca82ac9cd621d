"""What /proc says of a process, read into values."""

from __future__ import annotations

import os
import resource
import subprocess

import pytest

from chrun.linux.process import (
    Filters,
    filters_in,
    own_filters,
    parse_id_map,
    parse_interfaces,
    parse_limits,
    parse_stat,
    parse_status,
    read_process,
)
from chrun.oci.spec import IdMapping, Rlimit

STATUS = "Name:\tsh\nUid:\t0\t0\t0\t0\nGroups:\t\nSeccomp:\t2\nSeccomp_filters:\t3\n"
LIMITS = """\
Limit                     Soft Limit           Hard Limit           Units
Max cpu time              unlimited            unlimited            seconds
Max processes             100                  200                  processes
Max nice priority         0                    0
"""
NET_DEV = """\
Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs
    lo:       0       0    0    0    0     0          0         0        0       0    0
  eth0: 1258236    1129    0    0    0     0          0         0    45643     512    0
"""


def test_status_is_read_by_names():
    status = parse_status(STATUS)
    assert status["Uid"].split() == ["0"] * 4
    assert status["Groups"] == ""


def test_a_command_cannot_add_lines_by_its_name():
    assert parse_status("Name:\ta\x0cUid:\t0\nUmask:\t0022\n").keys() == {"Name", "Umask", ""}


def test_filters_are_counted_where_the_kernel_counts_them():
    assert filters_in(parse_status(STATUS)) == Filters("filter", 3)
    assert filters_in(parse_status("Seccomp:\t2\n")) == Filters("filter", None)
    assert filters_in(parse_status("")) == Filters("disabled", None)
    assert own_filters().mode in {"disabled", "filter"}


@pytest.mark.parametrize("name", ["sh", "a b", ") 1 2 3 4 5 (", ")"])
def test_a_command_may_be_called_anything(name):
    assert parse_stat(f"7 ({name}) S 1 7 42 34816 7 4194304 1 2") == (42, 34816)


def test_maps_are_read_line_by_line():
    text = "         0       1000          1\n         1     100000      65536\n"
    assert parse_id_map(text) == (IdMapping(0, 1000, 1), IdMapping(1, 100000, 65536))
    assert parse_id_map("") == ()


def test_limits_are_read_with_and_without_units():
    assert parse_limits(LIMITS) == (
        Rlimit("RLIMIT_CPU", -1, -1),
        Rlimit("RLIMIT_NPROC", 100, 200),
        Rlimit("RLIMIT_NICE", 0, 0),
    )


def test_interfaces_are_named_without_their_columns():
    assert parse_interfaces(NET_DEV) == ("eth0", "lo")
    assert parse_interfaces("") == ()


def _waits(pid):
    with open(f"/proc/{pid}/status", encoding="utf-8") as status:
        return "State:\tS" in status.read()


@pytest.fixture
def sleeping():
    """A process of this one's, in a directory of its own."""
    with subprocess.Popen(["sleep", "100"], cwd="/usr") as process:
        while "sleep" not in os.readlink(f"/proc/{process.pid}/exe"):
            assert process.poll() is None
        while len(os.listdir(f"/proc/{process.pid}/fd")) > 3 or not _waits(process.pid):
            assert process.poll() is None  # its loader still has files open
        yield process
        process.kill()


def test_a_process_without_walls_owns_nothing(sleeping):
    process = read_process(sleeping.pid)
    assert not process.own_root
    assert not any(namespace.own for namespace in process.namespaces)
    assert {namespace.type for namespace in process.namespaces} >= {"pid", "mount", "user"}
    assert process.working_dir == "/usr"
    assert process.uids.all == (os.getuid(),) * 4
    assert process.gids.effective == os.getegid()
    assert process.session == os.getsid(0)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert Rlimit("RLIMIT_NOFILE", soft, hard) in process.limits
    assert [item.number for item in process.descriptors][:3] == [0, 1, 2]
    assert process.mounts


def test_ids_inside_are_those_of_the_map(sleeping):
    process = read_process(sleeping.pid).replace(
        uid_map=(IdMapping(0, 1000, 1), IdMapping(1, 100000, 65536)), gid_map=()
    )
    assert process.inside("uid", 1000) == 0
    assert process.inside("uid", 100001) == 2
    assert process.inside("uid", 165536) is None
    assert process.inside("uid", 5) is None
    assert process.inside("gid", 0) is None


def test_a_process_that_is_gone_is_an_error():
    process = subprocess.Popen(["true"])
    process.wait()
    with pytest.raises((FileNotFoundError, ProcessLookupError)):
        read_process(process.pid)
