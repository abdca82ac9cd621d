"""Doing several things at once, so that all of them stop when one fails or the user has enough."""

from __future__ import annotations

import queue
import threading
import time
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_PATIENCE_SECONDS = 1.0  # for threads to tidy up; they are daemons, and what they leave is cleared

Job = TypeVar("Job")


class Cancelled(Exception):  # noqa: N818 - a request, and never an error that anybody is told
    """Raised in a thread whose work is not wanted any more."""


class Cancellation:
    """The wish that threads stop, which they look at between two steps."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def request(self) -> None:
        """Ask everybody to stop."""
        self._event.set()

    def check(self) -> None:
        """Raise Cancelled when that was asked for."""
        if self._event.is_set():
            raise Cancelled

    def sleep(self, seconds: float) -> None:
        """Sleep, and raise Cancelled as soon as that is asked for."""
        self._event.wait(seconds)
        self.check()


def run_in_parallel(
    work: Callable[[Job], None], jobs: Iterable[Job], cancellation: Cancellation, *, threads: int
) -> None:
    """Do `work` on every job, in their order, in several threads.

    The first error that one raises stops the others and is raised here; so is KeyboardInterrupt.
    """
    todo: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
    outcomes: queue.SimpleQueue[BaseException | None] = queue.SimpleQueue()

    def labour() -> None:
        try:
            while (job := todo.get()) is not None:
                cancellation.check()
                work(job)
        except BaseException as error:  # noqa: BLE001 - raised again below, where somebody waits
            outcomes.put(error)
        else:
            outcomes.put(None)

    for job in (*jobs, *(None for _ in range(threads))):
        todo.put(job)
    workers = [threading.Thread(target=labour, daemon=True) for _ in range(threads)]
    for worker in workers:
        worker.start()
    try:
        for _ in workers:
            if failure := outcomes.get():
                raise failure
    finally:
        cancellation.request()
        deadline = time.monotonic() + _PATIENCE_SECONDS
        for worker in workers:
            worker.join(max(0, deadline - time.monotonic()))
