"""Containers from a Python program: one after the other, and eight at a time."""

from __future__ import annotations

import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import chrun
from benchmarks.measure import Samples
from benchmarks.report import Budget, Section

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.field import Field

_IN_FLIGHT = 8
_BATCH = 24
_QUICK_BATCHES, _BATCHES = 3, 15


def measure_api(field: Field, *, quick: bool) -> Section:
    """Measure `chrun.run` against bwrap from `subprocess.run`, in turns of a batch each."""
    root = field.home(0)["CHRUN_HOME"]
    bwrap = field.bwrap("/bin/true")

    def by_chrun(_number: int) -> None:
        chrun.run(field.image, ["true"], root=root, pull="never", check=True)

    def by_bwrap(_number: int) -> None:
        subprocess.run(bwrap, check=True)

    contestants: dict[str, Callable[[], None]] = {
        "bwrap from subprocess, one after the other": lambda: _one_by_one(by_bwrap),
        "chrun.run, one after the other": lambda: _one_by_one(by_chrun),
        "bwrap from subprocess, 8 in flight": lambda: _in_flight(by_bwrap),
        "chrun.run, 8 in flight": lambda: _in_flight(by_chrun),
    }
    times = _take_turns(contestants, _QUICK_BATCHES if quick else _BATCHES)
    bwrap_one, chrun_one, bwrap_many, chrun_many = (each.median for each in times.values())
    return Section(
        "A container from the Python API (root)",
        f"Time of a container within batches of {_BATCH}; bwrap as above, without overlay.",
        times=times,
        figures={
            f"{name} a second": f"{1 / samples.median:.0f}" for name, samples in times.items()
        },
        budgets=[
            Budget("chrun.run in a loop, to bwrap from subprocess", chrun_one / bwrap_one, 0.5),
            Budget("chrun.run, 8 in flight, to bwrap", chrun_many / bwrap_many, 0.5),
        ],
    )


def _take_turns(contestants: dict[str, Callable[[], None]], batches: int) -> dict[str, Samples]:
    taken: dict[str, list[float]] = {name: [] for name in contestants}
    for number in range(batches + 1):
        for name, play in contestants.items():
            started = time.perf_counter()
            play()
            if number:  # the first turn warms up
                taken[name].append((time.perf_counter() - started) / _BATCH)
    return {name: Samples(tuple(seconds), 0) for name, seconds in taken.items()}


def _one_by_one(start: Callable[[int], None]) -> None:
    for number in range(_BATCH):
        start(number)


def _in_flight(start: Callable[[int], None]) -> None:
    with ThreadPoolExecutor(_IN_FLIGHT) as pool:
        list(pool.map(start, range(_BATCH)))
