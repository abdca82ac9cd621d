"""pax extended headers: POSIX.1-2017, pax, section "pax Extended Header"."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chrun.layers.faults import MalformedError, shown

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

# What a global header can say about every entry behind it. Nothing else of it is kept, so that
# a million of them take no memory.
GLOBAL_KEYS = frozenset({b"path", b"linkpath", b"size", b"uid", b"gid", b"mtime"})

_XATTR = b"SCHILY.xattr."
_ENCODED_XATTR = b"LIBARCHIVE.xattr."
_LENGTH_DIGITS = 8  # a header has at most a megabyte
_NUMBER_DIGITS = 20  # of the longest, with its sign
LARGEST = (1 << 63) - 1  # what the kernel's sizes, offsets and times are: off_t, time_t
_NANOSECONDS = 10**9


def parse_records(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Give the keys and values of "length key=value\\n" records; MalformedError for others."""
    at = 0
    while at < len(data):
        space = data.find(b" ", at, at + _LENGTH_DIGITS)
        length = data[at:space]
        if space < 0 or not length.isdigit():
            raise MalformedError("a pax record has no length")
        end = at + int(length)
        key, equals, value = data[space + 1 : end - 1].partition(b"=")
        if end > len(data) or end <= space + 1 or data[end - 1] != ord("\n") or not equals:
            raise MalformedError(f"a pax record does not end where it says: {shown(key)}")
        yield key, value
        at = end


def parse_integer(value: bytes) -> int:
    """Read a decimal number of 64 bits; MalformedError for anything else."""
    if not value.removeprefix(b"-").isdigit() or len(value) > _NUMBER_DIGITS:
        raise MalformedError(f"not a number: {shown(value)}")
    number = int(value)
    if not -LARGEST <= number <= LARGEST:
        raise MalformedError(f"not a number of 64 bits: {shown(value)}")
    return number


def parse_time(value: bytes) -> int:
    """Read seconds with any number of decimals as nanoseconds, rounded towards zero."""
    whole, _, fraction = value.partition(b".")
    digits = (fraction + b"000000000")[:9]
    if not digits.isdigit():
        raise MalformedError(f"not a time: {shown(value)}")
    sign = -1 if whole.startswith(b"-") else 1
    return parse_integer(whole or b"0") * _NANOSECONDS + sign * int(digits)


def xattrs(records: Mapping[bytes, bytes]) -> dict[bytes, bytes]:
    """Return the extended attributes that star, GNU tar and bsdtar wrote; MalformedError."""
    found: dict[bytes, bytes] = {}
    for key, value in records.items():
        if key.startswith(_ENCODED_XATTR):
            found.setdefault(*_decoded(key.removeprefix(_ENCODED_XATTR), value))
        elif key.startswith(_XATTR):
            found[key.removeprefix(_XATTR)] = value
    for name in found:
        if b"\0" in name:  # which ends a name in setxattr(2)
            raise MalformedError(f"a NUL byte in the name of the attribute {shown(name)}")
    return found


def _decoded(name: bytes, value: bytes) -> tuple[bytes, bytes]:
    from base64 import b64decode
    from urllib.parse import unquote_to_bytes

    try:
        return unquote_to_bytes(name), b64decode(value + b"=" * (-len(value) % 4))
    except ValueError as error:
        raise MalformedError(f"not base64: the attribute {shown(name)}") from error
