"""Mounts that cannot be: both sides are named, and what could be instead."""

from __future__ import annotations

import pytest

from tests.support.needs import needs

pytestmark = needs("busybox", "overlay")

OVER_A_DIRECTORY = "a file goes on a file, but the container has a directory there"
OVER_A_FILE = "a directory goes on a directory, but the container has a file there"


@pytest.mark.parametrize(("options", "verb"), [("", "bind {0} to"), (":rro", "mount {0} on")])
def test_a_file_does_not_go_over_a_directory(chrun, box, tmp_path, options, verb):
    file = tmp_path / "file"
    file.touch()
    done = chrun("run", "-v", f"{file}:/etc{options}", box, "true", status=125)
    said, hint = done.stderr.splitlines()
    assert said == f"chrun: cannot {verb.format(file)} /etc: {OVER_A_DIRECTORY}"
    assert hint == "hint: write the file's name behind the directory"


@pytest.mark.parametrize(
    ("options", "verb"),
    [("", "bind {0} to"), (":rro", "mount {0} on"), (":O", "bind an overlay of {0} to")],
)
def test_a_directory_does_not_go_over_a_file(chrun, box, tmp_path, options, verb):
    done = chrun("run", "-v", f"{tmp_path}:/etc/passwd{options}", box, "true", status=125)
    said = f"chrun: cannot {verb.format(tmp_path)} /etc/passwd: {OVER_A_FILE}\n"
    assert done.stderr == said


@needs("root")
def test_the_same_is_said_of_a_mount_that_the_monitor_gives(chrun, box, tmp_path):
    words = ["--userns", "auto", "-v", f"{tmp_path}:/etc/passwd"]
    done = chrun("run", *words, box, "true", status=125)
    assert done.stderr == f"chrun: cannot give {tmp_path} to /etc/passwd: {OVER_A_FILE}\n"


def test_the_same_is_said_of_an_image(chrun, box):
    words = ["--mount", f"type=image,source={box},target=/etc/passwd"]
    done = chrun("run", *words, box, "true", status=125)
    said = f"chrun: cannot bind the layers of an image to /etc/passwd: {OVER_A_FILE}\n"
    assert done.stderr == said


def test_a_path_through_a_file_is_said_to_be_one(chrun, box, tmp_path):
    done = chrun("run", "-v", f"{tmp_path}:/etc/passwd/x", box, "true", status=125)
    assert "/etc/passwd/x: the container has a file where that path goes through\n" in done.stderr


@needs("ordinary user")
@pytest.mark.parametrize("owner", ["uid=5", "gid=5"])
def test_a_tmpfs_belongs_to_nobody_whom_one_mapped_id_leaves_out(chrun, box, owner):
    words = ["-q", "--userns", "single", "--tmpfs", f"/x:{owner}"]
    said, hint = chrun("run", *words, box, "true", status=125).stderr.splitlines()
    assert said == f"chrun: cannot mount tmpfs on /x with {owner}: only one id is mapped"
    assert hint.startswith(f"hint: without {owner[:3]} it belongs to the container's user")
    assert "--userns subuid" in hint


@needs("ordinary user")
def test_a_tmpfs_can_belong_to_the_one_user_there_is(chrun, box):
    words = ["--userns", "single", "-u", "5:7", "--tmpfs", "/x:uid=5,gid=7"]
    assert chrun("run", *words, box, "stat", "-c", "%u:%g", "/x").stdout == "5:7\n"


@needs("root")
def test_a_tmpfs_belongs_to_an_id_of_the_range_or_to_none(chrun, box):
    show = [box, "stat", "-c", "%u", "/x"]
    assert chrun("run", "--userns", "auto", "--tmpfs", "/x:uid=5", *show).stdout == "5\n"
    done = chrun("run", "--userns", "auto", "--tmpfs", "/x:uid=70000", *show, status=125)
    said = "chrun: cannot mount tmpfs on /x with uid=70000: that id is not mapped\n"
    assert done.stderr == said


@needs("ordinary user")
def test_a_user_namespace_has_no_shared_mounts_and_says_so(chrun, box, tmp_path):
    done = chrun("run", "-v", f"{tmp_path}:/v:rshared", box, "true", status=125)
    assert "as rshared: " in done.stderr


def test_a_private_source_cannot_propagate_and_that_is_said(chrun, box, tmp_path):
    done = chrun("run", "-v", f"{tmp_path}:/v:rslave", box, "true", status=None)
    if done.returncode:  # unless the machine's root is shared
        assert "is private" in done.stderr
        assert "hint: mount --make-shared " in done.stderr
