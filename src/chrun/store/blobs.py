"""Blobs: files named after their digest (image-spec, image-layout.md)."""

from __future__ import annotations

import hashlib
import os

from chrun.errors import ContentError, StoreError
from chrun.oci.manifest import MAX_DOCUMENT_BYTES
from chrun.store.durable import sync_directory, write_synced
from chrun.store.faults import store_error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from chrun.oci.digest import Digest
    from chrun.store.layout import Layout


def has_blob(layout: Layout, digest: Digest) -> bool:
    """Say whether a blob is there; its name came last, so then it is whole."""
    return os.path.exists(layout.blob_path(digest))


def save_document(layout: Layout, digest: Digest, content: bytes) -> None:
    """Keep a manifest or configuration. A no-op when it is there already.

    ContentError unless the content is what the digest names; StoreError when it cannot be written.
    """
    found = hashlib.new(digest.algorithm, content).hexdigest()
    if found != digest.hex:
        raise ContentError(f"cannot keep {digest}: the content has digest {found}")
    if _holds(layout.blob_path(digest), content):
        return
    scratch_path = f"{layout.partial_path(digest)}.{os.urandom(4).hex()}.document"
    try:
        write_synced(scratch_path, content)
        adopt_blob(layout, digest, scratch_path)
    except OSError as error:
        raise store_error(f"write {layout.blob_path(digest)}", error) from error


def _holds(path: str, content: bytes) -> bool:
    """Say whether a file has this content: a damaged one is written again."""
    try:
        with open(path, "rb") as file:
            return file.read(len(content) + 1) == content
    except OSError:
        return False


def adopt_blob(layout: Layout, digest: Digest, path: str) -> None:
    """Give a synced, verified file the name of its digest."""
    target = layout.blob_path(digest)
    os.rename(path, target)
    sync_directory(os.path.dirname(target))


def load_document(layout: Layout, digest: Digest) -> bytes:
    """Read a manifest or configuration; StoreError when it is not there or not readable."""
    path = layout.blob_path(digest)
    try:
        with open(path, "rb") as file:
            content = file.read(MAX_DOCUMENT_BYTES + 1)
    except OSError as error:
        raise store_error(f"read {path}", error) from error
    if len(content) > MAX_DOCUMENT_BYTES:
        raise StoreError(f"cannot read {path}: more than {MAX_DOCUMENT_BYTES} bytes")
    return content


def is_sound(layout: Layout, digest: Digest) -> bool:
    """Return whether a blob is there and has the bytes that its digest names; OSError."""
    try:
        with open(layout.blob_path(digest), "rb") as file:
            return hashlib.file_digest(file, digest.algorithm).hexdigest() == digest.hex
    except FileNotFoundError:
        return False
