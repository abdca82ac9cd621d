"""Running an archive of a root file system: it is unpacked like a layer, once.

`chrun run ./redis.tar.gz` finds the layer again by the archive's inode, size and times, so that the
second start costs no more than an image's.
"""

from __future__ import annotations

import os
import stat

from chrun.errors import ContentError, UsageError
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
    """An unpacked archive: what containers say they stand on, and the directory.

    `image_id` is the digest of the tar. A layer may have the same one, and another content: in an
    archive, names that begin with `.wh.` mean nothing.
    """

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
    link = f"{store.layout.archives_dir}/{_key(status)}"
    try:
        found = _find(store.layout.archived, link) or _unpack(store, path, link, unpack)
    except OSError as error:
        raise store_error(f"unpack {path}", error) from error
    return ArchiveLayer(str(found), store.layout.archived.layer_dir(found))


def _key(status: os.stat_result) -> str:
    """Return what changes when the file does: tools set the time of change, nobody the last one."""
    numbers = (
        status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns
    )  # fmt: skip
    return ".".join(f"{number:x}" for number in numbers)


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

    layout = store.layout.archived
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
            diff_id = (unpack or unpack_here)(path, _chunks(path, os.path.basename(link)), tree, "")
            sync_file_system(tree)
            with store.hold(shared=True):  # between the layer's name and what refers to it
                adopt_layer(layout, diff_id, tree)
                _refer(layout, link, diff_id)
        finally:
            discard(layout, tree)
            empty_trash(layout)
    return diff_id


def _chunks(path: str, key: str) -> Iterator[bytes]:
    """Read the file that has this key; ContentError when it is another one, or changes."""
    with open(path, "rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            yield chunk
        if _key(os.fstat(file.fileno())) != key:
            raise ContentError(f"cannot unpack {path}: it changed meanwhile")


def _refer(layout: Layout, link: str, diff_id: Digest) -> None:
    """Point the link to the layer, also where it pointed to one that is gone."""
    scratch_path = f"{layout.partial_dir}/{os.urandom(8).hex()}.link"
    os.symlink(str(diff_id), scratch_path)
    os.rename(scratch_path, link)
