"""Removing trees that others have made."""

from __future__ import annotations

import os
import subprocess
import threading

import pytest

from chrun.errors import StoreError
from chrun.store.layout import Layout
from chrun.store.removal import discard, empty_trash
from tests.support.needs import needs


@pytest.fixture
def victim(tmp_path):
    """A directory beside the store that nothing may touch."""
    (tmp_path / "victim").mkdir()
    (tmp_path / "victim/flag").write_text("untouched")
    yield tmp_path / "victim"
    assert os.listdir(tmp_path / "victim") == ["flag"]
    assert (tmp_path / "victim/flag").read_text() == "untouched"


def test_what_is_discarded_is_out_of_sight_at_once_and_then_gone(layout):
    path = f"{layout.containers_dir}/x"
    os.makedirs(f"{path}/a/b")
    with open(f"{path}/a/file", "wb") as file:
        file.write(b"x" * 100_000)
    discard(layout, path)
    assert os.listdir(layout.containers_dir) == []
    assert empty_trash(layout) >= 100_000
    assert os.listdir(layout.trash_dir) == []


def test_discarding_what_is_not_there_is_harmless(layout):
    discard(layout, f"{layout.containers_dir}/x")
    assert empty_trash(layout) == 0


def test_symlinks_are_removed_and_not_followed(layout, victim):
    path = f"{layout.containers_dir}/x"
    os.makedirs(f"{path}/a")
    os.symlink(victim, f"{path}/out")
    os.symlink(victim / "flag", f"{path}/a/out")
    discard(layout, path)
    discard(layout, path)
    empty_trash(layout)
    assert os.listdir(layout.trash_dir) == []


def test_a_symlink_that_is_discarded_itself_is_not_followed(layout, victim):
    os.symlink(victim, f"{layout.containers_dir}/x")
    discard(layout, f"{layout.containers_dir}/x")
    empty_trash(layout)
    assert os.listdir(layout.trash_dir) == []


def test_no_depth_is_too_deep(layout):
    path = f"{layout.containers_dir}/x"
    os.mkdir(path)
    fd = os.open(path, os.O_RDONLY)
    for _ in range(1200):  # twice as long as any path that the kernel takes, deeper than recursion
        os.mkdir("deeper", dir_fd=fd)
        below = os.open("deeper", os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = below
    os.close(fd)
    discard(layout, path)
    empty_trash(layout)
    assert os.listdir(layout.trash_dir) == []


def test_directories_that_forbid_everything_are_removed_all_the_same(layout):
    path = f"{layout.containers_dir}/x"
    os.makedirs(f"{path}/work/work/deep")
    os.makedirs(f"{path}/readonly/deep")
    for name in ("work/work/deep", "work/work", "readonly/deep", "readonly"):
        os.chmod(f"{path}/{name}", 0o000 if "work" in name else 0o500)
    discard(layout, path)
    empty_trash(layout)
    assert os.listdir(layout.trash_dir) == []


def test_several_may_empty_the_trash_at_once(layout):
    for number in range(40):
        os.makedirs(f"{layout.trash_dir}/{number}/a/b/c")
        for name in range(20):
            open(f"{layout.trash_dir}/{number}/a/{name}", "w").close()
    failures = []

    def empty():
        try:
            empty_trash(layout)
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=empty) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert os.listdir(layout.trash_dir) == []


def test_space_counts_once_for_a_file_with_two_names(layout):
    path = f"{layout.containers_dir}/x"
    os.mkdir(path)
    with open(f"{path}/one", "wb") as file:
        file.write(b"x" * 1_000_000)
    os.link(f"{path}/one", f"{path}/two")
    discard(layout, path)
    assert 1_000_000 <= empty_trash(layout) < 1_100_000


def test_outside_a_store_nothing_is_ever_deleted(tmp_path):
    (tmp_path / "trash").mkdir()
    (tmp_path / "trash/letter").write_text("not chrun's trash")
    with pytest.raises(StoreError, match="it is not a chrun store"):
        empty_trash(Layout(str(tmp_path)))
    assert (tmp_path / "trash/letter").exists()


@needs("root")
def test_a_mount_is_not_entered_and_everything_else_goes(layout, victim):
    path = f"{layout.containers_dir}/x"
    os.makedirs(f"{path}/mounted")
    os.makedirs(f"{path}/other")
    subprocess.run(["mount", "--bind", victim, f"{path}/mounted"], check=True)
    discard(layout, path)
    (kept,) = os.listdir(layout.trash_dir)
    try:
        with pytest.raises(StoreError, match=r"cannot remove .*: device or resource busy"):
            empty_trash(layout)
    finally:
        subprocess.run(["umount", f"{layout.trash_dir}/{kept}/mounted"], check=True)
    empty_trash(layout)
    assert os.listdir(layout.trash_dir) == []
