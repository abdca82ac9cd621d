"""Which layer a blob contains: a symlink from the blob's digest to the diff ID that it has.

An image names the blobs of its layers, and apart from them the diff IDs. That the two belong
together is proved by reading the blob; without a proof, an image could name the diff ID of another
image's layer beside any blob, and show that image's files. A proof stays true whatever is removed,
and goes with the blob all the same.
"""

from __future__ import annotations

import os

from chrun.oci.digest import Digest
from chrun.store.access import make_directory
from chrun.store.blobs import has_blob
from chrun.store.durable import sync_directory

TYPE_CHECKING = False
if TYPE_CHECKING:
    from chrun.store.layout import Layout


def has_content(layout: Layout, blob: Digest, diff_id: Digest) -> bool:
    """Return whether a blob is known to contain the layer of this diff ID."""
    try:
        return os.readlink(layout.content_path(blob)) == str(diff_id)
    except OSError:  # none, or damaged: then the blob is read again
        return False


def note_content(layout: Layout, blob: Digest, diff_id: Digest) -> None:
    """Remember what a blob contains; OSError. The caller has read it, and compared both digests."""
    make_directory(layout.contents_dir)
    scratch_path = f"{layout.partial_path(blob)}.{os.urandom(4).hex()}.content"
    os.symlink(str(diff_id), scratch_path)
    os.rename(scratch_path, layout.content_path(blob))
    sync_directory(layout.contents_dir)


def forget_contents(layout: Layout) -> None:
    """Remove what is remembered of blobs that are gone; OSError."""
    try:
        names = os.listdir(layout.contents_dir)
    except FileNotFoundError:
        return
    for name in names:
        if not has_blob(layout, Digest.parse(name.replace("-", ":"))):
            os.unlink(f"{layout.contents_dir}/{name}")
