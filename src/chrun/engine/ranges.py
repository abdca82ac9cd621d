"""Ranges of ids for root's containers, one each: 65,536 ids that are nobody else's.

Which are taken is written down for the whole machine, whatever the data directory: a symlink for
each, from the first ids to the container's directory, whose lock tells whether it still lives. One
that joined its user namespace has another, with its id behind.
"""

from __future__ import annotations

import os

from chrun.engine.outliving import end_first_process
from chrun.engine.subordinate import SUBID_PATHS
from chrun.errors import UnsupportedError
from chrun.linux.host import read_text
from chrun.linux.subids import RANGE_SIZE, free_ranges, whole_ranges
from chrun.oci.convert import IdMaps
from chrun.oci.spec import IdMapping
from chrun.store.access import walk
from chrun.store.faults import store_error
from chrun.store.locks import hold, try_hold

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Self

    from chrun.errors import StoreError
    from chrun.oci.spec import Spec

_RANGES_DIR = "/run/chrun/ranges"
_OWNERS = ("root", "0", "containers")  # to whom administrators give what containers may have
_MOST_DIGITS = 10  # of an id
_ACCOUNTS = "/etc/passwd", "/etc/group"


class RangeClaim:
    """A range that is chosen; nobody else chooses until it is recorded or the block is left.

    `directory` records which ranges are taken, `paths` are those of the files that give users and
    groups: subuid(5), subgid(5). Entering raises StoreError; UnsupportedError when all are taken.
    """

    def __init__(self, directory: str = _RANGES_DIR, paths: tuple[str, str] = SUBID_PATHS) -> None:
        self._directory = directory
        self._paths = paths

    def __enter__(self) -> Self:
        try:
            hint = f"remove {self._directory}"
            walk(self._directory, make=True, what="the list of ids", hint=hint)
            self._held = hold(self._directory)
        except OSError as error:
            raise self._failure(error) from error
        try:
            uid, gid = self._choose()
        except OSError as error:
            self._held.release()
            raise self._failure(error) from error
        except BaseException:
            self._held.release()
            raise
        self._name = f"{uid}-{gid}"
        self.maps = IdMaps((IdMapping(0, uid, RANGE_SIZE),), (IdMapping(0, gid, RANGE_SIZE),))
        return self

    def _failure(self, error: OSError) -> StoreError:
        return store_error(f"write down which ids are taken in {self._directory}", error)

    def _choose(self) -> tuple[int, int]:
        """Give the first user and group ID of a range that nobody has."""
        taken = tuple(self._living())
        for uid, gid in _candidates(self._paths):
            if not any(_meet(uid, users) or _meet(gid, groups) for users, groups in taken):
                return uid, gid
        raise UnsupportedError(
            "cannot give the container ids of its own: all are taken",
            hint="more can be given to the user containers in /etc/subuid and /etc/subgid",
        )

    def __exit__(self, *_error: object) -> None:
        self._held.release()

    def record(self, container_dir: str) -> None:
        """Write down that a container has the range, for as long as it lives."""
        path = f"{self._directory}/{self._name}"
        try:
            if os.path.islink(path):
                os.unlink(path)
            os.symlink(container_dir, path)
        except OSError as error:
            raise store_error(f"write {path}", error) from error
        self._held.release()

    def _living(self) -> Iterator[tuple[int, int]]:
        """Give the ranges that are taken; those of the dead are forgotten."""
        for name in os.listdir(self._directory):
            path = f"{self._directory}/{name}"
            uid, _, gid = name.partition(".")[0].partition("-")
            if not (uid + gid).isdecimal() or not os.path.islink(path):
                continue  # nothing of chrun's
            if _lives(os.readlink(path)):
                yield int(uid), int(gid)
            else:
                os.unlink(path)


def record_joined(container_dir: str, spec: Spec, directory: str = _RANGES_DIR) -> None:
    """Write down that a container shares the range of one that it joined, and may outlive.

    Nothing for ids that are no range's. StoreError.
    """
    name = f"{spec.uid_mappings[0].host_id}-{spec.gid_mappings[0].host_id}"
    path = f"{directory}/{name}"
    if not os.path.islink(path):
        return
    try:
        os.symlink(container_dir, f"{path}.{os.path.basename(container_dir)}")
    except OSError as error:
        raise store_error(f"write {path}", error) from error


def example_maps() -> IdMaps:
    """Give maps such as a container would get, without taking them."""
    with RangeClaim() as claim:
        return claim.maps


def _lives(container_dir: str) -> bool:
    """Say whether a container runs, or is kept with files that may belong to its ids.

    One that outlived its monitor is ended, or two would have the same ids. One of which nobody can
    tell has its range, and the next container another.
    """
    try:
        unlocked = try_hold(container_dir, shared=True)
        if not unlocked:
            return True
        unlocked.release()
        end_first_process(container_dir)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return True
    return os.path.islink(f"{container_dir}/kept")


def _meet(first: int, other: int) -> bool:
    """Say whether ranges that begin there share an id; files may have been changed in between."""
    return abs(first - other) < RANGE_SIZE


def _candidates(paths: tuple[str, str]) -> Iterator[tuple[int, int]]:
    """Give first user and group IDs: those that were given to containers, or free ones."""
    uids, gids = map(read_text, paths)
    given = list(zip(whole_ranges(uids, _OWNERS), whole_ranges(gids, _OWNERS), strict=False))
    yield from given
    if not given:
        for first in free_ranges((uids, gids), _accounts()):
            yield first, first


def _accounts() -> Iterator[int]:
    for path in _ACCOUNTS:
        for line in read_text(path).splitlines():
            fields = line.split(":")
            number = fields[2] if len(fields) > 2 else ""
            if number.isascii() and number.isdigit() and len(number) <= _MOST_DIGITS:
                yield int(number)
