"""Limits from Python: keywords named as the flags, and what ended a container."""

from __future__ import annotations

import subprocess

import pytest

import chrun
from chrun.errors import CommandNotFoundError, UnsupportedError, UsageError
from tests.support.box import unpack_busybox
from tests.support.cgroups import HOG, files
from tests.support.needs import needs

pytestmark = needs("busybox", "overlay")


@pytest.fixture
def rootfs(tmp_path):
    unpack_busybox(tmp_path)
    return str(tmp_path)


@needs("root", "cgroups")
def test_a_container_that_ran_out_of_memory_says_so(root, rootfs):
    done = chrun.run(rootfs, ["sh", "-c", HOG], memory="16m", capture_output=True, root=root)
    assert (done.returncode, done.out_of_memory) == (137, True)
    assert done.stderr == b""  # which is the container's alone


@needs("root", "cgroups")
def test_a_container_that_ended_by_itself_did_not_run_out_of_memory(root, rootfs):
    done = chrun.run(rootfs, ["sh", "-c", "exit 137"], memory=64 << 20, root=root)
    assert (done.returncode, done.out_of_memory) == (137, False)


@needs("root", "cgroups")
def test_limits_are_keywords_named_as_the_flags(root, rootfs):
    path = files("pids.max", "pids.max")
    script = f"cat {path}; ulimit -n; df -k /dev/shm | grep -o ' 2048 ' | head -n 1"
    done = chrun.run(
        rootfs, ["sh", "-c", script], pids_limit=9, cpus=0.5, ulimit=["nofile=50"], shm_size="2m",
        capture_output=True, text=True, root=root,
    )  # fmt: skip
    assert (done.stdout, done.stderr) == ("9\n50\n 2048 \n", "")


@needs("root", "cgroups")
def test_a_limit_does_not_keep_a_failing_start_from_being_told(root, rootfs):
    with pytest.raises(CommandNotFoundError):
        chrun.run(rootfs, ["/no/such"], memory="64m", root=root)


@needs("root", "cgroups")
def test_a_timeout_ends_a_limited_container(root, rootfs):
    with pytest.raises(subprocess.TimeoutExpired):
        chrun.run(rootfs, ["sleep", "1000"], timeout=0.3, memory="64m", root=root)


@pytest.mark.parametrize(
    ("limit", "words"),
    [
        ({"memory": "1k"}, "no less than 6m"),
        ({"memory_swap": "1g"}, "without --memory"),
        ({"cpus": 4000}, "cannot use --cpus 4000"),
        ({"ulimit": ["files=1"]}, "cannot read --ulimit 'files=1'"),
    ],
)
def test_a_limit_that_means_nothing_is_an_error(root, rootfs, limit, words):
    with pytest.raises(UsageError, match=words):
        chrun.run(rootfs, ["true"], root=root, **limit)


@pytest.mark.parametrize("limit", [{"memory": True}, {"cpus": None}, {"ulimit": "nofile=1"}])
def test_a_limit_of_the_wrong_type_is_an_error(root, rootfs, limit):
    with pytest.raises(TypeError):
        chrun.run(rootfs, ["true"], root=root, **limit)


@needs("ordinary user", "cgroups 1")
def test_a_limit_that_cannot_be_had_is_an_error(root, rootfs):
    with pytest.raises(UnsupportedError, match="cannot use --memory"):
        chrun.run(rootfs, ["true"], memory="64m", root=root)
