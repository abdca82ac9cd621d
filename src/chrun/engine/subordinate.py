"""Which subordinate ids this user may map: /etc/subuid and /etc/subgid, tried once and kept."""

from __future__ import annotations

import os

from chrun.linux.host import gains_nothing
from chrun.oci.convert import IdMaps
from chrun.oci.spec import IdMapping
from chrun.store.answers import find_answer, keep_answer, packed
from chrun.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from chrun.store.answers import Fields
    from chrun.store.layout import Layout

    Signature = tuple[int, int, int]
    Lines = tuple[tuple[int, int, int], ...]

SUBID_PATHS = "/etc/subuid", "/etc/subgid"
_FORMAT = 3
_ABSENT = (0, 0, 0)


class Subordinate(Value):
    """What is known of the caller's subordinate ids.

    `maps` are empty when there are none to use; then `why` and `hint` tell what would mend it, or
    are empty where nobody was given any. It is `expected` to work where the caller was.
    `programs` are the paths of newuidmap(1) and newgidmap(1).
    """

    maps: IdMaps = IdMaps()
    programs: tuple[str, str] = ("", "")
    why: str = ""
    hint: str = ""
    expected: bool = False

    @property
    def room(self) -> str:
        """Where layers lie that belong to these ids: other maps need another place.

        The caller's own are among them: who has several groups may be in another one next time.
        """
        uids, gids = (
            "+".join(f"{mapping.host_id}x{mapping.size}" for mapping in mappings)
            for mappings in (self.maps.uids, self.maps.gids)
        )
        return f"owned/{uids},{gids}"


def find_subordinate(layout: Layout, paths: tuple[str, str] = SUBID_PATHS) -> Subordinate:
    """Find out what the caller may map; an answer holds while what it was drawn from is the same.

    Few looks at files for who has been told before, one for who has none. Where this process gains
    nothing by setuid programs, as in many containers, it may have been told otherwise elsewhere.
    `paths` are those of the files that give users and groups: subuid(5), subgid(5).
    """
    files = (_signature(paths[0]), _signature(paths[1]))
    if not files[0][1]:  # no such file, or an empty one
        return Subordinate()
    question = packed(_FORMAT, os.geteuid(), os.getegid(), gains_nothing(), files)
    path = layout.subids_answer_path
    if found := _find_kept(layout, path, question):
        return found
    from chrun.engine.subid_trial import ask

    found = ask(layout, paths)
    if found.maps.uids or not found.expected:  # what does not work may be mended any time
        keep_answer(layout, path, question, _answer(found))
    return found


def _find_kept(layout: Layout, path: str, question: bytes) -> Subordinate | None:
    """Find an answer, unless the programs that it names were replaced."""
    answer = find_answer(layout, path, question)
    try:
        return None if answer is None else _read(answer)
    except ValueError:  # of another version of chrun
        return None


def _answer(found: Subordinate) -> bytes:
    programs = found.programs
    signatures = tuple(map(_signature, programs))
    lines = (_lines(found.maps.uids), _lines(found.maps.gids))
    return packed(signatures, *programs, *lines, found.why, found.hint)


def _read(answer: Fields) -> Subordinate | None:
    """Read the fields of `_answer`."""
    signatures = answer.fields()
    kept = tuple(_numbers(signatures.fields()) for _ in range(2))
    programs = (answer.text(), answer.text())
    maps = IdMaps(_mappings(answer.fields()), _mappings(answer.fields()))
    found = Subordinate(maps, programs, answer.text(), answer.text())
    answer.end()
    return found if kept == tuple(map(_signature, programs)) else None


def _mappings(lines: Fields) -> tuple[IdMapping, ...]:
    found: list[IdMapping] = []
    while not lines.at_end:
        found.append(IdMapping(*_numbers(lines.fields())))
    return tuple(found)


def _numbers(line: Fields) -> tuple[int, int, int]:
    numbers = line.number(), line.number(), line.number()
    line.end()
    return numbers


def _lines(mappings: tuple[IdMapping, ...]) -> Lines:
    return tuple((mapping.container_id, mapping.host_id, mapping.size) for mapping in mappings)


def _signature(path: str) -> Signature:
    """Give what changes when a file does."""
    try:
        status = os.stat(path)
    except OSError:
        return _ABSENT
    return status.st_mtime_ns, status.st_size, status.st_ino
