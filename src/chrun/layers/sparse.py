"""Sparse files: the four ways in which GNU tar has written them (GNU tar manual, appendix D.1)."""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING, NamedTuple

from chrun.layers.faults import MalformedError, UnsafeError
from chrun.layers.pax import LARGEST, parse_integer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from chrun.layers.stream import Stream

_BLOCK = 512
_MOST_MAP_BYTES = 1 << 20
_OLD_MAP, _OLD_EXTENDED, _OLD_SIZE = slice(386, 482), 482, slice(483, 495)
_MORE_MAP, _MORE_EXTENDED = slice(0, 504), 504
_OLD_EXTENT = Struct("12s12s")

_OFFSET, _LENGTH = b"GNU.sparse.offset", b"GNU.sparse.numbytes"
_MAP, _MAJOR = b"GNU.sparse.map", b"GNU.sparse.major"
_NAME = b"GNU.sparse.name"
_SIZES = (b"GNU.sparse.realsize", b"GNU.sparse.size")


class Sparse(NamedTuple):
    """The size that a file appears to have, and where (offset, length) its bytes belong."""

    size: int
    extents: tuple[tuple[int, int], ...]


def fold(records: Iterable[tuple[bytes, bytes]]) -> dict[bytes, bytes]:
    """Make a mapping of pax records, in which version 0.0 repeats two keys, as 0.1 would."""
    folded: dict[bytes, bytes] = {}
    numbers: list[bytes] = []
    for key, value in records:
        if key in (_OFFSET, _LENGTH):
            numbers.append(value)
        else:
            folded[key] = value
    if numbers:
        folded[_MAP] = b",".join(numbers)
    return folded


def is_sparse(records: Mapping[bytes, bytes]) -> bool:
    """Say whether pax records describe a sparse file."""
    return _MAP in records or _MAJOR in records


def real_name(records: Mapping[bytes, bytes], name: bytes) -> bytes:
    """Give the name of a sparse file: in versions 0.1 and 1.0 its header has a made-up one."""
    return records.get(_NAME) or name


def pax_sparse(records: Mapping[bytes, bytes], stored: int, stream: Stream) -> tuple[Sparse, int]:
    """Read the map of a sparse file, and give with it how many of the stored bytes are left.

    Version 1.0 keeps the map at the beginning of the stored bytes, 0.x among the records.
    """
    size = parse_integer(next((records[key] for key in _SIZES if key in records), b""))
    major = parse_integer(records.get(_MAJOR, b"0"))
    if major == 0:
        numbers = [parse_integer(number) for number in records.get(_MAP, b"").split(b",")]
        return _checked(size, numbers, stored), stored
    if major != 1:
        raise MalformedError(f"a sparse file of version {major}, expected 0 or 1")
    start = stream.position
    numbers = _stored_map(stream)
    left = stored - (stream.position - start)
    return _checked(size, numbers, left), left


def old_sparse(block: bytes, stored: int, stream: Stream, number: Callable[[bytes], int]) -> Sparse:
    """Read the map of an old GNU sparse file, which goes on in blocks behind the header."""
    fields = [block[_OLD_MAP]]
    extended, flag = block, _OLD_EXTENDED
    while extended[flag] not in (0, ord("0")):
        extended, flag = stream.read(_BLOCK), _MORE_EXTENDED
        fields.append(extended[_MORE_MAP])
        if len(fields) * _BLOCK > _MOST_MAP_BYTES:
            raise UnsafeError("the map of a sparse file is larger than 1 MiB")
    numbers: list[int] = []
    for offset, length in _OLD_EXTENT.iter_unpack(b"".join(fields)):
        if offset[0]:
            numbers += number(offset), number(length)
    return _checked(number(block[_OLD_SIZE]), numbers, stored)


def _stored_map(stream: Stream) -> list[int]:
    """Read version 1.0's map: a count, then as many pairs, a line each, filled up to a block."""
    text = stream.read(_BLOCK)
    count_line, newline, _ = text.partition(b"\n")
    lines = 1 + 2 * parse_integer(count_line)
    if not newline or not 0 < lines <= _MOST_MAP_BYTES // 2:
        raise MalformedError("the map of a sparse file has no length, or more than 1 MiB")
    found = text.count(b"\n")
    blocks = [text]
    while found < lines:
        if len(blocks) * _BLOCK >= _MOST_MAP_BYTES:
            raise UnsafeError("the map of a sparse file is larger than 1 MiB")
        blocks.append(stream.read(_BLOCK))
        found += blocks[-1].count(b"\n")
    return [parse_integer(line) for line in b"".join(blocks).split(b"\n")[1:lines]]


def _checked(size: int, numbers: list[int], stored: int) -> Sparse:
    """Give the map; MalformedError unless it ascends, fits and holds exactly what is stored."""
    extents = tuple(zip(numbers[::2], numbers[1::2], strict=False))
    end = total = 0
    for offset, length in extents:
        if offset < end or length < 0:
            raise MalformedError("the map of a sparse file goes backwards")
        end = offset + length
        total += length
    if end > size or size > LARGEST or total != stored or len(numbers) % 2:
        raise MalformedError("the map of a sparse file does not fit its size")
    return Sparse(size, extents)
