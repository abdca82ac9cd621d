"""Cached answers: small files that are safe to read, whatever they contain.

A file is the text of `_FORMAT`, a checksum of the rest, the length of the question, the question,
and the answer. Question and answer are records: fields one after the other, each with a letter for
its kind, the length of its content in four bytes, and the content. A field has only one encoding,
so equal questions are equal bytes.

Only files of the caller's are read, by a descriptor that was checked; and none where another user
could replace the store (`access.py`).
"""

from __future__ import annotations

import os
import stat
from _thread import get_native_id

from chrun.store.access import open_own

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypeAlias

    from chrun.store.layout import Layout

    Field: TypeAlias = "str | int | bytes | tuple[Field, ...] | None"

_FORMAT = b"chrun answer 1\n"
_TEXT, _NUMBER, _BYTES, _FIELDS, _NOTHING = b"snb(-"
_LENGTH = 4  # bytes of a length
_HEAD = 1 + _LENGTH  # of a field
_CHECKSUM = 8  # bytes
_PRIME = (1 << 61) - 1
_MOST_BYTES = 8 << 20  # of a file; an image's configuration has half of that at most
_MOST_DIGITS = 32  # bytes of a number
_OTHERS_MAY_WRITE = 0o022
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


def find_answer(layout: Layout, path: str, question: bytes) -> Fields | None:
    """Return the answer that was kept at `path` for exactly this question.

    None where there is none, where it is damaged or is not a file of the caller's alone, and where
    answers of this store are not used.
    """
    content = _read_own(path) if layout.keeps_answers else b""
    head = len(_FORMAT) + _CHECKSUM
    body = content[head:]
    if content[:head] != _FORMAT + checksum(body).to_bytes(_CHECKSUM, "little"):
        return None
    asked = len(question).to_bytes(_LENGTH, "little") + question
    return Fields(body[len(asked) :]) if body.startswith(asked) else None


def keep_answer(layout: Layout, path: str, question: bytes, answer: bytes) -> None:
    """Keep an answer, in one piece; without effect where that is impossible or would be useless."""
    if not layout.keeps_answers:
        return
    body = len(question).to_bytes(_LENGTH, "little") + question + answer
    scratch_path = f"{path}.{get_native_id()}"
    try:
        with open_own(scratch_path) as file:
            file.write(_FORMAT + checksum(body).to_bytes(_CHECKSUM, "little") + body)
        os.replace(scratch_path, path)
    except OSError:  # a full disk or too long a name: the next command works it out again
        return


def checksum(content: bytes) -> int:
    """Return a checksum, which a file that a power cut left half written fails."""
    return int.from_bytes(content, "little") % _PRIME


def packed(*fields: Field) -> bytes:
    """Encode the fields of a record. OverflowError for a length that has more than four bytes."""
    return b"".join(map(_encoded, fields))


def _encoded(field: Field) -> bytes:
    if isinstance(field, str):  # what JSON and Python can write, no encoding can
        kind, content = _TEXT, field.encode(errors="surrogatepass")
    elif isinstance(field, bytes):
        kind, content = _BYTES, field
    elif isinstance(field, tuple):
        kind, content = _FIELDS, packed(*field)
    elif field is None:
        kind, content = _NOTHING, b""
    else:
        kind = _NUMBER
        content = int(field).to_bytes(field.bit_length() // 8 + 1, "little", signed=True)
    return bytes((kind,)) + len(content).to_bytes(_LENGTH, "little") + content


class Fields:
    """Reads the fields of a record in their order; ValueError where another kind was expected."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self._position = 0

    @property
    def at_end(self) -> bool:
        """Whether all fields were read."""
        return self._position == len(self._content)

    def text(self) -> str:
        """Read a text."""
        return self._next(_TEXT).decode(errors="surrogatepass")

    def data(self) -> bytes:
        """Read bytes."""
        return self._next(_BYTES)

    def number(self) -> int:
        """Read a number."""
        content = self._next(_NUMBER)
        if not 0 < len(content) <= _MOST_DIGITS:
            raise ValueError("a number of no or too many bytes")
        return int.from_bytes(content, "little", signed=True)

    def fields(self) -> Fields:
        """Read fields that belong together."""
        return Fields(self._next(_FIELDS))

    def texts(self) -> tuple[str, ...]:
        """Read texts that belong together."""
        inner = self.fields()
        texts: list[str] = []
        while not inner.at_end:
            texts.append(inner.text())
        return tuple(texts)

    def end(self) -> None:
        """Refuse fields that nothing has read."""
        if not self.at_end:
            raise ValueError("more fields than expected")

    def _next(self, kind: int) -> bytes:
        start = self._position + _HEAD
        head = self._content[self._position : start]
        end = start + int.from_bytes(head[1:], "little")
        if len(head) < _HEAD or head[0] != kind or end > len(self._content):
            raise ValueError("a field of another kind, or only the beginning of one")
        self._position = end
        return self._content[start:end]


def _read_own(path: str) -> bytes:
    """Read a regular file that the caller alone can have written; b"" for all else."""
    try:
        fd = os.open(path, _READ)
    except OSError:
        return b""
    try:
        status = os.fstat(fd)
        is_own = status.st_uid == os.geteuid() and not status.st_mode & _OTHERS_MAY_WRITE
        if not stat.S_ISREG(status.st_mode) or not is_own or status.st_size > _MOST_BYTES:
            return b""
        return os.read(fd, status.st_size)
    except OSError:
        return b""
    finally:
        os.close(fd)
