"""Opening a data directory."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import threading

import pytest

from chrun.errors import StoreError
from chrun.rootfs.files import machine_files
from chrun.store.store import VERSION, open_store
from tests.support.needs import needs

# What `chrun run` must not pay for: each costs as much as starting a container (design, section 8).
SLOW = {
    "argparse", "contextlib", "dataclasses", "enum", "json", "logging", "pathlib", "re", "shutil",
    "subprocess", "tempfile", "typing",
}  # fmt: skip


def test_a_new_store_is_for_its_user_alone_and_is_an_image_layout(tmp_path):
    store = open_store(str(tmp_path / "a" / "b"), create=True)
    for directory in (store.layout.root, *store.layout.directories):
        assert stat.S_IMODE(os.stat(directory).st_mode) == 0o700
    assert (tmp_path / "a/b/images/oci-layout").read_text() == '{"imageLayoutVersion":"1.0.0"}'


def test_whatever_chrun_mounts_on_lies_below_every_image(tmp_path):
    before = os.umask(0o077)
    try:
        below = open_store(str(tmp_path / "store"), create=True).layout.mount_points_dir
    finally:
        os.umask(before)
    for name in ("proc", "dev", "sys", "etc"):
        assert stat.S_IMODE(os.stat(f"{below}/{name}").st_mode) == 0o755
    for file in machine_files(single_id=True):
        assert os.path.isfile(below + file.target) is not file.optional


def test_opening_a_store_again_changes_nothing(tmp_path):
    root = str(tmp_path / "store")
    open_store(root, create=True)
    before = os.stat(f"{root}/images/oci-layout")
    open_store(root, create=False)
    open_store(root, create=True)
    assert os.stat(f"{root}/images/oci-layout").st_mtime_ns == before.st_mtime_ns


def test_a_store_whose_making_was_interrupted_is_finished(tmp_path):
    (tmp_path / "chrun-store").symlink_to("being made")
    (tmp_path / "images").mkdir(mode=0o700)
    tmp_path.chmod(0o700)
    store = open_store(str(tmp_path), create=True)
    assert all(map(os.path.isdir, store.layout.directories))
    assert os.readlink(store.layout.marker_path) == str(VERSION)


def test_many_may_make_one_store_at_once(tmp_path):
    failures = []

    def make():
        try:
            open_store(str(tmp_path / "store"), create=True)
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=make) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert os.listdir(tmp_path / "store/partial") == []


def test_without_create_a_missing_store_is_an_error(tmp_path):
    with pytest.raises(StoreError, match="there is none"):
        open_store(str(tmp_path / "store"), create=False)
    assert os.listdir(tmp_path) == []


def test_a_directory_of_somebody_elses_files_never_becomes_a_store(tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(StoreError, match="has files that are not chrun's") as caught:
        open_store(str(tmp_path), create=True)
    assert "--root" in caught.value.hint
    assert os.listdir(tmp_path) == ["thesis.tex"]


@pytest.mark.parametrize("version", [VERSION - 1, VERSION + 1])
def test_a_store_of_another_version_is_left_alone(tmp_path, version):
    tmp_path.chmod(0o700)
    (tmp_path / "chrun-store").symlink_to(str(version))
    message = f"it is of version {version}, expected {VERSION}"
    with pytest.raises(StoreError, match=message) as caught:
        open_store(str(tmp_path), create=True)
    assert "another chrun" in caught.value.hint
    assert os.listdir(tmp_path) == ["chrun-store"]


def test_a_store_that_others_can_write_to_is_not_believed(tmp_path):
    root = str(tmp_path / "store")
    open_store(root, create=True)
    os.chmod(root, 0o770)
    with pytest.raises(StoreError, match="users other than uid"):
        open_store(root, create=True)


@needs("root")
def test_a_store_of_another_user_is_not_believed(tmp_path):
    root = str(tmp_path / "store")
    open_store(root, create=True)
    os.chown(root, 12345, 12345)
    with pytest.raises(StoreError, match="it belongs to uid 12345, not to uid 0"):
        open_store(root, create=True)


@needs("ordinary user")
def test_an_unreadable_store_is_one_line_and_a_hint(tmp_path):
    root = str(tmp_path / "store")
    open_store(root, create=True)
    os.chmod(root, 0)
    with pytest.raises(StoreError, match=r"cannot read the store .*: permission denied") as caught:
        open_store(root, create=True)
    os.chmod(root, 0o700)
    assert "CHRUN_HOME" in caught.value.hint


@needs("ordinary user")
def test_a_home_that_cannot_be_written_to_is_one_line_and_a_hint(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(StoreError, match=r"cannot make the store .*: permission denied") as caught:
        open_store(str(tmp_path / "store"), create=True)
    assert "--root" in caught.value.hint


@needs("root")
def test_a_read_only_file_system_is_one_line_and_a_hint(tmp_path):
    subprocess.run(["mount", "-t", "tmpfs", "-o", "ro", "none", tmp_path], check=True)
    try:
        with pytest.raises(StoreError, match="read-only file system") as caught:
            open_store(str(tmp_path / "store"), create=True)
    finally:
        subprocess.run(["umount", tmp_path], check=True)
    assert "CHRUN_HOME" in caught.value.hint


def test_what_a_start_imports_of_the_store_is_quick_to_import():
    modules = "chrun.store.store, chrun.store.containers, chrun.engine.archives"
    command = f"import sys, {modules}; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-I", "-S", "-c", f"import sys; sys.path[:0] = {sys.path!r}; {command}"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert set(loaded.stdout.split()) & SLOW == set()
