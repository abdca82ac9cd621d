"""Reading JSON documents from outside, field by field, into the types that they must have."""

from __future__ import annotations

import json

from chrun.errors import ContentError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import TypeGuard, TypeVar

    Kind = TypeVar("Kind")


class Document:
    """A JSON object whose fields are asked for by name and type; `what` names it in errors."""

    def __init__(self, what: str, fields: Mapping[str, object]) -> None:
        self.what = what
        self.fields = fields

    @classmethod
    def parse(cls, what: str, content: bytes) -> Document:
        """Read JSON bytes; ContentError unless they are one object."""
        try:
            fields: object = json.loads(content)
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
        return self._field(name, str, default)

    def integer(self, name: str, default: int | None = None) -> int:
        """Give an integer; without a default it must be there."""
        return self._field(name, int, default)

    def texts(self, name: str) -> tuple[str, ...]:
        """Give a list of strings, empty when it is not there."""
        listed: list[object] = self._field(name, list, [])
        return tuple(str(self._checked(name, entry, str)) for entry in listed)

    def mapping(self, name: str) -> dict[str, str]:
        """Give an object of strings, empty when it is not there."""
        held: dict[str, object] = self._field(name, dict, {})
        return {key: str(self._checked(name, content, str)) for key, content in held.items()}

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

    def _checked(self, name: str, content: object, kind: type[Kind]) -> Kind:
        if not isinstance(content, kind):
            raise self._misfit(name, content, kind)
        return content

    def _misfit(self, name: str, content: object, kind: type) -> ContentError:
        return ContentError(
            f"cannot read {self.what}: {name} holds a {type(content).__name__}, "
            f"expected a {kind.__name__}"
        )


def _is_object(content: object) -> TypeGuard[dict[str, object]]:
    return isinstance(content, dict)  # JSON's keys are strings
