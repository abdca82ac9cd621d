"""Compressed blob -> tar bytes, as they arrive and in pieces of bounded size.

What decides is the magic number that the bytes begin with: registries serve gzip called plain and
zstd called gzip. Concatenated members and frames are one stream; padding and garbage behind the
last one are ignored, as GNU gzip does.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Protocol, cast

from chrun.layers.faults import MalformedError
from chrun.values import Value

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

# The most that one piece of output holds: a megabyte of zeros is a kilobyte of gzip.
_PIECE_BYTES = 256 << 10

# What the zstd and xz programs accept without being told to use more memory.
_ZSTD_WINDOW_LOG = 27
_XZ_MEMORY_BYTES = 128 << 20

# isal loses its place in some gzip headers when they do not arrive in one piece; an extra field,
# the longest part of one, has at most 64 KiB.
_HEADER_BYTES = 128 << 10


class _Member(Protocol):
    """One gzip member, zstd frame, xz or bzip2 stream: the interface that their modules share."""

    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int = ..., /) -> bytes: ...


class _Codec(Value):
    """How to begin a member, and what its module raises at bad bytes."""

    name: str
    begin: Callable[[], _Member]
    error: type[Exception]


def decompressed(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Give the content of gzip, zstd, xz, bzip2 or plain chunks; all chunks are consumed.

    MalformedError when the compressed data is damaged or ends too early.
    """
    source = _Source(chunks)
    kind = _kind(source.head())
    if not kind:
        yield from source.rest()
        return
    codec = _CODECS[kind]()
    while _kind(source.head()) == kind:
        yield from _content(source, codec)
        source.skip_padding()
    for _garbage in source.rest():
        pass  # whoever verifies the blob must see its last byte


class _Source:
    """Chunks that can be looked at before they are taken."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = iter(chunks)
        self._head = b""

    def head(self) -> bytes:
        """Give the next bytes, enough for any member's header or all there are, and leave them."""
        while len(self._head) < _HEADER_BYTES and (chunk := self._next()):
            self._head += chunk
        return self._head

    def take(self) -> bytes:
        """Give the next chunk; b"" at the end."""
        head, self._head = self._head, b""
        return head or self._next()

    def put_back(self, data: bytes) -> None:
        """Make bytes that were taken the next ones."""
        self._head = data

    def skip_padding(self) -> None:
        """Pass over NUL bytes."""
        while chunk := self.take():
            if rest := chunk.lstrip(b"\0"):
                return self.put_back(rest)
        return None

    def rest(self) -> Iterator[bytes]:
        """Give all that is left."""
        while chunk := self.take():
            yield chunk

    def _next(self) -> bytes:
        return next(filter(None, self._chunks), b"")


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
    for magic, kind in _MAGIC.items():
        if head.startswith(magic):
            return kind
    return ""


def _gzip() -> _Codec:
    from isal import igzip_lib

    # The stubs of isal say that the exception class were an instance, and leave out types.
    return _Codec(
        "gzip",
        lambda: cast("_Member", igzip_lib.IgzipDecompressor(flag=igzip_lib.DECOMP_GZIP)),
        cast("type[Exception]", igzip_lib.IsalError),
    )


def _zstd() -> _Codec:
    if sys.version_info >= (3, 14):
        from compression import zstd
    else:
        from backports import zstd
    options: dict[int, int] = {zstd.DecompressionParameter.window_log_max: _ZSTD_WINDOW_LOG}
    return _Codec("zstd", lambda: zstd.ZstdDecompressor(options=options), zstd.ZstdError)


def _xz() -> _Codec:
    import lzma

    return _Codec(
        "xz",
        lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_XZ_MEMORY_BYTES),
        lzma.LZMAError,
    )


def _bzip2() -> _Codec:
    import bz2

    return _Codec("bzip2", bz2.BZ2Decompressor, OSError)


_MAGIC = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd", b"\xfd7zXZ\0": "xz", b"BZh": "bzip2"}
_CODECS = {"gzip": _gzip, "zstd": _zstd, "xz": _xz, "bzip2": _bzip2}
