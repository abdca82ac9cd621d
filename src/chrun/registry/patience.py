"""How long a registry is waited for: between two bytes, for a whole request, for a slow blob."""

from __future__ import annotations

from math import inf
from time import monotonic

from chrun.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Protocol

    class Limit(Protocol):
        """The limit of a read."""

        def seconds_left(self) -> float:
            """Return how long the next read may take; TooSlowError when no time is left."""
            ...

        def note_arrival(self) -> None:
            """Note that bytes of any kind were received."""
            ...


class Patience(Value):
    """How long to wait, in seconds, and how often to ask.

    `request_seconds` are for all of one attempt: connecting, redirects, headers, and the body of a
    document. A blob may take longer, but once its body has begun each `window_seconds` of waiting
    for it must bring `window_bytes`; 0 bytes is no limit.
    """

    connect_seconds: float = 10
    read_seconds: float = 60  # without a single byte
    request_seconds: float = 120
    window_seconds: float = 30
    window_bytes: int = 30 << 10
    attempts: int = 5
    pause_seconds: float = 0.25  # doubled each time, and jittered
    longest_wait_seconds: float = 60  # a longer Retry-After is not waited for


class TooSlowError(TimeoutError):
    """Bytes came, but too few of them, or for too long; the message says which."""


class Deadline:
    """Limits a whole request, however many bytes come."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._end = monotonic() + seconds

    def seconds_left(self) -> float:
        """Return how long the next read may take; TooSlowError when no time is left."""
        left = self._end - monotonic()
        if left <= 0:
            raise TooSlowError(f"no whole answer in {self._seconds:g} seconds")
        return left

    def note_arrival(self) -> None:
        """Do nothing: bytes change no deadline."""


class Pace:
    """Limits how slow a body may come.

    Only the time inside of reads counts, so a slow disk of the reader does not. Only the body's own
    bytes count: headers, trailers and framing could come for ever. The first window begins with
    the first bytes, if only of framing: a cache may first have to fetch the blob itself. Before,
    there is no limit but that of the caller for silence.
    """

    def __init__(
        self, seconds: float, least_bytes: int, clock: Callable[[], float] = monotonic
    ) -> None:
        self._seconds = seconds
        self._least_bytes = least_bytes
        self._clock = clock
        self._waited = 0.0  # in this window, before the read that goes on
        self._received = 0
        self._began = clock()
        self._has_begun = False

    def begin_read(self) -> None:
        """Start the clock."""
        self._began = self._clock()

    def end_read(self, size: int) -> None:
        """Stop the clock: the read brought `size` bytes of the body."""
        self.note_arrival()
        self._waited += self._clock() - self._began
        self._received += size

    def seconds_left(self) -> float:
        """Return how long the next read may take; TooSlowError when a window brought too little."""
        if not self._has_begun:
            return inf
        left = self._seconds - self._waited - (self._clock() - self._began)
        if left > 0:
            return left
        if self._received < self._least_bytes:
            raise TooSlowError(
                f"it sends too slowly: {self._received} bytes in {self._seconds:g} seconds, "
                f"expected {self._least_bytes}"
            )
        self._waited, self._received, self._began = 0.0, 0, self._clock()
        return self._seconds

    def note_arrival(self) -> None:
        """Begin the first window, unless it has begun."""
        if not self._has_begun:
            self._has_begun, self._began = True, self._clock()
