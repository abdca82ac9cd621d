"""Clearing up: what no image, container or lock holds goes."""

from __future__ import annotations

from chrun.engine.engine import release
from chrun.engine.trash import empty_trash
from chrun.store.containers import clear_abandoned
from chrun.store.gc import collect
from chrun.store.partial import clear_partial
from chrun.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from chrun.oci.digest import Digest
    from chrun.store.store import Store


class Pruned(Value):
    """What went: abandoned containers, blobs and layers; and the bytes of disk space they took."""

    containers: int
    blobs: tuple[Digest, ...]
    layers: tuple[Digest, ...]
    size: int


def prune(store: Store) -> Pruned:
    """Remove what nothing refers to: also unpacked archives, and what pulls had left to resume.

    StoreError when something cannot be removed; everything else is gone then.
    """
    layout = store.layout
    with store.hold(shared=False):
        containers = clear_abandoned(layout, release)
        freed = clear_partial(layout, blobs=True)
        collected = collect(layout, archives=True)
    freed += collected.size + empty_trash(layout)
    return Pruned(containers, collected.blobs, collected.layers, freed)
