"""What the commands print: tables, sizes, ages, and the progress of a pull as lines.

Names come from registries and users, so everything passes `printable`: no escape sequence of
theirs reaches a terminal.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Self

    from chrun.engine.progress import Part, Progress
    from chrun.errors import ChrunError

_UNITS = ("B", "kB", "MB", "GB", "TB", "PB")
_AGES = (  # seconds, and what as many are called
    (365 * 86400, "year"),
    (30 * 86400, "month"),
    (7 * 86400, "week"),
    (86400, "day"),
    (3600, "hour"),
    (60, "minute"),
)


def printable(text: str) -> str:
    """Give a text as one line without control characters."""
    return "".join(mark if mark.isprintable() else "?" for mark in text)


def error_text(error: ChrunError) -> str:
    """Give the lines that tell of an error: what happened, and what can be done about it."""
    lines = [f"chrun: {printable(str(error))}"]
    if error.hint:
        lines.append(f"hint: {printable(error.hint)}")
    return "\n".join(lines) + "\n"


def human_size(size: float) -> str:
    """Give a size in bytes as docker does: 12.3MB, in powers of a thousand."""
    for unit in _UNITS[:-1]:
        if size < 999.5:
            return f"{size:.3g}{unit}"
        size /= 1000
    return f"{size:.3g}{_UNITS[-1]}"


def human_age(seconds: float) -> str:
    """Give an age in words: "3 weeks ago"."""
    for length, name in _AGES:
        if (count := int(seconds // length)) > 0:
            return f"{count} {name}{'s' if count > 1 else ''} ago"
    return "just now"


def print_table(rows: Iterable[Sequence[str]]) -> None:
    """Print rows, the first of them headings, in columns three spaces apart."""
    table = [[printable(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for row in table:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        print("   ".join(cells).rstrip())


def make_progress(*, quiet: bool) -> Progress:
    """Give what shows a pull on stderr: bars on a terminal, lines elsewhere, nothing if quiet."""
    if quiet:
        from chrun.engine.progress import Silent

        return Silent()
    if sys.stderr.isatty():
        from chrun.cli.bars import Bars  # rich is slow to import

        return Bars()
    return Lines()


class Lines:
    """Shows a pull as a line for each thing that happens."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        return

    def present(self, part: Part) -> None:
        """Print that the layer is here."""
        _print_line(f"{_name(part)}: already here")

    def waiting(self, part: Part) -> None:
        """Print that another chrun fetches it."""
        _print_line(f"waiting for another chrun to fetch {part}")

    def started(self, part: Part, done: int) -> None:
        """Print what is being fetched."""
        here = f", {human_size(done)} of it already here" if done else ""
        _print_line(f"{_name(part)}: fetching {human_size(part.size)}{here}")

    def advanced(self, part: Part, amount: int) -> None:
        """Print nothing: lines do not move."""

    def resuming(self, part: Part, why: str) -> None:
        """Print why it goes on only now."""
        _print_line(f"{_name(part)}: trying again: {why}")

    def finished(self, part: Part) -> None:
        """Print that it is here now."""
        _print_line(f"{_name(part)}: {human_size(part.size)}")


def _name(part: Part) -> str:
    return f"layer {part.position}/{part.count} {part.digest.short}"


def _print_line(text: str) -> None:
    print(printable(text), file=sys.stderr, flush=True)
