"""tar bytes -> entries: ustar, star, pax, GNU and older headers (POSIX.1-2017, pax).

Names are bytes, as they are to the kernel. No character set is assumed, so that `hdrcharset` has
nothing to change.
"""

from __future__ import annotations

from functools import lru_cache
from struct import Struct
from typing import TYPE_CHECKING, NamedTuple
from zlib import adler32

from chrun.layers import pax, sparse
from chrun.layers.faults import MalformedError, UnsafeError, shown

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from chrun.layers.stream import Stream

REGULAR, HARD_LINK, SYMLINK, CHARACTER_DEVICE = b"0", b"1", b"2", b"3"
BLOCK_DEVICE, DIRECTORY, FIFO = b"4", b"5", b"6"

BLOCK_BYTES = 512
_ZEROS = bytes(BLOCK_BYTES)
# name, mode, uid, gid, size, mtime, checksum, kind, link, magic, major, minor, prefix, star's magic
_HEADER = Struct("100s8s8s8s12s12s8sc100s8s64x8s8s155s8x4s")
_CHECKSUM_AT, _CHECKSUM_END = 148, 156
_ADLER_MODULUS = 65521
_STAR_PREFIX_BYTES = 131
_DIGITS, _BLANKS = b"01234567", b" \0"
_NO_TAR = "it is not a tar archive, or a damaged one"

_OLD_REGULAR, _CONTIGUOUS, _OLD_SPARSE = b"\0", b"7", b"S"
_WITHOUT_DATA = frozenset({HARD_LINK, SYMLINK, CHARACTER_DEVICE, BLOCK_DEVICE, DIRECTORY, FIFO})
_DEVICES = frozenset({CHARACTER_DEVICE, BLOCK_DEVICE})
_REGULAR_KINDS = frozenset({REGULAR, _OLD_REGULAR, _CONTIGUOUS, _OLD_SPARSE})
# These describe the next entry, those behind or, a volume's label, nothing that is unpacked.
_LONG_NAME, _LONG_LINK, _PAX, _SOLARIS_PAX, _GLOBAL_PAX, _LABEL = b"L", b"K", b"x", b"X", b"g", b"V"
_DESCRIBING = frozenset({_LONG_NAME, _LONG_LINK, _PAX, _SOLARIS_PAX, _GLOBAL_PAX, _LABEL})
_MOST_DESCRIBING_BYTES = 1 << 20

_NANOSECONDS = 10**9
_NO_RECORDS: dict[bytes, bytes] = {}


class Entry(NamedTuple):
    """One member of an archive; a named tuple, for there are a hundred thousand of them.

    `kind` is one of the constants above, `size` how many bytes of content follow in the stream,
    `device` the pair of numbers of a device. Neither name nor link are cleaned.
    """

    name: bytes
    kind: bytes
    mode: int
    uid: int
    gid: int
    size: int
    mtime_ns: int
    link: bytes
    device: tuple[int, int]
    xattrs: Mapping[bytes, bytes] = _NO_RECORDS
    holes: sparse.Sparse | None = None


def entries(stream: Stream, most_entries: int) -> Iterator[Entry]:
    """Give entry after entry; the content of one is the stream's next bytes until the next.

    The archive ends with two blocks of zeros or with the stream. MalformedError for anything that
    is no tar archive, UnsafeError for more than `most_entries` headers.
    """
    everywhere: dict[bytes, bytes] = {}
    described: dict[bytes, bytes] = {}
    for _ in range(most_entries):
        block = _next_header(stream)
        if not block:
            return
        entry = _parse(block)
        if entry.kind in _DESCRIBING:
            _describe(entry, stream, described, everywhere)
            continue
        if described or everywhere:
            entry = _described(entry, everywhere | described, stream)
            described = {}
        entry = _settled(entry, block, stream)
        end = stream.position + _padded(entry.size)
        yield entry
        stream.skip_to(end)
    raise UnsafeError(f"it has more than {most_entries} entries")


def is_header(block: bytes) -> bool:
    """Return whether a block is an entry's header, as its checksum tells."""
    if len(block) < BLOCK_BYTES or block == _ZEROS:
        return False
    try:
        _check(block, block[_CHECKSUM_AT:_CHECKSUM_END])
    except MalformedError:
        return False
    return True


def _next_header(stream: Stream) -> bytes:
    """Give the next block; b"" at the archive's end."""
    if stream.at_end():
        return b""
    block = stream.read(BLOCK_BYTES)
    if block != _ZEROS:
        return block
    if not stream.at_end() and stream.read(BLOCK_BYTES) != _ZEROS:
        raise MalformedError("the tar archive goes on behind a block of zeros")
    return b""


def _parse(block: bytes) -> Entry:
    name, mode, uid, gid, size, mtime, checksum, kind, link, magic, major, minor, prefix, star = (
        _HEADER.unpack(block)
    )
    _check(block, checksum)
    name = name.partition(b"\0")[0]
    if prefix[0] and magic.startswith(b"ustar\0"):
        if star == b"tar\0":  # whose prefix is shorter, with times behind it
            prefix = prefix[:_STAR_PREFIX_BYTES]
        name = prefix.partition(b"\0")[0] + b"/" + name
    return Entry(
        name,
        kind,
        _number(mode) & 0o7777,
        _number(uid),
        _number(gid),
        0 if kind in _WITHOUT_DATA else _number(size),
        _number(mtime) * _NANOSECONDS,
        link.partition(b"\0")[0],
        (_number(major), _number(minor)) if kind in _DEVICES else (0, 0),
    )


def _check(block: bytes, checksum: bytes) -> None:
    """Compare the sum of all bytes, as whose checksum eight blanks stand.

    The lower half of an Adler-32 is that sum plus one, modulo a prime, and is computed in C.
    """
    if checksum.strip(_BLANKS + _DIGITS) or not checksum.strip(_BLANKS):
        raise MalformedError(_NO_TAR)
    expected = _number(checksum)
    adler = adler32(block[_CHECKSUM_END:], adler32(b" " * 8, adler32(block[:_CHECKSUM_AT])))
    if (expected + 1) % _ADLER_MODULUS == adler & 0xFFFF:
        return
    counted = block[:_CHECKSUM_AT] + b" " * 8 + block[_CHECKSUM_END:]
    if expected != sum(byte - 256 if byte > 127 else byte for byte in counted):  # old Sun tar
        raise MalformedError(_NO_TAR)


@lru_cache(maxsize=4096)  # the same few modes, owners and times come again and again
def _number(field: bytes) -> int:
    """Read octal digits or, with the first bit set, a two's complement number (GNU, star)."""
    if field[0] & 0x80:
        bits = 8 * len(field) - 1
        number = int.from_bytes(field, "big") & ((1 << bits) - 1)
        return number - (1 << bits) if number >> (bits - 1) else number
    digits = field.partition(b"\0")[0].strip() or b"0"
    if digits.strip(_DIGITS):
        raise MalformedError(f"not an octal number in a tar header: {shown(digits)}")
    return int(digits, 8)


def _padded(size: int) -> int:
    return size + -size % BLOCK_BYTES


def _describe(
    entry: Entry, stream: Stream, described: dict[bytes, bytes], everywhere: dict[bytes, bytes]
) -> None:
    """Take in what a header of the describing kinds says, as pax records."""
    if not 0 <= entry.size <= _MOST_DESCRIBING_BYTES:
        raise UnsafeError(f"an extended header of {entry.size} bytes")
    data = stream.read(_padded(entry.size))[: entry.size]
    if entry.kind == _LONG_NAME:
        described[b"path"] = data.partition(b"\0")[0]
    elif entry.kind == _LONG_LINK:
        described[b"linkpath"] = data.partition(b"\0")[0]
    elif entry.kind in (_PAX, _SOLARIS_PAX):
        described |= sparse.fold(pax.parse_records(data))
    elif entry.kind == _GLOBAL_PAX:
        records = pax.parse_records(data)
        everywhere |= {key: value for key, value in records if key in pax.GLOBAL_KEYS}


def _described(entry: Entry, records: Mapping[bytes, bytes], stream: Stream) -> Entry:
    """Give the entry as extended headers correct it; an empty value is as good as none."""
    mtime, uid, gid, size = map(records.get, (b"mtime", b"uid", b"gid", b"size"))
    stored = pax.parse_integer(size) if size and entry.kind not in _WITHOUT_DATA else entry.size
    holes = None
    if entry.kind in _REGULAR_KINDS and sparse.is_sparse(records):
        holes, stored = sparse.pax_sparse(records, stored, stream)
    return entry._replace(
        name=sparse.real_name(records, records.get(b"path") or entry.name),
        link=records.get(b"linkpath") or entry.link,
        mtime_ns=pax.parse_time(mtime) if mtime else entry.mtime_ns,
        uid=pax.parse_integer(uid) if uid else entry.uid,
        gid=pax.parse_integer(gid) if gid else entry.gid,
        size=stored,
        xattrs=pax.xattrs(records),
        holes=holes,
    )


def _settled(entry: Entry, block: bytes, stream: Stream) -> Entry:
    """Check what headers and records say together, and settle the kind."""
    if entry.size < 0:
        raise MalformedError(f"{shown(entry.name)} has a negative size")
    if b"\0" in entry.name or b"\0" in entry.link:
        raise MalformedError(f"{shown(entry.name)} has a NUL byte in its name or link")
    if entry.kind == REGULAR and not entry.name.endswith(b"/"):
        return entry
    if entry.kind == _OLD_SPARSE:
        holes = sparse.old_sparse(block, entry.size, stream, _number)
        return entry._replace(kind=REGULAR, holes=holes)
    if entry.kind in _REGULAR_KINDS:  # before POSIX a slash was all that told a directory
        return entry._replace(kind=DIRECTORY if entry.name.endswith(b"/") else REGULAR)
    if entry.kind not in _WITHOUT_DATA:
        raise MalformedError(f"{shown(entry.name)} is of unknown type {shown(entry.kind)}")
    return entry
