"""What is being fetched or unpacked, and what was left of it by those who were killed.

`partial/NAME` is the beginning of a blob and worth keeping, `partial/NAME.tree` a half unpacked
layer and worth nothing. Both belong to who has the lock of that NAME.
"""

from __future__ import annotations

import os

from chrun.store.faults import store_error
from chrun.store.layout import file_name
from chrun.store.locks import try_hold_file
from chrun.store.removal import discard

TYPE_CHECKING = False
if TYPE_CHECKING:
    from chrun.oci.digest import Digest
    from chrun.store.layout import Layout

_TREE = ".tree"


def tree_dir(layout: Layout, digest: Digest) -> str:
    """Give the directory that a blob is unpacked into before its layer gets its name."""
    return f"{layout.partial_dir}/{file_name(digest)}{_TREE}"


def clear_partial(layout: Layout, *, blobs: bool) -> int:
    """Discard the trees that nobody works on, and with `blobs` the beginnings of blobs, too.

    Gives the bytes that unlinked blobs took; `removal.empty_trash` counts the trees.
    """
    freed = 0
    try:
        for name in os.listdir(layout.partial_dir):
            if blobs or name.endswith(_TREE):
                freed += _clear(layout, name)
    except OSError as error:
        raise store_error(f"clear {layout.partial_dir} up", error) from error
    return freed


def _clear(layout: Layout, name: str) -> int:
    path = f"{layout.partial_dir}/{name}"
    held = try_hold_file(f"{layout.locks_dir}/{name.partition('.')[0]}")
    if held is None:
        return 0
    with held:
        if name.endswith(_TREE):
            discard(layout, path)
            return 0
        try:
            size = os.lstat(path).st_size
            os.unlink(path)
        except FileNotFoundError:  # it was finished just now
            return 0
    return size
