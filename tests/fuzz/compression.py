"""Compressed blobs of every kind: damaged, truncated, concatenated, in any pieces."""

from __future__ import annotations

import bz2
import gzip
import lzma
import sys
from typing import TYPE_CHECKING

from chrun.layers.compression import decompressed
from chrun.layers.faults import MalformedError
from tests.fuzz.harness import Quiet, fuzz

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

if TYPE_CHECKING:
    from tests.fuzz.inputs import Draw

_MOST_BYTES = 4 << 20
_PLAIN = [b"", b"x", b"abc" * 100, bytes(300_000)]
_COMPRESSED = [
    compress(content)
    for compress in (gzip.compress, zstd.compress, bz2.compress, lzma.compress)
    for content in _PLAIN
] + [b"\x50\x2a\x4d\x18\x04\x00\x00\x00abcd", b"BZh9", b"\x1f\x8b\x08\x04", b"\xfd7zXZ\0", bytes(9)]


def _stream(draw: Draw) -> list[bytes]:
    """Make a stream of several members, in pieces."""
    members = draw.list(lambda draw: draw.damaged(draw.one(_COMPRESSED)), 3)
    return draw.pieces(b"".join(members) + (draw.token() if draw.chance(4) else b""))


def _decompress(chunks: list[bytes]) -> None:
    size = 0
    with Quiet(MalformedError):
        for piece in decompressed(iter(chunks)):
            size += len(piece)
            assert len(piece) <= max(1 << 18, sum(map(len, chunks)))
            if size > _MOST_BYTES:
                return


def run(seconds: float, seed: int | None = None) -> None:
    """Decompress them, as far as a few megabytes."""
    fuzz(_decompress, _stream, seconds, seed)
