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


@dataclass_transform(frozen_default=True)
class ValueType(type):
    """Turns annotations into slots, an `__init__` with defaults, and equality by value."""

    fields: tuple[str, ...]
    defaults: Mapping[str, object]

    def __new__(cls, name: str, bases: tuple[type, ...], namespace: dict[str, object]) -> ValueType:
        """Make the class: its own annotated fields become slots behind those of its bases."""
        annotations = cast("dict[str, object]", namespace.get("__annotations__", {}))
        own = tuple(key for key, kind in annotations.items() if "ClassVar" not in str(kind))
        defaults = {key: namespace.pop(key) for key in own if key in namespace}
        namespace["__slots__"] = own
        made = super().__new__(cls, name, bases, namespace)
        made.fields, made.defaults = own, defaults
        for base in bases:
            if isinstance(base, ValueType):
                made.fields = base.fields + made.fields
                made.defaults = {**base.defaults, **made.defaults}
        return made


class Value(metaclass=ValueType):
    """A frozen value: subclasses only list annotated fields, with defaults where they have them."""

    def __init__(self, *args: object, **kwargs: object) -> None:
        cls = type(self)
        if len(args) > len(cls.fields):
            message = f"{cls.__name__} takes {len(cls.fields)} values, got {len(args)}"
            raise TypeError(message)
        given = dict(zip(cls.fields, args, strict=False))
        if given.keys() & kwargs.keys() or not kwargs.keys() <= set(cls.fields):
            message = f"{cls.__name__} got unexpected or repeated values: {', '.join(kwargs)}"
            raise TypeError(message)
        for field in cls.fields:
            if field in given:
                content = given[field]
            elif field in kwargs:
                content = kwargs[field]
            elif field in cls.defaults:
                content = cls.defaults[field]
            else:
                message = f"{cls.__name__} needs a value for {field}"
                raise TypeError(message)
            object.__setattr__(self, field, content)

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
