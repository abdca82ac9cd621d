"""Running an archive of a root file system: it becomes a layer, once.

`chrun run ./redis.tar.gz` finds the layer again by the archive's inode, size and times, so that the
second start costs no more than an image's.
"""

from __future__ import annotations

import os
import stat

from chrun.errors import UsageError
from chrun.oci.digest import Digest
from chrun.store.faults import store_error
from chrun.store.layers import adopt_layer, has_layer
from chrun.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from chrun.engine.owners import Unpack
    from chrun.store.layout import Layout
    from chrun.store.store import Store

_CHUNK_BYTES = 1 << 20


class ArchiveLayer(Value):
    """An unpacked archive: what containers say they stand on, and the directory."""

    image_id: str
    directory: str


def open_archive(store: Store, path: str, unpack: Unpack | None = None) -> ArchiveLayer:
    """Have an archive (tar, also compressed) unpacked in the store.

    It stays until `chrun prune`. UsageError when there is no such file, ContentError when it is no
    archive, UnsafeLayerError when it reaches outside itself, StoreError when it cannot be kept.
    """
    try:
        status = os.stat(path)
    except OSError as error:
        raise UsageError(f"cannot open {path}: {(error.strerror or '').lower()}") from error
    if not stat.S_ISREG(status.st_mode):
        raise UsageError(f"cannot open {path}: neither a directory nor an archive")
    key = f"{status.st_dev:x}.{status.st_ino:x}.{status.st_size:x}"
    key += (
        f".{status.st_mtime_ns:x}.{status.st_ctime_ns:x}"  # tools set the first, nobody the other
    )
    link = f"{store.layout.archives_dir}/{key}"
    try:
        found = _find(store.layout, link) or _unpack(store, path, link, unpack)
    except OSError as error:
        raise store_error(f"unpack {path}", error) from error
    return ArchiveLayer(str(found), store.layout.layer_dir(found))


def _find(layout: Layout, link: str) -> Digest | None:
    try:
        diff_id = Digest.parse(os.readlink(link))
    except FileNotFoundError:
        return None
    return diff_id if has_layer(layout, diff_id) else None


def _unpack(store: Store, path: str, link: str, unpack: Unpack | None) -> Digest:
    # most starts need no unpacking
    from chrun.engine.owners import unpack_here
    from chrun.engine.trash import empty_trash
    from chrun.store.durable import sync_file_system
    from chrun.store.locks import try_hold_file, wait_hold_file
    from chrun.store.removal import discard

    layout = store.layout
    name = f"archive-{os.path.basename(link)}".replace(".", "-")
    tree, lock_path = f"{layout.partial_dir}/{name}.tree", f"{layout.locks_dir}/{name}"
    while not (held := try_hold_file(lock_path)):
        wait_hold_file(lock_path).release()  # another chrun unpacks it
        if found := _find(layout, link):
            return found
    with held:
        try:
            discard(layout, tree)  # of one who was killed
            os.mkdir(tree, 0o755)
            diff_id = (unpack or unpack_here)(path, _chunks(path), tree, "")
            sync_file_system(tree)
            with store.hold(shared=True):  # between the layer's name and what refers to it
                adopt_layer(layout, diff_id, tree)
                _refer(layout, link, diff_id)
        finally:
            discard(layout, tree)
            empty_trash(layout)
    return diff_id


def _chunks(path: str) -> Iterator[bytes]:
    with open(path, "rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            yield chunk


def _refer(layout: Layout, link: str, diff_id: Digest) -> None:
    """Point the link to the layer, also where it pointed to one that is gone."""
    scratch_path = f"{layout.partial_dir}/{os.urandom(8).hex()}.link"
    os.symlink(str(diff_id), scratch_path)
    os.rename(scratch_path, link)
