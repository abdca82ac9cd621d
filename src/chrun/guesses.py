"""Guesses at what somebody meant who mistyped a word; imported only when somebody has."""

from __future__ import annotations

from difflib import SequenceMatcher

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

_BEGINNING = 3  # letters that a shortened word must have
_ENOUGH = 0.81  # of the letters in common; more than docker's rm and --ip have with rmi and --ipc


def guess(word: str, known: Iterable[str]) -> str:
    """Give the known word that was meant, "" when none is near: a bad guess leads astray.

    Case and punctuation do not count.
    """
    letters = _letters(word)
    nearest = max(known, key=lambda each: _nearness(letters, _letters(each)), default="")
    return nearest if _nearness(letters, _letters(nearest)) >= _ENOUGH else ""


def _letters(word: str) -> str:
    return "".join(filter(str.isalnum, word.lower()))


def _nearness(letters: str, other: str) -> float:
    """Give 3 for the same word, 2 and more for its beginning, 1 for the same letters, or less."""
    if letters == other:
        return 3
    if len(letters) >= _BEGINNING and other.startswith(letters):
        return 2 + 1 / len(other)  # the shortest
    if sorted(letters) == sorted(other):
        return 1
    return SequenceMatcher(None, letters, other).ratio()
