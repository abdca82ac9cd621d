"""The progress of a pull as bars, for terminals."""

from __future__ import annotations

import threading

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from chrun.cli.output import printable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Self

    from rich.progress import TaskID

    from chrun.engine.progress import Part


class Bars:
    """Shows a pull as one bar for each layer that is fetched, on stderr."""

    def __init__(self) -> None:
        self._shown = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            DownloadColumn(),
            TransferSpeedColumn(),
            TimeRemainingColumn(compact=True),
            console=Console(stderr=True),
        )
        self._bars: dict[Part, TaskID] = {}
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        self._shown.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._shown.stop()

    def present(self, part: Part) -> None:
        """Show a full bar."""
        self._update(part, "already here", part.size)

    def waiting(self, part: Part) -> None:
        """Say whom the bar waits for."""
        self._update(part, "waiting for another chrun", 0)

    def started(self, part: Part, done: int) -> None:
        """Show the bar, as full as an earlier attempt left it."""
        self._update(part, "fetching", done)

    def advanced(self, part: Part, amount: int) -> None:
        """Move the bar."""
        self._shown.advance(self._bar(part), amount)

    def resuming(self, part: Part, why: str) -> None:
        """Print why the bar stood still."""
        self._shown.console.print(escape(printable(f"{_name(part)}: trying again: {why}")))

    def finished(self, part: Part) -> None:
        """Show a full bar."""
        self._update(part, "done", part.size)

    def _bar(self, part: Part) -> TaskID:
        with self._lock:
            if part not in self._bars:
                self._bars[part] = self._shown.add_task(_name(part), total=part.size)
            return self._bars[part]

    def _update(self, part: Part, state: str, done: int) -> None:
        description = escape(f"{_name(part)} {state}")
        self._shown.update(self._bar(part), description=description, completed=done)


def _name(part: Part) -> str:
    return f"layer {part.position}/{part.count} {part.digest.short}"
