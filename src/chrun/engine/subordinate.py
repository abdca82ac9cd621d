"""Which subordinate ids this user may map: /etc/subuid and /etc/subgid, tried once and kept."""

from __future__ import annotations

import marshal
import os

from chrun.linux.host import gains_nothing
from chrun.oci.convert import IdMaps
from chrun.oci.spec import IdMapping
from chrun.store.records import keep_answer
from chrun.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from chrun.store.layout import Layout

    Signature = tuple[int, int, int]
    Lines = tuple[tuple[int, int, int], ...]
    Answer = tuple[Lines, Lines, str, str, str, str]
    Question = tuple[int, int, int, bool, tuple[Signature, Signature]]
    Kept = tuple[Question, tuple[Signature, Signature], Answer]

SUBID_PATHS = "/etc/subuid", "/etc/subgid"
_FORMAT = 2
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
        """Where layers lie that belong to these ids: other maps need another place."""
        uids, gids = (
            "+".join(f"{mapping.host_id}x{mapping.size}" for mapping in mappings[1:])
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
    question = (_FORMAT, os.geteuid(), os.getegid(), gains_nothing(), files)
    if found := _find_kept(layout.subids_answer_path, question):
        return found
    from chrun.engine.subid_trial import ask

    found = ask(layout, paths)
    if found.maps.uids or not found.expected:  # what does not work may be mended any time
        keep_answer(layout.subids_answer_path, marshal.dumps(_kept(question, found)))
    return found


def _find_kept(path: str, question: Question) -> Subordinate | None:
    try:
        with open(path, "rb", buffering=0) as file:
            # The store is its user's alone, as open_store checks.
            kept: Kept = marshal.loads(file.read())  # noqa: S302
        asked, programs, (uids, gids, uid_program, gid_program, why, hint) = kept
    except (OSError, ValueError, TypeError, EOFError):  # none, or written by another Python
        return None
    if asked != question or programs != (_signature(uid_program), _signature(gid_program)):
        return None
    maps = IdMaps(
        tuple(IdMapping(*line) for line in uids), tuple(IdMapping(*line) for line in gids)
    )
    return Subordinate(maps, (uid_program, gid_program), why, hint)


def _kept(question: Question, found: Subordinate) -> Kept:
    programs = found.programs
    lines = (_lines(found.maps.uids), _lines(found.maps.gids))
    signatures = (_signature(programs[0]), _signature(programs[1]))
    return question, signatures, (*lines, *programs, found.why, found.hint)


def _lines(mappings: tuple[IdMapping, ...]) -> Lines:
    return tuple((mapping.container_id, mapping.host_id, mapping.size) for mapping in mappings)


def _signature(path: str) -> Signature:
    """Give what changes when a file does."""
    try:
        status = os.stat(path)
    except OSError:
        return _ABSENT
    return status.st_mtime_ns, status.st_size, status.st_ino
