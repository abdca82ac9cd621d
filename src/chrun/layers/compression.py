"""Compressed blob -> tar bytes, as they arrive and in pieces of bounded size.

What decides is the magic number that the bytes begin with: registries serve gzip called plain and
zstd called gzip. Concatenated members and frames are one stream. Whatever the programs gzip, zstd,
xz and tar may read differently is an error, so that a blob has one content for everybody who reads
it: bytes behind the last member, a member behind padding, a tar archive that is also gzip data.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Protocol, cast

from chrun.layers.faults import MalformedError
from chrun.layers.tar import BLOCK_BYTES, is_header
from chrun.values import Value

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

# The most that one piece of output holds: a megabyte of zeros is a kilobyte of gzip.
_PIECE_BYTES = 256 << 10
_FED_BYTES = 256 << 10  # the most that a member is given at once

# What the zstd and xz programs accept without being told to use more memory.
_ZSTD_WINDOW_LOG = 27
_XZ_MEMORY_BYTES = 128 << 20

_GZIP_WINDOW_BITS = 16 + 15  # inflateInit2 in zlib.h: with a gzip header, a window of 32 KiB


class _Member(Protocol):
    """One gzip member, zstd frame, xz or bzip2 stream: the interface that their modules share."""

    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int, /) -> bytes: ...


class _Codec(Value):
    """How to begin a member, and what its module raises at bad bytes.

    The bytes may end with NUL bytes, as many as a multiple of `padding`; 0 means that they may not.
    """

    name: str
    begin: Callable[[], _Member]
    error: type[Exception]
    padding: int


class _Inflater(Protocol):
    """What decompressobj() of zlib gives."""

    @property
    def eof(self) -> bool: ...
    @property
    def unconsumed_tail(self) -> bytes: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int, /) -> bytes: ...


class _GzipMember:
    """A gzip member as zlib reads it: its header, checksums and lengths, however they are cut."""

    def __init__(self, inflater: _Inflater) -> None:
        self._inflater = inflater
        self._has_more = False  # output that there was no room for

    @property
    def eof(self) -> bool:
        return self._inflater.eof

    @property
    def needs_input(self) -> bool:
        return not self._has_more and not self._inflater.unconsumed_tail

    @property
    def unused_data(self) -> bytes:
        return self._inflater.unused_data

    def decompress(self, data: bytes, max_length: int, /) -> bytes:
        piece = self._inflater.decompress(data or self._inflater.unconsumed_tail, max_length)
        self._has_more = len(piece) == max_length
        return piece


def decompressed(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Give the content of gzip, zstd, xz, bzip2 or plain chunks; all chunks are consumed.

    MalformedError when the compressed data is damaged or ends too early, when other bytes follow
    it, or when it could as well be a plain tar archive.
    """
    source = _Source(chunks)
    kind = _kind(source.head())
    if not kind:
        yield from source.rest()
        return
    if is_header(source.head()[:BLOCK_BYTES]):
        raise MalformedError(f"it is {kind} data and a tar archive at once")
    codec = _CODECS[kind]()
    while _kind(source.head()) == kind:
        yield from _content(source, codec)
    padding = source.skip_padding()
    if source.head():
        raise MalformedError(f"other bytes follow the end of the {kind} data")
    if padding and (not codec.padding or padding % codec.padding):
        raise MalformedError(f"{padding} NUL bytes follow the end of the {kind} data")


class _Source:
    """Chunks that can be looked at before they are taken."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = _cut(chunks)
        self._head = b""

    def head(self) -> bytes:
        """Return the next bytes, a tar header's length or all there are, and leave them."""
        while len(self._head) < BLOCK_BYTES and (chunk := self._next()):
            self._head += chunk
        return self._head

    def take(self) -> bytes:
        """Give the next chunk; b"" at the end."""
        head, self._head = self._head, b""
        return head or self._next()

    def put_back(self, data: bytes) -> None:
        """Make bytes that were taken the next ones."""
        self._head = data

    def skip_padding(self) -> int:
        """Pass over NUL bytes, and give their number."""
        padding = 0
        while chunk := self.take():
            rest = chunk.lstrip(b"\0")
            padding += len(chunk) - len(rest)
            if rest:
                self.put_back(rest)
                break
        return padding

    def rest(self) -> Iterator[bytes]:
        """Give all that is left."""
        while chunk := self.take():
            yield chunk

    def _next(self) -> bytes:
        return next(self._chunks, b"")


def _cut(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Cut chunks into short ones: what follows a member is copied, and members can be 20 bytes."""
    for chunk in chunks:
        for start in range(0, len(chunk), _FED_BYTES):
            yield chunk[start : start + _FED_BYTES]


def _content(source: _Source, codec: _Codec) -> Iterator[bytes]:
    member = codec.begin()
    while not member.eof:
        data = b""
        if member.needs_input and not (data := source.take()):
            raise MalformedError(f"the {codec.name} data ends too early")
        try:
            piece = member.decompress(data, _PIECE_BYTES)
        except codec.error as error:
            raise MalformedError(f"damaged {codec.name} data: {error}") from error
        if piece:
            yield piece
    source.put_back(member.unused_data)


def _kind(head: bytes) -> str:
    # The first byte of a skippable zstd frame is any of 0x50 to 0x5f (RFC 8878, section 3.1.2).
    if head[1:4] == b"\x2a\x4d\x18" and head[0] >> 4 == 5:
        return "zstd"
    if head.startswith(b"BZh") and head[3:4] in _BZIP2_LEVELS and head[4:10] in _BZIP2_BLOCKS:
        return "bzip2"
    for magic, kind in _MAGIC.items():
        if head.startswith(magic):
            return kind
    return ""


def _gzip() -> _Codec:
    from zlib_ng import zlib_ng

    # The stubs say that the exception class were an instance, and leave out types.
    error = cast("type[Exception]", zlib_ng.error)
    begin = cast("Callable[[int], _Inflater]", zlib_ng.decompressobj)  # pyright: ignore[reportUnknownMemberType]
    return _Codec("gzip", lambda: _GzipMember(begin(_GZIP_WINDOW_BITS)), error, padding=1)


def _zstd() -> _Codec:
    if sys.version_info >= (3, 14):
        from compression import zstd
    else:
        from backports import zstd
    options: dict[int, int] = {zstd.DecompressionParameter.window_log_max: _ZSTD_WINDOW_LOG}
    return _Codec("zstd", lambda: zstd.ZstdDecompressor(options=options), zstd.ZstdError, padding=0)


def _xz() -> _Codec:
    import lzma

    return _Codec(
        "xz",
        lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_XZ_MEMORY_BYTES),
        lzma.LZMAError,
        padding=4,  # The .xz file format, section 2.2
    )


def _bzip2() -> _Codec:
    import bz2

    return _Codec("bzip2", bz2.BZ2Decompressor, OSError, padding=1)


_MAGIC = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd", b"\xfd7zXZ\0": "xz"}
_BZIP2_LEVELS = (b"1", b"2", b"3", b"4", b"5", b"6", b"7", b"8", b"9")
_BZIP2_BLOCKS = (b"1AY&SY", b"\x17\x72\x45\x38\x50\x90")  # of the first block, and of the end
_CODECS = {"gzip": _gzip, "zstd": _zstd, "xz": _xz, "bzip2": _bzip2}
