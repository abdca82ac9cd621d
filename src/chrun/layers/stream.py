"""The tar bytes of a layer, made and hashed in a thread while the caller's thread uses them.

Decompressing and hashing release Python's lock, so two cores share the work. The queue between
the two is short: a slow disk stops the decompressor, and through it the download.
"""

from __future__ import annotations

from hashlib import sha256
from queue import Empty, Queue
from threading import Thread
from typing import TYPE_CHECKING, Self

from chrun.layers.faults import MalformedError, UnsafeError
from chrun.oci.digest import Digest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

_PIECES_AHEAD = 16
_EMPTY = memoryview(b"")


class Stream:
    """Reads bytes forward; used as a context manager, which ends the thread."""

    def __init__(self, pieces: Iterator[bytes], most_bytes: int) -> None:
        self.failure: BaseException | None = None
        self._pieces = _limited(pieces, most_bytes)
        self._hasher = sha256()
        self._queue: Queue[bytes] = Queue(_PIECES_AHEAD)
        self._cancelled = False
        self._thread = Thread(target=self._produce, name="chrun-decompress", daemon=True)
        self._passed = 0  # bytes before the current piece
        self._piece = b""
        self._view = _EMPTY
        self._at = 0
        self._ended = False

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._cancelled = True
        while self._thread.is_alive():
            try:
                self._queue.get(timeout=0.01)
            except Empty:
                continue

    @property
    def position(self) -> int:
        """How many bytes were read."""
        return self._passed + self._at

    def at_end(self) -> bool:
        """Say whether nothing is left to read."""
        return self._at == len(self._piece) and not self._advance()

    def read(self, size: int) -> bytes:
        """Give exactly `size` bytes; MalformedError when there are fewer."""
        end = self._at + size
        if end <= len(self._piece):
            data = self._piece[self._at : end]
            self._at = end
            return data
        parts = bytearray()
        while len(parts) < size:
            parts += self.some(size - len(parts))
        return bytes(parts)

    def some(self, most: int) -> memoryview:
        """Give at least one and at most `most` bytes; MalformedError at the end."""
        if self.at_end():
            raise MalformedError("the tar archive ends too early")
        end = min(self._at + most, len(self._piece))
        data = self._view[self._at : end]
        self._at = end
        return data

    def skip_to(self, position: int) -> None:
        """Pass over everything before `position`; MalformedError when the end comes first."""
        while (missing := position - self.position) > 0:
            self.some(missing)

    def finish(self) -> Digest:
        """Read to the end and give the digest of all bytes: the layer's diff ID."""
        while self._advance():
            pass
        return Digest("sha256", self._hasher.hexdigest())

    def _advance(self) -> bool:
        if self._ended:
            return False
        self._passed += len(self._piece)
        self._piece = self._queue.get()
        self._view = memoryview(self._piece)
        self._at = 0
        self._ended = not self._piece
        if self._ended and self.failure:
            raise self.failure
        return not self._ended

    def _produce(self) -> None:
        try:
            for piece in self._pieces:
                self._hasher.update(piece)
                self._queue.put(piece)
                if self._cancelled:
                    return
        except BaseException as error:  # noqa: BLE001 - raised again in the reader's thread
            self.failure = error
        self._queue.put(b"")


def _limited(pieces: Iterator[bytes], most_bytes: int) -> Iterator[bytes]:
    size = 0
    for piece in pieces:
        size += len(piece)
        if size > most_bytes:
            raise UnsafeError(f"it unpacks to more than {most_bytes} bytes")
        yield piece
