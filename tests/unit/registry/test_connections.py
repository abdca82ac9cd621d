"""Sockets that are read under a limit: their timeouts, and how often these are set."""

from __future__ import annotations

import socket

import pytest

from chrun.registry.connections import Watch, _WatchedSocket
from chrun.registry.patience import Deadline, Pace, TooSlowError


class Counted(socket.socket):
    """A socket that counts how often its timeout is set: two system calls each."""

    sets = 0

    def settimeout(self, value):
        self.sets += 1
        super().settimeout(value)


@pytest.fixture
def pair():
    """A socket to read from, whose timeout is a minute, and its other end."""
    source, other = socket.socketpair()
    with Counted(fileno=source.detach()) as counted, other:
        counted.settimeout(60)
        counted.sets = 0
        yield counted, other


def _watched(source, limit):
    return _WatchedSocket(source.makefile("rb", buffering=0), source, Watch(limit))


@pytest.mark.parametrize(
    ("kind", "bounds", "sets"),
    [(Deadline, (120,), 0), (Deadline, (30,), 1), (Pace, (30, 1 << 10), 1)],
)
def test_a_timeout_is_not_set_for_each_read(pair, kind, bounds, sets):
    source, other = pair
    reader = _watched(source, kind(*bounds))  # whose time begins now
    for _ in range(100):
        other.send(b"x")
        assert reader.read(10) == b"x"
    assert source.sets == sets


def test_a_shorter_limit_ends_the_read(pair):
    source, _other = pair
    with pytest.raises(TooSlowError):
        _watched(source, Deadline(0.05)).read(1)


def test_silence_ends_the_read_although_the_limit_is_longer(pair):
    source, _other = pair
    source.settimeout(0.05)
    with pytest.raises(TimeoutError, match="timed out"):
        _watched(source, Deadline(120)).read(1)


def test_silence_ends_the_read_also_after_a_shorter_limit(pair):
    source, other = pair
    source.settimeout(0.2)
    reader = _watched(source, Deadline(0.1))
    other.send(b"x")
    assert reader.read(1) == b"x"
    reader._watch.limit = Deadline(120)
    with pytest.raises(TimeoutError, match="timed out"):
        reader.read(1)
