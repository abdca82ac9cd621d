"""Several things at once, which stop together."""

from __future__ import annotations

import threading
import time

import pytest

from chrun.engine.parallel import Cancellation, Cancelled, run_in_parallel


def test_every_job_is_done_once_and_several_at_a_time():
    met = threading.Barrier(3, timeout=5)
    done = []

    def work(job):
        met.wait()
        done.append(job)

    run_in_parallel(work, range(9), Cancellation(), threads=3)
    assert sorted(done) == list(range(9))


def test_no_jobs_are_done_at_once():
    run_in_parallel(pytest.fail, (), Cancellation(), threads=3)


def test_the_first_error_stops_the_others_and_is_raised():
    cancellation, stopped = Cancellation(), []

    def work(job):
        if job == 0:
            raise ValueError("job 0")
        try:
            cancellation.sleep(30)
        except Cancelled:
            stopped.append(job)
            raise

    began = time.monotonic()
    with pytest.raises(ValueError, match="job 0"):
        run_in_parallel(work, range(100), cancellation, threads=3)
    assert time.monotonic() - began < 5
    assert sorted(stopped) == [1, 2]


def test_who_does_not_listen_is_not_waited_for():
    forever = threading.Event()

    def work(job):
        if job == 0:
            raise ValueError("job 0")
        forever.wait(30)

    began = time.monotonic()
    with pytest.raises(ValueError, match="job 0"):
        run_in_parallel(work, range(2), Cancellation(), threads=2)
    assert time.monotonic() - began < 5
    forever.set()
