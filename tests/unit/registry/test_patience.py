"""Deadlines and paces, by a clock that the test turns."""

from __future__ import annotations

from math import inf

import pytest

from chrun.registry.patience import Pace, TooSlowError


class Clock:
    """Time that passes when it is told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def begun(clock):
    """Make a pace whose first window has begun."""

    def make(seconds, least_bytes):
        pace = Pace(seconds, least_bytes, clock)
        pace.note_arrival()
        return pace

    return make


def _read(pace, clock, seconds, size):
    pace.begin_read()
    clock.now += seconds
    pace.end_read(size)


def test_a_window_that_brought_enough_is_followed_by_another(begun, clock):
    pace = begun(10, 100)
    for _ in range(5):
        _read(pace, clock, 6, 50)
        _read(pace, clock, 4, 50)
        pace.begin_read()
        assert pace.seconds_left() == 10


def test_a_window_that_brought_too_little_is_the_last(begun, clock):
    pace = begun(10, 100)
    _read(pace, clock, 6, 99)
    pace.begin_read()
    assert pace.seconds_left() == 4
    clock.now += 4
    with pytest.raises(TooSlowError, match="99 bytes in 10 seconds, expected 100"):
        pace.seconds_left()


def test_what_an_earlier_window_brought_too_much_does_not_count(begun, clock):
    pace = begun(10, 100)
    _read(pace, clock, 10, 100_000)
    pace.begin_read()
    assert pace.seconds_left() == 10
    clock.now += 10
    with pytest.raises(TooSlowError):
        pace.seconds_left()


def test_a_reader_that_is_slow_itself_takes_no_time(begun, clock):
    pace = begun(10, 100)
    for _ in range(5):
        _read(pace, clock, 1, 1)
        clock.now += 1000
    pace.begin_read()
    assert pace.seconds_left() == 5


def test_no_bytes_are_no_limit(begun, clock):
    pace = begun(10, 0)
    pace.begin_read()
    clock.now += 1_000_000
    assert pace.seconds_left() == 10


@pytest.mark.parametrize("size", [0, 1])
def test_the_first_window_begins_with_the_first_bytes(clock, size):
    """Also with those of framing, of which the body has none."""
    pace = Pace(10, 100, clock)
    pace.begin_read()
    clock.now += 1_000_000
    assert pace.seconds_left() == inf
    if size:
        pace.end_read(size)
        pace.begin_read()
    else:
        pace.note_arrival()
    assert pace.seconds_left() == 10
    clock.now += 10
    pace.note_arrival()
    with pytest.raises(TooSlowError, match=f"{size} bytes in 10 seconds, expected 100"):
        pace.seconds_left()
