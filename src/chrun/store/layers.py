"""Unpacked layers: a directory each, named after its diff ID.

One layer may be in several rooms, by whom its files belong to on the disk. What an archive became
lies in a room of its own: in archives, names that begin with `.wh.` take nothing away.
"""

from __future__ import annotations

import errno
import os

from chrun.store.access import make_directory
from chrun.store.durable import sync_directory
from chrun.store.layout import LAYERS_ROOM
from chrun.store.removal import discard

TYPE_CHECKING = False
if TYPE_CHECKING:
    from chrun.oci.digest import Digest
    from chrun.store.layout import Layout

_TAKEN = (errno.ENOTEMPTY, errno.EEXIST)


def has_layer(layout: Layout, diff_id: Digest) -> bool:
    """Say whether a layer is there; its name came last, so then it is whole."""
    return os.path.isdir(layout.layer_dir(diff_id))


def rooms_of(layout: Layout) -> tuple[Layout, ...]:
    """Give the same store once for each room that it has layers in."""
    names = [LAYERS_ROOM]
    for parent in (layout.owned_dir, layout.archived_dir):
        try:
            names += (f"{os.path.basename(parent)}/{name}" for name in os.listdir(parent))
        except FileNotFoundError:
            continue
    return tuple(layout.replace(room=name) for name in names)


def adopt_layer(layout: Layout, diff_id: Digest, tree_dir: str) -> None:
    """Give a synced tree the name of its diff ID; the same layer may be there by now."""
    if has_layer(layout, diff_id):  # rename(2) would replace an empty one
        discard(layout, tree_dir)
        return
    if layout.room != LAYERS_ROOM:
        make_directory(os.path.dirname(layout.layers_dir))
        make_directory(layout.layers_dir)
    try:
        os.rename(tree_dir, layout.layer_dir(diff_id))
    except OSError as error:
        if error.errno not in _TAKEN:
            raise
        discard(layout, tree_dir)
    sync_directory(layout.layers_dir)
