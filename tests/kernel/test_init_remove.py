"""Removing the scratch directory, whatever the container left in it."""

from __future__ import annotations

import os
import subprocess

import pytest

from chrun.runtime.plan import Clone, Plan, RemoveTree
from tests.support.box import run_init
from tests.support.needs import needs

PLAN = Plan(Clone(()), (), None, (RemoveTree("%"),))


@pytest.fixture
def scratch(tmp_path):
    directory = tmp_path / "scratch"
    directory.mkdir()
    return directory


def remove(scratch, *wrapper):
    done = run_init(PLAN, f"scratch={scratch}", wrapper=wrapper)
    assert done.returncode == 0
    return done.stderr


def test_an_empty_directory_is_removed(scratch):
    assert remove(scratch) == ""
    assert not scratch.exists()


def test_a_wide_tree_is_removed(scratch):
    for number in range(1000):
        (scratch / f"{number}").mkdir()
        (scratch / f"{number}" / "file").write_text("x")
    assert remove(scratch) == ""
    assert not scratch.exists()


def test_a_tree_of_5000_levels_is_removed_with_few_descriptors(scratch):
    here = os.open(scratch, os.O_RDONLY)
    for _ in range(5000):
        os.mkdir("d", dir_fd=here)
        deeper = os.open("d", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = deeper
    os.close(here)
    limit = 'ulimit -n 12; ulimit -s 256; exec "$0" "$@"'
    assert remove(scratch, "sh", "-c", limit) == ""
    assert not scratch.exists()


def test_directories_that_look_like_counters_are_no_trouble(scratch):
    for name in ("0", "1", "2", "x/y/0", "x/y/z/1"):
        (scratch / name / "in" / "side").mkdir(parents=True)
    (scratch / "3").write_text("")
    assert remove(scratch) == ""
    assert not scratch.exists()


def test_links_are_removed_and_not_followed(scratch, tmp_path):
    kept = tmp_path / "kept"
    kept.mkdir()
    (kept / "file").write_text("x")
    (scratch / "deep" / "er").mkdir(parents=True)
    for name in ("link", "deep/link", "deep/er/link"):
        (scratch / name).symlink_to(kept)
    (scratch / "dangling").symlink_to("/nonexistent")
    assert remove(scratch) == ""
    assert (kept / "file").read_text() == "x"
    assert not scratch.exists()


def test_a_link_in_the_place_of_the_directory_itself_is_an_error(scratch, tmp_path):
    link = tmp_path / "link"
    link.symlink_to(scratch)
    (scratch / "file").write_text("x")
    assert remove(link) == "chrun: cannot remove the scratch directory: not a directory\n"
    assert (scratch / "file").exists()


def test_directories_of_any_mode_are_removed(scratch):
    for mode in (0o000, 0o111, 0o555, 0o400):
        inside = scratch / f"{mode:o}" / "sub"
        (inside / "deeper").mkdir(parents=True)
        (inside / "file").write_text("x")
        (inside / "deeper").chmod(mode)
        inside.chmod(mode)
        inside.parent.chmod(mode)
    assert remove(scratch) == ""
    assert not scratch.exists()


def test_special_files_and_strange_names_are_removed(scratch):
    os.mkfifo(scratch / "fifo")
    (scratch / "new\nline").write_text("")
    (scratch / ("x" * 255)).mkdir()
    (scratch / ("x" * 255) / ("y" * 255)).mkdir()
    (scratch / os.fsdecode(b"\xff\xfe")).write_text("")
    assert remove(scratch) == ""
    assert not scratch.exists()


@needs("root")
@pytest.mark.parametrize("kind", ["tmpfs", "bind"])
def test_what_is_mounted_below_is_not_entered(scratch, tmp_path, kind):
    kept, target = tmp_path / "kept", scratch / "a" / "b"
    target.mkdir(parents=True)
    kept.mkdir()
    if kind == "bind":
        subprocess.run(["mount", "--bind", kept, target], check=True)
    else:
        subprocess.run(["mount", "-t", "tmpfs", "tmpfs", target], check=True)
    try:
        (target / "file").write_text("x")
        assert remove(scratch).startswith("chrun: cannot remove the scratch directory: ")
        assert (target / "file").read_text() == "x"
    finally:
        subprocess.run(["umount", target], check=True)


def test_only_what_lies_in_the_scratch_directory_is_ever_removed(tmp_path):
    kept = tmp_path / "kept"
    kept.mkdir()
    for path in (str(kept), "%/../kept", "kept", ""):
        done = run_init(
            Plan(Clone(()), (), None, (RemoveTree(path),)), f"scratch={tmp_path}/s", cwd=tmp_path
        )
        assert done.stderr.startswith("chrun: cannot remove the scratch directory: ")
        assert kept.exists()
