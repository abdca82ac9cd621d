"""A data directory with rooms that are closed or gone: an error in one line, never a traceback."""

from __future__ import annotations

import os
import shutil

import pytest

from chrun.engine.archives import open_archive
from chrun.engine.engine import Engine
from chrun.engine.images import list_images, remove_image
from chrun.engine.progress import Silent
from chrun.engine.prune import prune
from chrun.errors import StoreError
from chrun.store.containers import create_container, list_containers, remove_container
from chrun.store.store import open_store
from tests.support.images import tar
from tests.support.needs import needs

ROOMS = (
    *("images", "images/blobs", "layers", "containers", "names", "archives", "partial", "locks"),
    *("trash", "cache", "cache/images"),
)


@pytest.fixture
def root(tmp_path):
    return open_store(str(tmp_path / "store"), create=True).layout.root


@pytest.fixture
def archive(tmp_path):
    path = tmp_path / "rootfs.tar"
    path.write_bytes(tar({"a": "1"}))
    return str(path)


def _errors(root, archive):
    """Use the store in every way, and give what was said about it."""
    engine = Engine(root, Silent)
    store, said = engine.store, list(engine.notices)

    def start(name):
        remove_container(store.layout, create_container(store.layout, "", name=name))

    for use in (
        lambda: list_images(store),
        lambda: list_containers(store.layout),
        lambda: store.find_image("busybox", "linux/amd64"),
        lambda: remove_image(store, "busybox"),
        lambda: open_archive(store, archive),
        lambda: start(""),
        lambda: start("web"),
        lambda: prune(store),
    ):
        try:
            use()
        except StoreError as error:
            said.append(str(error))
    return said


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_that_is_gone(root, archive, room):
    shutil.rmtree(f"{root}/{room}")
    said = _errors(root, archive)
    assert any("no such file" in line for line in said)
    assert "\n" not in "".join(said)


@needs("ordinary user")
@pytest.mark.parametrize("room", ROOMS)
def test_a_room_that_is_closed(root, archive, room):
    os.chmod(f"{root}/{room}", 0)
    try:
        said = _errors(root, archive)
    finally:
        os.chmod(f"{root}/{room}", 0o700)
    assert any("permission denied" in line for line in said)
    assert "\n" not in "".join(said)
