"""Locks between processes and threads, which flock(2) treats alike."""

from __future__ import annotations

import os
import signal
import threading
import time

import pytest

from chrun.store.locks import hold, try_hold, try_hold_file, wait_hold_file


def test_one_alone_or_several_together(tmp_path):
    with hold(str(tmp_path)):
        assert try_hold(str(tmp_path)) is None
        assert try_hold(str(tmp_path), shared=True) is None
    with hold(str(tmp_path), shared=True), try_hold(str(tmp_path), shared=True):
        assert try_hold(str(tmp_path)) is None
    with try_hold(str(tmp_path)) as held:
        assert held


def test_a_lock_dies_with_its_process(tmp_path):
    pid = os.fork()
    if not pid:
        held = hold(str(tmp_path))
        (tmp_path / "held").touch()
        time.sleep(60)
        held.release()
        os._exit(0)
    while not (tmp_path / "held").exists():
        time.sleep(0.01)
    assert try_hold(str(tmp_path)) is None
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    with hold(str(tmp_path)):
        pass


def test_of_two_that_want_it_alone_one_gets_it(tmp_path):
    path = str(tmp_path / "lock")
    first, second = try_hold_file(path, shared=True), try_hold_file(path, shared=True)
    assert not first.upgrade()  # the second has it, too; and now only the second
    assert second.upgrade()
    assert try_hold_file(path, shared=True) is None
    first.release()
    second.release()


def test_a_lock_that_was_cleared_away_is_not_had_alone(tmp_path):
    path = str(tmp_path / "lock")
    with try_hold_file(path, shared=True) as held:
        os.unlink(path)  # by one who got it between the two steps of an upgrade
        with try_hold_file(path):
            assert not held.upgrade()


def test_a_lock_on_a_file_that_was_cleared_away_is_taken_on_its_successor(tmp_path):
    path = str(tmp_path / "lock")
    with try_hold_file(path) as old:
        os.unlink(path)
        assert not old.current
        with try_hold_file(path) as new:
            assert new.current


def test_who_waits_gets_it_when_it_is_free(tmp_path):
    path = str(tmp_path / "lock")
    held = try_hold_file(path)
    threading.Timer(0.15, held.release).start()
    began = time.monotonic()
    with wait_hold_file(path):
        assert time.monotonic() - began >= 0.1


def test_who_waits_can_be_called_off(tmp_path):
    path = str(tmp_path / "lock")

    def enough(_seconds):
        raise TimeoutError

    with try_hold_file(path), pytest.raises(TimeoutError):
        wait_hold_file(path, enough)
