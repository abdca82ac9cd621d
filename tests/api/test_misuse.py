"""What callers of chrun.run get wrong: told before anything runs, and nothing is left of it."""

from __future__ import annotations

import os
import subprocess

import pytest

import chrun
from chrun.errors import UsageError
from tests.support import images
from tests.support.needs import needs
from tests.support.registry import FakeRegistry

pytestmark = needs("busybox", "overlay")


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return str(tmp_path_factory.mktemp("misuse") / "data")


@pytest.fixture(scope="module")
def box(root):
    with FakeRegistry() as registry:
        registry.add(images.busybox(), "busybox", "latest")
        return chrun.pull(f"{registry.host}/busybox", root=root).reference


@pytest.fixture(autouse=True)
def nothing_left(root, box):
    yield
    assert os.listdir(f"{root}/containers") == []


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"isolation": "confnied"}, UsageError, "isolation 'confnied': expected auto, chroot"),
        ({"pull": "nevr"}, UsageError, "pull 'nevr': expected missing"),
        ({"read_only": True}, TypeError, "unexpected keyword argument 'read_only'"),
        ({"cap_add": "chown"}, TypeError, "cap_add must be a sequence of strings"),
        ({"cap_add": ["chwon"]}, UsageError, "cannot find the capability 'chwon'"),
        ({"network": "bridge"}, UsageError, "cannot read --network 'bridge'"),
        ({"env": {"A=B": "x"}}, UsageError, "cannot set variable 'A=B'"),
        ({"env": {"": "x"}}, UsageError, "cannot set variable ''"),
        ({"env": {"A": "x\0y"}}, UsageError, "NUL"),
        ({"working_dir": "/a\0b"}, UsageError, "NUL"),
        ({"hostname": "a\n10.0.0.1 bank.example"}, UsageError, "cannot set host name"),
        ({"volumes": "/tmp:/x"}, TypeError, "volumes must be a sequence of strings"),
        ({"entrypoint": "echo"}, TypeError, "entrypoint must be a sequence of strings"),
        ({"input": b"x", "stdin": subprocess.DEVNULL}, ValueError, "stdin and input"),
        ({"capture_output": True, "stdout": subprocess.DEVNULL}, ValueError, "capture_output"),
    ],
)
def test_a_wrong_option_is_an_error_that_names_it(root, box, options, error, text):
    with pytest.raises(error, match=text):
        chrun.run(box, ["true"], root=root, **options)


@pytest.mark.parametrize("args", ["echo hi", ["sleep", 5], [b"true"]])
def test_arguments_are_a_sequence_of_strings(root, box, args):
    with pytest.raises(TypeError, match="args must be a sequence of strings"):
        chrun.run(box, args, root=root)


def test_an_argument_with_a_nul_character_is_an_error(root, box):
    with pytest.raises(UsageError, match="has a NUL character in it"):
        chrun.run(box, ["echo", "a\0b"], root=root)


def test_a_stream_that_is_not_open_leaves_no_container_and_no_descriptor(root, box):
    chrun.run(box, ["true"], root=root)
    before = os.listdir("/proc/self/fd")
    with pytest.raises(OSError, match="Bad file descriptor"):
        chrun.run(box, ["true"], root=root, stdout=12345)
    assert os.listdir("/proc/self/fd") == before


def test_a_timeout_names_the_callers_command(root, box):
    with pytest.raises(subprocess.TimeoutExpired) as caught:
        chrun.run(box, ["sleep", "100"], root=root, timeout=0.2)
    assert caught.value.cmd == [box, "sleep", "100"]
