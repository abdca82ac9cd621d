"""Unpacking in tests: an archive in memory, a directory, and what came of it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from chrun.layers.limits import Limits
from chrun.layers.owners import Owners
from chrun.layers.unpack import unpack_layer
from chrun.oci.media_types import OCI_LAYER
from tests.support import images

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from chrun.oci.digest import Digest

PLENTY = Limits(1 << 40)


def my_owners() -> Owners:
    """Give what the user who runs the tests can have."""
    return Owners.IMAGE if os.geteuid() == 0 else Owners.CALLER


def unpack(
    archive: bytes | Iterable[bytes] | Mapping[str, images.Entry | str | bytes],
    directory: Path,
    *,
    owners: Owners | None = None,
    limits: Limits = PLENTY,
) -> Digest:
    """Unpack a tar's bytes, chunks or entries as "layer 1" into a directory, made if needed."""
    directory.mkdir(exist_ok=True)
    if hasattr(archive, "items"):
        archive = images.tar(archive)
    chunks = [archive] if isinstance(archive, bytes) else archive
    return unpack_layer(
        "layer 1",
        chunks,
        str(directory),
        media_type=OCI_LAYER,
        owners=owners or my_owners(),
        limits=limits,
    )
