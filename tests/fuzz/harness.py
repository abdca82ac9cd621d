"""Running checks on many inputs, for a time."""

from __future__ import annotations

import faulthandler
import time
from itertools import count
from random import Random, SystemRandom
from typing import TYPE_CHECKING, TypeVar

from chrun.errors import ChrunError
from tests.fuzz.inputs import Draw

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Self

Input = TypeVar("Input")

_LONGEST_SECONDS = 60  # without an end to an input, every thread's stack is printed, and that is it
_SEEDS = 1 << 32
_SHOWN = 4000


class Quiet:
    """A context manager that takes errors of chrun's for an answer, if they are one line."""

    def __init__(self, *more: type[Exception]) -> None:
        self._kinds = (ChrunError, *more)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> bool:
        if not isinstance(error, self._kinds):
            return False
        if isinstance(error, ChrunError):
            assert str(error).isprintable(), f"an error that is not one line: {error!r}"
        return True


def fuzz(
    check: Callable[[Input], None],
    make: Callable[[Draw], Input],
    seconds: float,
    seed: int | None,
) -> None:
    """Check inputs until the time is over; the same seed makes the same ones in their order.

    What the check raises is raised, with a note that has the input.
    """
    seed = SystemRandom().randrange(_SEEDS) if seed is None else seed
    began = looked = time.monotonic()
    faulthandler.dump_traceback_later(_LONGEST_SECONDS, exit=True)
    try:
        for number in count():
            given = make(Draw(Random(seed * _SEEDS + number)))
            try:
                check(given)
            except BaseException as error:
                error.add_note(f"input {number} of seed {seed}: {given!r}"[:_SHOWN])
                raise
            now = time.monotonic()
            if now - began >= seconds:
                print(f"{number + 1} inputs for {getattr(check, 'func', check).__name__}")
                return
            if now - looked > 1:
                looked = now
                faulthandler.dump_traceback_later(_LONGEST_SECONDS, exit=True)
    finally:
        faulthandler.cancel_dump_traceback_later()


def fuzz_each(
    checks: list[tuple[Callable[[Input], None], Callable[[Draw], Input]]],
    seconds: float,
    seed: int | None,
) -> None:
    """Share the time between several checks."""
    for check, make in checks:
        fuzz(check, make, seconds / len(checks), seed)
