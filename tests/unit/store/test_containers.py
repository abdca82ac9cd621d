"""Containers' directories: made, found, named, and cleared away."""

from __future__ import annotations

import os
import stat
import threading

import pytest

from chrun.errors import ContainerExistsError, StoreError, UsageError
from chrun.store.containers import (
    clear_abandoned,
    create_container,
    list_containers,
    remove_container,
    save_spec,
)
from chrun.store.removal import empty_trash

IMAGE = "sha256:" + "0" * 64


def _end(container):
    os.close(container.lock_fd)


def test_a_container_has_what_an_overlay_needs_whatever_the_umask(layout):
    before = os.umask(0o077)
    try:
        container = create_container(layout, IMAGE)
    finally:
        os.umask(before)
    assert stat.S_IMODE(os.stat(f"{container.directory}/upper").st_mode) == 0o755
    assert stat.S_IMODE(os.stat(f"{container.directory}/work").st_mode) == 0o700
    assert len(container.container_id) == 64
    _end(container)


def test_a_container_that_writes_to_memory_has_nothing_to_write_to_on_disk(layout):
    container = create_container(layout, IMAGE, overlay=False)
    assert os.listdir(container.directory) == ["image"]
    _end(container)


def test_a_running_container_is_listed_and_stays(layout):
    container = create_container(layout, IMAGE, name="web")
    (listed,) = list_containers(layout)
    assert (listed.container_id, listed.name) == (container.container_id, "web")
    assert (listed.image_id, listed.running, listed.kept) == (IMAGE, True, False)
    assert clear_abandoned(layout) == 0
    _end(container)


def test_what_nobody_holds_is_cleared_away_with_its_name(layout):
    _end(create_container(layout, IMAGE, name="web"))
    assert list_containers(layout) == ()
    assert clear_abandoned(layout) == 1
    assert os.listdir(layout.containers_dir) == os.listdir(layout.names_dir) == []
    empty_trash(layout)
    assert os.listdir(layout.trash_dir) == []


def test_a_kept_container_stays_when_it_ends(layout):
    container = create_container(layout, IMAGE, name="web", keep=True)
    _end(container)
    (listed,) = list_containers(layout)
    assert (listed.running, listed.kept, listed.name) == (False, True, "web")
    assert clear_abandoned(layout) == 0


def test_a_name_belongs_to_one_container_that_runs_or_is_kept(layout):
    running = create_container(layout, IMAGE, name="web")
    with pytest.raises(ContainerExistsError, match=running.container_id[:12]):
        create_container(layout, IMAGE, name="web")
    _end(running)
    _end(create_container(layout, IMAGE, name="web", keep=True))
    with pytest.raises(ContainerExistsError):
        create_container(layout, IMAGE, name="web")


def test_one_of_many_gets_a_name(layout):
    made, refused = [], []

    def make():
        try:
            made.append(create_container(layout, IMAGE, name="web"))
        except ContainerExistsError as error:
            refused.append(error)

    threads = [threading.Thread(target=make) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(made), len(refused)) == (1, 11)
    assert len(os.listdir(layout.containers_dir)) == 1
    _end(made[0])


@pytest.mark.parametrize("name", ["../x", "a/b", ".x", "-x", "a b", "a\n", "ä", "x" * 129, "."])
def test_a_name_is_no_path_and_no_option(layout, name):
    with pytest.raises(UsageError, match="cannot name a container"):
        create_container(layout, IMAGE, name=name)
    assert os.listdir(layout.containers_dir) == []


def test_a_container_on_a_users_directory_has_no_image(layout):
    container = create_container(layout, "")
    (listed,) = list_containers(layout)
    assert listed.image_id == ""
    _end(container)


def test_a_removed_container_is_gone_and_its_name_is_free(layout):
    container = create_container(layout, IMAGE, name="web", keep=True)
    save_spec(container, {"ociVersion": "1.2.0"})
    remove_container(layout, container)
    empty_trash(layout)
    assert os.listdir(layout.containers_dir) == os.listdir(layout.trash_dir) == []
    _end(create_container(layout, IMAGE, name="web"))


def test_makers_and_clearers_at_once_never_harm_each_other(layout):
    """A directory is there for a moment before it is locked: its maker has to notice a thief."""
    done = threading.Event()

    def clear():
        while not done.is_set():
            clear_abandoned(layout)

    clearer = threading.Thread(target=clear)
    clearer.start()
    containers = [create_container(layout, IMAGE) for _ in range(300)]
    done.set()
    clearer.join()
    assert all(os.path.isdir(f"{container.directory}/upper") for container in containers)
    assert len(list_containers(layout)) == 300
    for container in containers:
        _end(container)


@pytest.mark.parametrize("name", ["", "web"])
def test_a_container_that_cannot_be_finished_leaves_neither_lock_nor_directory(layout, name):
    before = os.listdir("/proc/self/fd")
    with pytest.raises(StoreError, match=r"cannot make a container in .*: file name too long"):
        create_container(layout, "x" * 5000, name=name)
    assert os.listdir("/proc/self/fd") == before
    assert os.listdir(layout.containers_dir) == os.listdir(layout.names_dir) == []


def test_a_directory_that_cannot_be_made_is_one_line(layout):
    os.rmdir(layout.containers_dir)
    with pytest.raises(StoreError, match=r"cannot make a container in .*: no such file"):
        create_container(layout, IMAGE)
