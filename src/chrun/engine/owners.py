"""Unpacking, with the owners that this user can give."""

from __future__ import annotations

import os

from chrun.layers.limits import limits_below
from chrun.layers.owners import Owners
from chrun.layers.unpack import unpack_archive, unpack_layer
from chrun.linux.host import has_all_ids

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from chrun.oci.digest import Digest

    # What it is, its bytes, an empty directory, and a layer's media type or "" for an archive
    Unpack = Callable[[str, Iterable[bytes], str, str], Digest]


def choose_owners() -> Owners:
    """Give files to whom the image names, if this user can."""
    return Owners.IMAGE if os.geteuid() == 0 and has_all_ids() else Owners.CALLER


def unpack_here(what: str, chunks: Iterable[bytes], directory: str, media_type: str) -> Digest:
    """Unpack a layer, or with media type "" an archive, as `layers.unpack` does."""
    owners, limits = choose_owners(), limits_below(directory)
    if not media_type:
        return unpack_archive(what, chunks, directory, owners=owners, limits=limits)
    return unpack_layer(
        what, chunks, directory, media_type=media_type, owners=owners, limits=limits
    )
