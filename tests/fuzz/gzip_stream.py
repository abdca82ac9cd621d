"""Compressed streams in random chunks, valid and damaged: one content for each, or an error.

    python -m tests.fuzz.gzip_stream [SECONDS [SEED]]

gzip streams are compared with what zlib reads of the whole, zstd streams with what the zstd library
reads of the whole.
"""

from __future__ import annotations

import sys
import time
import zlib
from random import Random, SystemRandom
from typing import TYPE_CHECKING

from chrun.layers.compression import decompressed
from chrun.layers.faults import MalformedError

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

if TYPE_CHECKING:
    from collections.abc import Iterator

_GZIP, _ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
_SKIPPABLE = tuple(bytes([first]) + b"\x2a\x4d\x18" for first in range(0x50, 0x60))
_EXTRA, _NAME, _COMMENT, _HEADER_CRC = 4, 8, 16, 2
_GZIP_WINDOW_BITS = 16 + 15
_MOST_TEXT_BYTES = (10, 300, 70_000)
_ERROR = None


def run(seconds: float, seed: int | None = None) -> None:
    """Try streams for so long, at least one; AssertionError names the seed of one that fails."""
    seeds = SystemRandom() if seed is None else Random(seed)
    end = time.monotonic() + seconds
    while True:
        try_one(seeds.getrandbits(48))
        if time.monotonic() >= end:
            return


def try_one(seed: int) -> None:
    """Make the stream of this seed, and read it in two ways."""
    random = Random(seed)
    if random.randrange(4):
        data = _damaged(random, gzip_stream(random))
        expected = _read_by_zlib(data)
    else:
        data = _damaged(random, zstd_stream(random))
        expected = _read_by_zstd(data)
    if not data.startswith((_GZIP, _ZSTD, *_SKIPPABLE)):
        return  # it is plain now, or another format
    found = _read_in_chunks(random, data)
    assert found == expected, f"seed {seed}: {_shown(found)}, expected {_shown(expected)}"


def gzip_stream(random: Random) -> bytes:
    """Make some members, and sometimes padding."""
    members = (_gzip_member(random) for _ in range(random.choice((1, 1, 2, 5))))
    return b"".join(members) + bytes(random.choice((0, 0, 0, 1, 600)))


def gzip_header(random: Random, flags: int) -> bytes:
    """Make a member's header (RFC 1952, section 2.3) with the parts that the flags name."""
    header = b"\x1f\x8b\x08" + bytes([flags]) + random.randbytes(6)
    if flags & _EXTRA:
        extra = random.randbytes(min(_length(random), 0xFFFF))
        header += len(extra).to_bytes(2, "little") + extra
    for flag in (_NAME, _COMMENT):
        if flags & flag:
            header += random.randbytes(_length(random)).replace(b"\0", b"") + b"\0"
    if flags & _HEADER_CRC:
        header += (zlib.crc32(header) & 0xFFFF).to_bytes(2, "little")
    return header


def zstd_stream(random: Random) -> bytes:
    """Make some frames, some of them skippable."""
    return b"".join(_zstd_frame(random) for _ in range(random.choice((1, 2, 5))))


def _gzip_member(random: Random) -> bytes:
    flags = random.choice((0, random.randrange(32), random.randrange(32), random.randrange(256)))
    text, strategy = _text(random), random.choice((zlib.Z_DEFAULT_STRATEGY, zlib.Z_FIXED))
    packer = zlib.compressobj(random.randrange(10), zlib.DEFLATED, -15, 9, strategy)
    deflated = packer.compress(text) + packer.flush()
    trailer = zlib.crc32(text).to_bytes(4, "little") + len(text).to_bytes(4, "little")
    return gzip_header(random, flags) + deflated + trailer


def _zstd_frame(random: Random) -> bytes:
    if not random.randrange(3):
        hidden = random.randbytes(_length(random))
        return random.choice(_SKIPPABLE) + len(hidden).to_bytes(4, "little") + hidden
    options = {
        zstd.CompressionParameter.checksum_flag: random.randrange(2),
        zstd.CompressionParameter.content_size_flag: random.randrange(2),
    }
    return zstd.compress(_text(random), options=options)


def _text(random: Random) -> bytes:
    words = [random.randbytes(random.randrange(1, 9)) for _ in range(5)]
    kinds = (
        lambda: random.randbytes(_length(random)),
        lambda: bytes(random.choice((0, 1, 300_000))),
        lambda: b"".join(random.choices(words, k=random.randrange(2000))),
    )
    return random.choice(kinds)()


def _length(random: Random) -> int:
    return random.randrange(random.choice(_MOST_TEXT_BYTES))


def _damaged(random: Random, data: bytes) -> bytes:
    """Damage a stream, or leave it as it is."""
    near = random.choice((16, 200, len(data)))
    at = random.randrange(min(near, len(data)))
    kinds = (
        lambda: data,
        lambda: data[:at] + bytes([data[at] ^ 1 << random.randrange(8)]) + data[at + 1 :],
        lambda: data[:at] + data[at + 1 :],
        lambda: data[: len(data) - at],
        lambda: data + random.randbytes(1 + at % 30),
        lambda: data + bytes(5) + data,
    )
    return random.choice(kinds)()


def _read_in_chunks(random: Random, data: bytes) -> bytes | None:
    try:
        return b"".join(decompressed(_cut(random, data)))
    except MalformedError:
        return _ERROR


def _cut(random: Random, data: bytes) -> Iterator[bytes]:
    most = random.choice((1, 3, 30, 1000, 70_000))
    if most * 20_000 < len(data):
        most = 70_000
    at = 0
    while at < len(data):
        size = random.randrange(most + 1)
        yield data[at : at + size]
        at += size


def _read_by_zlib(data: bytes) -> bytes | None:
    """Read members one after the other; only NUL bytes may follow them."""
    content = b""
    while data.strip(b"\0"):
        member = zlib.decompressobj(_GZIP_WINDOW_BITS)
        try:
            content += member.decompress(data)
        except zlib.error:
            return _ERROR
        if not member.eof:
            return _ERROR
        data = member.unused_data
    return content


def _read_by_zstd(data: bytes) -> bytes | None:
    try:
        return zstd.decompress(data)
    except zstd.ZstdError:
        return _ERROR


def _shown(content: bytes | None) -> str:
    return "an error" if content is None else f"{len(content)} bytes, {content[:20]!r}..."


if __name__ == "__main__":
    words = sys.argv[1:]
    run(float(words[0]) if words else 60, int(words[1]) if len(words) > 1 else None)
