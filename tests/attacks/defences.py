"""The table of defences, defences.toml, as values."""

from __future__ import annotations

import tomllib
from pathlib import Path

from chrun.values import Value


class Edit(Value):
    """A text that is in a file once, and what to write instead."""

    path: str
    old: str
    new: str


class Defence(Value):
    """One defence against `attack`; each of `tests` must fail when `who` plays it without."""

    attack: str
    removed: str
    edits: tuple[Edit, ...]
    tests: tuple[str, ...]
    who: str = "root"


def _read_table() -> tuple[Defence, ...]:
    table = tomllib.loads(Path(__file__).with_name("defences.toml").read_text())
    return tuple(
        Defence(
            tests=tuple(entry.pop("tests")),
            edits=tuple(Edit(**edit) for edit in entry.pop("edit")),
            **entry,
        )
        for entry in table["defence"]
    )


DEFENCES = _read_table()
