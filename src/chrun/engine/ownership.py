"""Files with the owners that a container's users need: who unpacks them, and who copies them."""

from __future__ import annotations

from chrun.rootfs.copy import copy_layers

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from chrun.engine.owners import Unpack
    from chrun.engine.users import Users
    from chrun.store.layout import Layout


def unpacker_for(users: Users, layout: Layout) -> Unpack:
    """Give what unpacks layers for the room that these users have."""
    if users.kind == "subuid":
        from chrun.engine.inside import Inside

        return Inside(layout, users.maps, users.programs).unpack
    from chrun.engine.owners import unpack_here

    return unpack_here


def copy_subtree_for(
    users: Users, layout: Layout, layers: Sequence[str], path: str, target: str
) -> bool:
    """Copy what layers show at a path into a new directory, for a volume that these users have.

    False where they show no directory; RootfsError.
    """
    if users.kind == "subuid":
        from chrun.engine.inside import Inside

        return Inside(layout, users.maps, users.programs).copy_subtree(layers, path, target)
    from chrun.rootfs.subtree import copy_subtree

    return copy_subtree(layers, path, target)


def copy_for(users: Users, layout: Layout, layers: Sequence[str], root: str) -> None:
    """Copy layers over one another into a new directory, for these users; RootfsError."""
    if users.kind == "subuid":
        from chrun.engine.inside import Inside

        Inside(layout, users.maps, users.programs).copy_layers(layers, root)
        return
    copy_layers(layers, root)
    if users.kind == "range":
        from chrun.rootfs.shift import shift_owners

        shift_owners(root, users.maps.uids[0].host_id, users.maps.gids[0].host_id)
