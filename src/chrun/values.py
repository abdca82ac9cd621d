"""Frozen value classes.

The same idea as `dataclasses.dataclass(frozen=True, slots=True)`, written anew for one reason:
importing `dataclasses` costs twice what starting Python costs, and `chrun run` has a budget of
three such starts in all (design, section 8). Type checkers see dataclasses (PEP 681).
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import NoReturn, Self, cast, dataclass_transform
else:

    def dataclass_transform(**_kwargs: object):
        """Stand in for typing's marker, which only type checkers read."""
        return lambda cls: cls

    def cast(_kind: object, content: object):
        """Stand in for typing's cast, which only type checkers read."""
        return content


_set = object.__setattr__  # that of a value refuses


@dataclass_transform(frozen_default=True)
class ValueType(type):
    """Turns annotations into slots, an `__init__` with defaults, and equality by value."""

    fields: tuple[str, ...]
    defaults: Mapping[str, object]

    def __new__(cls, name: str, bases: tuple[type, ...], namespace: dict[str, object]) -> ValueType:
        """Make the class: its own annotated fields become slots behind those of its bases."""
        annotations = cast("dict[str, object]", namespace.get("__annotations__", {}))
        fields = tuple([key for key, kind in annotations.items() if "ClassVar" not in str(kind)])
        defaults = {key: namespace.pop(key) for key in fields if key in namespace}
        namespace["__slots__"] = fields
        for base in bases:
            if isinstance(base, ValueType):
                fields = base.fields + fields
                defaults = {**base.defaults, **defaults}
        namespace["fields"], namespace["defaults"] = fields, defaults
        return super().__new__(cls, name, bases, namespace)


class Value(metaclass=ValueType):
    """A frozen value: subclasses only list annotated fields, with defaults where they have them."""

    def __init__(self, *args: object, **kwargs: object) -> None:
        fields = type(self).fields
        if kwargs or len(args) != len(fields):
            args = _completed(type(self), args, kwargs)
        for field, content in zip(fields, args, strict=True):
            _set(self, field, content)

    def __setattr__(self, name: str, _content: object) -> NoReturn:
        raise AttributeError(f"{type(self).__name__}.{name} is frozen")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"{type(self).__name__}.{name} is frozen")

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return all(getattr(self, field) == getattr(other, field) for field in type(self).fields)

    def __hash__(self) -> int:
        return hash((type(self), *(getattr(self, field) for field in type(self).fields)))

    def __repr__(self) -> str:
        shown = ", ".join(f"{field}={getattr(self, field)!r}" for field in type(self).fields)
        return f"{type(self).__name__}({shown})"

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), tuple(getattr(self, field) for field in type(self).fields)

    def replace(self, **changes: object) -> Self:
        """Give a copy in which the named fields have other contents."""
        kept = {field: getattr(self, field) for field in type(self).fields}
        return type(self)(**(kept | changes))


def _completed(
    cls: ValueType, args: tuple[object, ...], kwargs: dict[str, object]
) -> tuple[object, ...]:
    """Give the contents of all fields, in order; TypeError for what does not fit them."""
    fields = cls.fields
    if len(args) > len(fields):
        message = f"{cls.__name__} takes {len(fields)} values, got {len(args)}"
        raise TypeError(message)
    given = dict(zip(fields, args, strict=False))
    if given.keys() & kwargs.keys() or not kwargs.keys() <= set(fields):
        message = f"{cls.__name__} got unexpected or repeated values: {', '.join(kwargs)}"
        raise TypeError(message)
    contents = {**cls.defaults, **given, **kwargs}
    for field in fields:
        if field not in contents:
            message = f"{cls.__name__} needs a value for {field}"
            raise TypeError(message)
    return tuple([contents[field] for field in fields])
