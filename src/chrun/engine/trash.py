"""Emptying the trash, also of what belongs to subordinate ids."""

from __future__ import annotations

import os

from chrun.errors import StoreError
from chrun.store.removal import try_empty_trash

TYPE_CHECKING = False
if TYPE_CHECKING:
    from chrun.store.layout import Layout


def empty_trash(layout: Layout) -> int:
    """Remove what was discarded and give the bytes of disk space that it took.

    What an ordinary user cannot remove may be his subordinate ids', and is removed in a user
    namespace of theirs. StoreError for what cannot be removed there either.
    """
    freed, stuck = try_empty_trash(layout)
    if not stuck:
        return freed
    from chrun.engine.subordinate import find_subordinate

    found = find_subordinate(layout)
    if os.geteuid() == 0 or not found.maps.uids:
        raise StoreError(f"cannot remove {stuck}", hint=found.hint)
    from chrun.engine.inside import Inside

    return freed + Inside(layout, found.maps, found.programs).empty_trash()
