"""Files that the store reads back: cached answers, and the record of a first process."""

from __future__ import annotations

import os
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from chrun.store.answers import Fields, packed
from chrun.store.layout import Layout
from chrun.store.records import _record
from chrun.store.running import recorded_process
from tests.fuzz.harness import Quiet, fuzz_each
from tests.fuzz.inputs import Draw

if TYPE_CHECKING:
    from collections.abc import Callable

_READERS = (Fields.text, Fields.number, Fields.data, Fields.texts, Fields.fields)
_LAYOUT = Layout("/nonexistent")
_DIGEST = f"sha256:{'a' * 64}"


def _field(draw: Draw, depth: int = 2) -> object:
    kinds: list[Callable[[Draw], object]] = [
        lambda draw: draw.one((_DIGEST, "linux/amd64", "", "\udcff")),
        lambda draw: draw.integer(-(1 << 70), 1 << 70),
        lambda draw: draw.bytes(9),
        lambda _draw: None,
    ]
    if depth:
        kinds.append(lambda draw: tuple(draw.list(lambda draw: _field(draw, depth - 1), 4)))
    return draw.of(*kinds)


def _answer(draw: Draw) -> tuple[bytes, list[int]]:
    fields = draw.list(_field, 12)
    order = [draw.integer(0, len(_READERS) - 1) for _ in range(20)]
    return draw.damaged(packed(*fields)), order


def _fields(given: tuple[bytes, list[int]]) -> None:
    content, order = given
    fields = Fields(content)
    try:
        for number in order:
            _READERS[number](fields)
        fields.end()
    except ValueError:
        return


def _image(given: tuple[bytes, list[int]]) -> None:
    with Quiet(ValueError):
        _record(_LAYOUT, Fields(given[0]))


def _target(draw: Draw) -> bytes:
    parts = [draw.of(Draw.number, Draw.word) for _ in range(draw.integer(1, 3))]
    text = ":".join(parts).encode(errors="replace")
    return draw.damaged(text).replace(b"\0", b"")[:200] or b":"


def _recorded(target: bytes) -> None:
    with TemporaryDirectory(prefix="fuzz-") as directory:
        os.symlink(target, os.fsencode(f"{directory}/process"))
        recorded = recorded_process(directory)
    assert recorded is None or recorded[0] > 0


def run(seconds: float, seed: int | None = None) -> None:
    """Fuzz each of them."""
    checks: list[tuple[Callable[..., None], Callable[[Draw], object]]] = [
        (_fields, _answer),
        (_image, _answer),
        (_recorded, _target),
    ]
    fuzz_each(checks, seconds, seed)
