"""Reading JSON documents from outside, field by field, into the types that they must have.

JSON bounds neither numbers nor characters. Here every number has bounds, and a text is one that can
be handed to the kernel: it has no NUL, and no half of a surrogate pair.
"""

from __future__ import annotations

import json
import math

from chrun.errors import ContentError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import NoReturn, TypeGuard, TypeVar

    Kind = TypeVar("Kind")

LARGEST = (1 << 63) - 1  # what sizes and offsets are to the kernel, and to Go's readers of JSON
_MOST_DIGITS = 20  # of an unsigned number of 64 bits, which seccomp profiles compare
_SHOWN_CHARACTERS = 40


class Document:
    """A JSON object whose fields are asked for by name and type; `what` names it in errors."""

    def __init__(self, what: str, fields: Mapping[str, object]) -> None:
        self.what = what
        self.fields = fields

    @classmethod
    def parse(cls, what: str, content: bytes) -> Document:
        """Read JSON in UTF-8; ContentError unless it is one object."""
        try:
            fields: object = _read_json(content)
        except (ValueError, RecursionError) as error:
            raise ContentError(f"cannot read {what}: not JSON: {error}") from error
        if not _is_object(fields):
            raise ContentError(f"cannot read {what}: not a JSON object")
        return cls(what, fields)

    def __contains__(self, name: str) -> bool:
        return self.fields.get(name) is not None

    def _field(self, name: str, kind: type[Kind], default: Kind | None) -> Kind:
        content = self.fields.get(name)
        if content is None and default is not None:
            return default
        if not isinstance(content, kind) or (kind is int and isinstance(content, bool)):
            found = "missing" if content is None else f"a {type(content).__name__}"
            raise ContentError(
                f"cannot read {self.what}: {name} is {found}, expected a {kind.__name__}"
            )
        return content

    def text(self, name: str, default: str | None = None) -> str:
        """Give a string; without a default it must be there."""
        return self._plain(name, self._field(name, str, default))

    def integer(
        self, name: str, default: int | None = None, *, least: int = 0, most: int = LARGEST
    ) -> int:
        """Return an integer from `least` to `most`; without a default it must be there."""
        number = self._field(name, int, default)
        if not least <= number <= most:
            raise ContentError(
                f"cannot read {self.what}: {name} is {number}, expected {least} to {most}"
            )
        return number

    def texts(self, name: str) -> tuple[str, ...]:
        """Give a list of strings, empty when it is not there."""
        listed: list[object] = self._field(name, list, [])
        return tuple(self._plain(name, self._checked(name, entry, str)) for entry in listed)

    def mapping(self, name: str) -> dict[str, str]:
        """Give an object of strings, empty when it is not there."""
        held: dict[str, object] = self._field(name, dict, {})
        return {
            self._plain(name, key): self._plain(name, self._checked(name, content, str))
            for key, content in held.items()
        }

    def document(self, name: str) -> Document:
        """Give an object, empty when it is not there."""
        held: dict[str, object] = self._field(name, dict, {})
        return Document(f"{self.what}: {name}", held)

    def documents(self, name: str) -> Iterator[Document]:
        """Give a list of objects, empty when it is not there."""
        listed: list[object] = self._field(name, list, [])
        for position, entry in enumerate(listed):
            if not _is_object(entry):
                raise self._misfit(name, entry, dict)
            yield Document(f"{self.what}: {name}[{position}]", entry)

    def _plain(self, name: str, text: str) -> str:
        """Refuse a text that no system call and no file name could have."""
        if "\0" in text:
            raise ContentError(f"cannot read {self.what}: {name} has a NUL character in it")
        if not text.isascii() and any("\ud800" <= mark <= "\udfff" for mark in text):
            raise ContentError(
                f"cannot read {self.what}: {name} has half of a surrogate pair in it, "
                "which is no character"
            )
        return text

    def _checked(self, name: str, content: object, kind: type[Kind]) -> Kind:
        if not isinstance(content, kind):
            raise self._misfit(name, content, kind)
        return content

    def _misfit(self, name: str, content: object, kind: type) -> ContentError:
        return ContentError(
            f"cannot read {self.what}: {name} holds a {type(content).__name__}, "
            f"expected a {kind.__name__}"
        )


def _read_json(content: bytes) -> object:
    """Read JSON in UTF-8 with numbers of at most 20 digits; ValueError or RecursionError.

    A field says how large its number may be (`Document.integer`); this keeps out what Python itself
    cannot convert, add up or print.
    """
    return json.loads(
        content.decode(), parse_int=_integer, parse_float=_fraction, parse_constant=_refuse
    )


def _integer(text: str) -> int:
    return int(text) if len(text.removeprefix("-")) <= _MOST_DIGITS else _refuse(text)


def _fraction(text: str) -> float:
    number = float(text)
    return number if math.isfinite(number) else _refuse(text)


def _refuse(text: str) -> NoReturn:
    """Refuse NaN and Infinity, too, which Python's reader takes though JSON has none."""
    shown = text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}..."
    message = f"the number {shown} is out of range"
    raise ValueError(message)


def _is_object(content: object) -> TypeGuard[dict[str, object]]:
    return isinstance(content, dict)  # JSON's keys are strings
