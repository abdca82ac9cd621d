"""What callers of chrun.run get wrong: told before anything runs, and nothing is left of it."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

import chrun
from chrun import api
from chrun.errors import UsageError
from tests.support.needs import needs

pytestmark = needs("busybox", "overlay")


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
        ({"device_read_bps": ["/dev/\0:1"]}, UsageError, "NUL"),
        ({"volumes": ["/tmp:/\ud800"]}, UsageError, "it is no text"),
        ({"env": {"A": "\ud800"}}, UsageError, "is no text"),
        ({"user": "\0"}, UsageError, "NUL"),
        ({"dns": ["\ud800"]}, UsageError, "it is no text"),
        ({"scratch_bytes": 1 << 63}, UsageError, "the kernel cannot count that far"),
        ({"memory": "9" * 5000}, UsageError, "cannot read --memory"),
        ({"hostname": "a\n10.0.0.1 bank.example"}, UsageError, "cannot set host name"),
        ({"volumes": "/tmp:/x"}, TypeError, "volumes must be a sequence of strings"),
        ({"entrypoint": "echo"}, TypeError, "entrypoint must be a sequence of strings"),
        ({"input": b"x", "stdin": subprocess.DEVNULL}, ValueError, "stdin and input"),
        ({"capture_output": True, "stdout": subprocess.DEVNULL}, ValueError, "capture_output"),
        ({"privileged": "false"}, TypeError, "privileged must be a bool, got 'false'"),
        ({"privileged": 1}, TypeError, "privileged must be a bool, got 1"),
        ({"readonly": "no"}, TypeError, "readonly must be a bool, got 'no'"),
        ({"init": None}, TypeError, "init must be a bool, got None"),
        ({"text": "no"}, TypeError, "text must be a bool, got 'no'"),
        ({"network": 5}, TypeError, "network must be a str, got 5"),
        ({"network": None}, TypeError, "network must be a str, got None"),
        ({"user": 1000}, TypeError, "user must be a str, got 1000"),
        ({"working_dir": b"/tmp"}, TypeError, "working_dir must be a str or an os.PathLike"),
        ({"cap_drop": None}, TypeError, "cap_drop must be a sequence of strings"),
        ({"timeout": "5"}, TypeError, "timeout must be a number of seconds or None, got '5'"),
        ({"scratch_bytes": "5"}, TypeError, "scratch_bytes must be an int, got '5'"),
        ({"scratch_bytes": True}, TypeError, "scratch_bytes must be an int, got True"),
        ({"scratch_bytes": -5}, UsageError, "cannot use scratch_bytes -5"),
        ({"env": ["A=B"]}, TypeError, "env must be a mapping of strings, got list"),
        ({"env": {"A": 5}}, TypeError, "env must be a mapping of strings, got int for 'A'"),
        ({"receipt": ""}, UsageError, "cannot write a receipt: receipt is empty"),
    ],
)
def test_a_wrong_option_is_an_error_that_names_it(root, box, options, error, text):
    with pytest.raises(error, match=text):
        chrun.run(box, ["true"], root=root, **options)


# Streams are subprocess's, which has its own words for what is none
@pytest.mark.parametrize(
    "name", sorted(api.RunOptions.__annotations__.keys() - {"stdin", "stdout", "stderr"})
)
def test_every_keyword_refuses_what_is_of_no_kind_and_is_named(root, box, name):
    with pytest.raises(TypeError, match=f"^{name} must be "):
        chrun.run(box, ["true"], **{"root": root, name: object()})


def test_an_image_is_a_text(root):
    for call in (chrun.run, chrun.pull):
        with pytest.raises(TypeError, match="image must be a str, got 5"):
            call(5, root=root)


def test_an_error_about_a_variable_does_not_show_its_content(root, box):
    with pytest.raises(TypeError) as caught:
        chrun.run(box, ["true"], root=root, env={"TOKEN": b"hunter2"})
    assert "hunter2" not in str(caught.value)


def test_paths_may_be_path_objects(tmp_path, root, box):
    done = chrun.run(
        box,
        ["pwd"],
        root=Path(root),
        working_dir=Path("/tmp"),
        receipt=tmp_path / "receipt",
        capture_output=True,
        text=True,
    )
    assert done.stdout == "/tmp\n"
    assert json.loads((tmp_path / "receipt").read_text())
    assert box in {image.reference for image in chrun.images(root=Path(root))}


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


def test_a_directory_is_no_stream(root, box):
    directory_fd = os.open("/", os.O_RDONLY)
    try:
        with pytest.raises(UsageError, match="a standard stream is a directory"):
            chrun.run(box, ["cat", "/proc/self/fd/0/etc/passwd"], root=root, stdin=directory_fd)
    finally:
        os.close(directory_fd)


def test_a_timeout_names_the_callers_command(root, box):
    with pytest.raises(subprocess.TimeoutExpired) as caught:
        chrun.run(box, ["sleep", "100"], root=root, timeout=0.2)
    assert (caught.value.cmd, caught.value.timeout) == ([box, "sleep", "100"], 0.2)
