"""Fetching one layer: registry -> verified bytes -> partial file and tree -> blob and layer.

The bytes are unpacked while they arrive. Those that an earlier attempt left on the disk come
first, through the same checks, so a transfer that broke, or a chrun that was killed, costs only
what had not arrived. Bytes that were refused are removed.

A layer that is there already, by another blob, is believed to be an image's only when the image's
own blob was read and has its diff ID.
"""

from __future__ import annotations

import os
from contextlib import closing
from threading import Lock
from typing import TYPE_CHECKING

from chrun.engine.owners import unpack_here
from chrun.errors import (
    ChrunError,
    ContentError,
    DigestMismatchError,
    RegistryError,
    UnsafeLayerError,
)
from chrun.layers.limits import SpaceWatch, most_tar_bytes
from chrun.layers.unpack import read_diff_id
from chrun.oci.verify import verified
from chrun.store.blobs import adopt_blob, has_blob, is_sound
from chrun.store.contents import has_content, note_content
from chrun.store.durable import sync_file_system
from chrun.store.faults import store_error
from chrun.store.layers import adopt_layer, has_layer
from chrun.store.locks import try_hold_file, wait_hold_file
from chrun.store.partial import tree_dir
from chrun.store.removal import discard
from chrun.values import Value

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator
    from typing import IO, BinaryIO

    from chrun.engine.owners import Unpack
    from chrun.engine.parallel import Cancellation
    from chrun.engine.progress import Part, Progress
    from chrun.oci.digest import Digest
    from chrun.oci.manifest import Descriptor
    from chrun.oci.reference import Reference
    from chrun.registry.client import Registry
    from chrun.store.layout import Layout
    from chrun.store.locks import Hold

_CHUNK_BYTES = 1 << 20
_ATTEMPTS = 5  # in a row that bring next to nothing
_LEAST_PROGRESS_BYTES = 64 << 10  # or a server could break off behind every byte, for ever
_PAUSE_SECONDS = 0.2  # before the first of them, twice as long before each further one
_MOST_REFUSED_BYTES = 64 << 20  # that are read behind bad content, to tell what is wrong with it


class LayerFetch(Value):
    """A layer that an image needs: its blob, and the diff ID that its tar must have."""

    part: Part
    descriptor: Descriptor
    diff_id: Digest


class LayerFetcher:
    """Makes sure that layers are in the store; safe to use from several threads.

    What it made sure of stays, whoever clears the store up, until `release`.
    """

    def __init__(
        self,
        layout: Layout,
        registry: Registry,
        reference: Reference,
        progress: Progress,
        cancellation: Cancellation,
        unpack: Unpack = unpack_here,
    ) -> None:
        self._layout = layout
        self._unpack_into = unpack
        self._registry = registry
        self._reference = reference
        self._progress = progress
        self._cancellation = cancellation
        self._claims: list[Hold] = []
        self._released = False
        self._lock = Lock()

    def release(self) -> None:
        """Let go of the layers: now something else refers to them, or nothing does."""
        with self._lock:
            self._released = True
        for claim in self._claims:
            claim.release()

    def ensure(self, layer: LayerFetch) -> None:
        """Have blob and layer in the store, whole and on the disk. A no-op when they are there.

        Afterwards the blob is known to contain the layer.

        Several may want one layer at once: who finds it missing fetches it alone, the others wait.
        RegistryError, ContentError, or StoreError when it cannot be kept.
        """
        try:
            self._ensure(layer)
        except OSError as error:
            raise store_error(f"store {layer.part}", error) from error

    def _ensure(self, layer: LayerFetch) -> None:
        self._keep_until_release(self._claim(layer, self._layout.layer_lock_path(layer.diff_id)))
        fetched = False
        while True:
            held = self._claim(layer, self._layout.blob_lock_path(layer.descriptor.digest))
            if self._is_here(layer):
                self._keep_until_release(held)
                break
            with held:
                alone = held.upgrade()
                if alone and not self._is_here(layer):
                    self._fetch(layer)
                    fetched = True
            if not alone:
                self._cancellation.sleep(_PAUSE_SECONDS)
        if fetched:
            self._progress.finished(layer.part)
        else:
            self._progress.present(layer.part)

    def _keep_until_release(self, claim: Hold) -> None:
        """Hold on to a claim; a thread that comes too late, because others failed, may not."""
        with self._lock:
            self._claims.append(claim)
            if self._released:
                claim.release()

    def _claim(self, layer: LayerFetch, path: str) -> Hold:
        """Lock a blob or layer against its removal, when nobody makes it at the moment."""
        if held := try_hold_file(path, shared=True):
            return held
        self._progress.waiting(layer.part)
        return wait_hold_file(path, self._cancellation.sleep)

    def _is_here(self, layer: LayerFetch) -> bool:
        blob = layer.descriptor.digest
        return (
            has_blob(self._layout, blob)
            and has_layer(self._layout, layer.diff_id)
            and has_content(self._layout, blob, layer.diff_id)
        )

    def _fetch(self, layer: LayerFetch) -> None:
        """Take a layer in; from nothing, once, when what was here of it is damaged."""
        kept = has_blob(self._layout, layer.descriptor.digest)
        begun = kept or _size(self._layout.partial_path(layer.descriptor.digest)) > 0
        try:
            (self._unpack_kept if kept else self._transfer)(layer)
        except ContentError as error:
            if not begun or has_blob(self._layout, layer.descriptor.digest):
                raise  # nothing was damaged: what is said about the bytes is wrong
            self._progress.resuming(layer.part, str(error))
            self._transfer(layer)
        note_content(self._layout, layer.descriptor.digest, layer.diff_id)

    def _unpack_kept(self, layer: LayerFetch) -> None:
        """Make a layer of the blob that is here. Other images may have it: it is only read.

        It goes when its own bytes are wrong, not when those are not what this image expects.
        """
        path = self._layout.blob_path(layer.descriptor.digest)
        with open(path, "rb", buffering=0) as file:
            self._progress.started(layer.part, _size(path))
            try:
                self._keep(layer, verified(str(layer.part), self._read(file), layer.descriptor))
            except ContentError:
                if not is_sound(self._layout, layer.descriptor.digest):
                    os.unlink(path)
                raise

    def _transfer(self, layer: LayerFetch) -> None:
        """Fetch what the partial file has not yet, and give it the blob's name.

        The file stays, to be resumed, only where the transfer was interrupted.
        """
        path = self._layout.partial_path(layer.descriptor.digest)
        with (
            _open_to_append(path, layer.descriptor.size) as file,
            closing(self._arriving(layer, file)) as arriving,
        ):
            try:
                self._keep(layer, verified(str(layer.part), arriving, layer.descriptor))
            except (ChrunError, OSError) as error:
                if not isinstance(error, RegistryError):
                    os.unlink(path)
                raise
            os.fsync(file.fileno())
        adopt_blob(self._layout, layer.descriptor.digest, path)

    def _keep(self, layer: LayerFetch, chunks: Iterator[bytes]) -> None:
        """Read a blob, and unpack it unless another blob had the same layer in it."""
        what = str(layer.part)
        if has_layer(self._layout, layer.diff_id):
            most_bytes = most_tar_bytes(self._layout.layers_dir)
            self._check(layer, chunks, lambda: read_diff_id(what, chunks, most_bytes))
            return
        tree = tree_dir(self._layout, layer.descriptor.digest)
        discard(self._layout, tree)  # of one who was killed
        os.mkdir(tree, 0o755)
        try:
            media_type = layer.descriptor.media_type
            self._check(layer, chunks, lambda: self._unpack_into(what, chunks, tree, media_type))
            sync_file_system(tree)
            adopt_layer(self._layout, layer.diff_id, tree)
        finally:
            discard(self._layout, tree)  # without effect when it became the layer

    def _check(
        self, layer: LayerFetch, chunks: Iterator[bytes], read: Callable[[], Digest]
    ) -> None:
        """Have a blob's content read, to its end, and compare both digests."""
        try:
            diff_id = read()
        except UnsafeLayerError:
            raise
        except ContentError:
            _check_refused(chunks)
            raise
        for _chunk in chunks:
            continue
        if diff_id != layer.diff_id:
            raise DigestMismatchError(
                f"cannot unpack {layer.part}: its content has diff ID {diff_id}, "
                f"expected {layer.diff_id}"
            )

    def _arriving(self, layer: LayerFetch, file: BinaryIO) -> Generator[bytes]:
        """Give the blob's bytes: those in the file, then the rest, which is written to it."""
        self._progress.started(layer.part, os.fstat(file.fileno()).st_size)
        yield from self._read(file)
        space = SpaceWatch(self._layout.partial_dir)
        failures = 0
        while (start := file.tell()) < layer.descriptor.size:
            try:
                yield from self._transferred(layer, file, space)
            except RegistryError as error:
                failures = 0 if file.tell() - start >= _LEAST_PROGRESS_BYTES else failures + 1
                if not _is_passing(error) or failures >= _ATTEMPTS:
                    raise
                self._progress.resuming(layer.part, str(error))
                self._cancellation.sleep(_PAUSE_SECONDS * 2**failures)

    def _read(self, file: IO[bytes]) -> Iterator[bytes]:
        while chunk := file.read(_CHUNK_BYTES):
            self._cancellation.check()
            yield chunk

    def _transferred(self, layer: LayerFetch, file: BinaryIO, space: SpaceWatch) -> Iterator[bytes]:
        """Give what one request brings, from the end of the file on, and write it there."""
        start = file.tell()
        with self._registry.open_blob(self._reference, layer.descriptor, start) as stream:
            skipped = start - stream.offset  # where the server knows no ranges
            for received in stream:
                self._cancellation.check()
                chunk = received[skipped:]
                skipped = max(0, skipped - len(received))
                space.count(len(chunk))
                _write(file, chunk)
                self._progress.advanced(layer.part, len(chunk))
                if chunk:
                    yield chunk
        if file.tell() == start:
            raise RegistryError(f"cannot fetch {layer.part}: the registry sent no more bytes")


def _open_to_append(path: str, size: int) -> BinaryIO:
    """Open the beginning of a blob; one that is too long is begun again."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    if os.fstat(fd).st_size > size:
        os.ftruncate(fd, 0)
    return os.fdopen(fd, "r+b", buffering=0)


def _write(file: BinaryIO, chunk: bytes) -> None:
    """Write all of it: one system call may take less, as when a disk is all but full."""
    rest = memoryview(chunk)
    while rest:
        rest = rest[file.write(rest) :]


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size
    except FileNotFoundError:
        return 0


def _check_refused(chunks: Iterator[bytes]) -> None:
    """Read on behind content that was refused: DigestMismatchError if these are the wrong bytes.

    Not for long: the registry chooses how many there are.
    """
    left = _MOST_REFUSED_BYTES
    try:
        while left > 0:
            left -= len(next(chunks))
    except (StopIteration, RegistryError, OSError):
        return


def _is_passing(error: RegistryError) -> bool:
    """Say whether an error may pass: a broken transfer, or a server with trouble of its own."""
    return type(error) is RegistryError and (error.status < 400 or error.status >= 500)
