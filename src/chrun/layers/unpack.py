"""A layer's blob -> a directory and the layer's diff ID."""

from __future__ import annotations

from errno import ENOSPC
from typing import TYPE_CHECKING

from chrun.errors import (
    ContentError,
    StoreError,
    UnsafeLayerError,
    UnsupportedError,
    UnsupportedMediaTypeError,
)
from chrun.layers.compression import decompressed
from chrun.layers.faults import MalformedError, UnmappedError, UnsafeError, shown
from chrun.layers.limits import while_space_lasts
from chrun.layers.stream import Stream
from chrun.layers.tar import entries
from chrun.layers.tree import Tree
from chrun.oci.media_types import LAYERS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from chrun.layers.limits import Limits
    from chrun.layers.owners import Owners
    from chrun.oci.digest import Digest


_MORE_IDS = "ask for more subordinate ids (usermod --add-subuids), or use --userns single"


def unpack_layer(
    what: str,
    chunks: Iterable[bytes],
    directory: str,
    *,
    media_type: str,
    owners: Owners,
    limits: Limits,
) -> Digest:
    """Unpack a layer (image-spec, layer.md) into an empty directory, and give its diff ID.

    `chunks` is read to its end, in a thread of its own, whatever it raises is raised here; `what`
    is how messages call the layer: "layer 3 of redis:7". Nothing is synced, and after an error the
    directory holds a part, which is the caller's to remove.

    UnsupportedMediaTypeError for what is no layer; UnsafeLayerError for one that reaches outside
    itself or beyond the limits; ContentError for damaged bytes; StoreError when the file system
    refuses; UnsupportedError for an owner who is none of the ids that this user has.
    """
    if media_type not in LAYERS:
        raise UnsupportedMediaTypeError(f"cannot unpack {what}: unknown media type {media_type!r}")
    return _unpack(what, chunks, directory, owners, limits, whiteouts=True)


def unpack_archive(
    what: str, chunks: Iterable[bytes], directory: str, *, owners: Owners, limits: Limits
) -> Digest:
    """Unpack a root file system's tar archive, compressed or not, as `unpack_layer` does.

    Names that begin with `.wh.` mean nothing in it.
    """
    return _unpack(what, chunks, directory, owners, limits, whiteouts=False)


def read_diff_id(what: str, chunks: Iterable[bytes], most_bytes: int) -> Digest:
    """Read a layer without unpacking it, and give its diff ID.

    `chunks` is read as `unpack_layer` does. UnsafeLayerError when there are more than `most_bytes`
    of tar, ContentError for damaged bytes.
    """
    with Stream(decompressed(chunks), most_bytes) as stream:
        try:
            return stream.finish()
        except MalformedError as error:
            raise ContentError(f"cannot read {what}: {error}") from error
        except UnsafeError as error:
            raise UnsafeLayerError(f"cannot read {what}: {error}") from error


def _unpack(
    what: str,
    chunks: Iterable[bytes],
    directory: str,
    owners: Owners,
    limits: Limits,
    *,
    whiteouts: bool,
) -> Digest:
    name = b""
    pieces = while_space_lasts(decompressed(chunks), directory)
    with Stream(pieces, limits.tar_bytes) as stream:
        try:
            with Tree(directory, owners, whiteouts=whiteouts) as tree:
                for entry in entries(stream, limits.entries):
                    name = entry.name
                    tree.add(entry, stream)
            return stream.finish()
        except MalformedError as error:
            raise ContentError(f"cannot unpack {what}: {error}") from error
        except UnsafeError as error:
            raise UnsafeLayerError(f"cannot unpack {what}: {error}") from error
        except UnmappedError as error:
            raise UnsupportedError(
                f"cannot unpack {what}: {shown(name)} {error}", hint=_MORE_IDS
            ) from error
        except OSError as error:
            if error is stream.failure:  # not ours: it came with the chunks
                raise
            raise _store_error(what, name, error) from error


def _store_error(what: str, name: bytes, error: OSError) -> StoreError:
    happened = (error.strerror or str(error)).lower()
    hint = ""
    if error.errno == ENOSPC:
        hint = 'free some space, or keep images elsewhere with "--root" or CHRUN_HOME'
    return StoreError(f"cannot unpack {what}: {shown(name)}: {happened}", hint=hint)
