"""Subordinate ids: subuid(5) and subgid(5), which give users ranges of ids that are nobody else's.

Pure: these functions are given the files' texts.
"""

from __future__ import annotations

from chrun.oci.spec import IdMapping
from chrun.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

RANGE_SIZE = 1 << 16  # what useradd(8) gives, and as many as images' users have numbers
_FEWEST = RANGE_SIZE - 1  # beside the caller's own id, which is inside 0
_MOST_RANGES = 4  # maps name directories of the store, and a name has 255 bytes
_LAST_ID = (1 << 32) - 2  # -1 means "leave it" to chown(2)
_MOST_DIGITS = 20
_FIRST_FREE = 1 << 19  # where systemd, too, begins to give ids to containers
_LAST_FREE = 0x6FFF_FFFF  # and where that ends: higher ids are dynamic, or a directory service's


class IdRange(Value):
    """`size` ids from `start` on."""

    start: int
    size: int

    @property
    def end(self) -> int:
        """The first id behind it."""
        return self.start + self.size


class Subids(Value):
    """The ranges that one user may map, in the order in which they are mapped."""

    users: tuple[IdRange, ...]
    groups: tuple[IdRange, ...]

    @property
    def suffice(self) -> bool:
        """Whether all ids from 1 to 65535 can be mapped, which is what images count on."""
        return all(
            sum(found.size for found in ranges) >= _FEWEST for ranges in (self.users, self.groups)
        )


def ranges_of(text: str, names: Collection[str], own_id: int) -> tuple[IdRange, ...]:
    """Give the ranges that a file gives to a user, who is known by these names.

    Names are a login and the decimal user ID; `own_id` is mapped already. A line that is none is
    skipped, as newuidmap(1) does; an id that is there twice counts once, for the kernel refuses
    maps that overlap.
    """
    found: list[IdRange] = []
    for name, given in _lines(text):
        if name in names and (left := _without(given, (IdRange(own_id, 1), *found))):
            found.append(left)
    return tuple(found[:_MOST_RANGES])


def map_ranges(own_id: int, ranges: Iterable[IdRange]) -> tuple[IdMapping, ...]:
    """Map the caller's id to 0 and ranges to 1 and on."""
    return (IdMapping(0, own_id, 1), *map_in_order(1, ranges))


def map_in_order(first: int, ranges: Iterable[IdRange]) -> Iterator[IdMapping]:
    """Map ranges one behind the other, from the container id `first` on."""
    for given in ranges:
        yield IdMapping(first, given.start, given.size)
        first += given.size


def whole_ranges(text: str, names: Collection[str]) -> Iterator[int]:
    """Give where the ranges of 65,536 ids begin that lie in what a file gives to these names."""
    for name, given in _lines(text):
        if name in names:
            yield from range(given.start, given.end - RANGE_SIZE + 1, RANGE_SIZE)


def free_ranges(texts: Iterable[str], taken: Iterable[int]) -> Iterator[int]:
    """Give where ranges of 65,536 ids begin that lie above all that these files give.

    A range that has one of the `taken` ids in it, an account's, is left out.
    """
    ends = (given.end for text in texts for _name, given in _lines(text))
    start = max((_FIRST_FREE, *ends))
    start += -start % RANGE_SIZE
    hit = {number // RANGE_SIZE for number in taken}
    for first in range(start, _LAST_FREE - RANGE_SIZE, RANGE_SIZE):
        if first // RANGE_SIZE not in hit:
            yield first


def _lines(text: str) -> Iterator[tuple[str, IdRange]]:
    for line in text.splitlines():
        fields = line.strip().split(":")
        if len(fields) != 3 or fields[0].startswith("#"):
            continue
        name, start, size = fields
        if not all(map(_is_number, (start, size))):
            continue
        given = IdRange(int(start), int(size))
        if given.size and given.end - 1 <= _LAST_ID:
            yield name, given


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS


def _without(given: IdRange, others: Iterable[IdRange]) -> IdRange | None:
    """Give the part of a range that comes before, or else behind, what it shares with others."""
    start, end = given.start, given.end
    for other in sorted(others, key=lambda other: other.start):
        if other.end <= start or other.start >= end:
            continue
        if other.start > start:
            end = other.start
        else:
            start = other.end
    return IdRange(start, end - start) if end > start else None
