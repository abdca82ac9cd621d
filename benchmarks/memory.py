"""Containers that only wait: what their monitors weigh, and how quickly many are there."""

from __future__ import annotations

import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.ready import PLAN_FD, ReadyPlan, make_scratch
from benchmarks.report import Budget, Section
from chrun.values import Value

if TYPE_CHECKING:
    from benchmarks.field import Field

_MANY, _MANY_QUICK = 500, 50
_AT_ONCE = 8
# Beyond what this process has open, so that no dup2 hits the source of another one
_REPORT_FD, _LIFELINE_FD = 901, 902


def measure_idle(field: Field, *, quick: bool) -> Section:
    """Start many idle containers from one ready plan, weigh the monitors, end them."""
    many = _MANY_QUICK if quick else _MANY
    plan = ReadyPlan(field, "idle", scratch_bytes=1 << 20)
    scratch_dirs = [field.scratch / f"idle-{number}" for number in range(many)]
    for directory in scratch_dirs:
        make_scratch(directory)
    alone = _start(plan, scratch_dirs[0])
    pss_alone = _pss_bytes(alone.pid)
    started = time.perf_counter()
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        others = list(pool.map(lambda directory: _start(plan, directory), scratch_dirs[1:]))
    seconds = time.perf_counter() - started
    pss = sum(_pss_bytes(container.pid) for container in others) / len(others)
    ending = time.perf_counter()
    for container in (alone, *others):
        os.close(container.lifeline_fd)
    for container in (alone, *others):
        os.waitpid(container.pid, 0)
    ended = time.perf_counter() - ending
    return Section(
        f"{many} idle containers (root, one ready plan, scratch in memory, 8 starting at a time)",
        "A monitor's own memory; the container's process is the user's.",
        figures={
            "all alive after": f"{seconds:.2f} s",
            "all ended after": f"{ended:.2f} s",
            "PSS of the only monitor": f"{pss_alone / 1024:.0f} KiB",
            f"PSS of one of {many}": f"{pss / 1024:.0f} KiB",
        },
        budgets=[
            Budget(f"PSS of one of {many} monitors", pss / 1024, 64, "KiB"),
            Budget("PSS of the only monitor", pss_alone / 1024, 64, "KiB"),
            *(
                []
                if quick
                else [Budget("500 idle containers, started 8 at a time", seconds, 2, "s")]
            ),
        ],
    )


class _Idle(Value):
    """A monitor, and the pipe whose closing ends its container."""

    pid: int
    lifeline_fd: int


def _start(plan: ReadyPlan, scratch_dir: Path) -> _Idle:
    """Start one, and come back when its command was executed."""
    report, report_end = os.pipe()
    lifeline_end, lifeline = os.pipe()
    words = (f"report={_REPORT_FD}", f"lifeline={_LIFELINE_FD}")
    command = plan.command(scratch_dir, *words)
    pid = os.posix_spawn(
        command[0],
        command,
        {},
        file_actions=[
            (os.POSIX_SPAWN_DUP2, report_end, _REPORT_FD),
            (os.POSIX_SPAWN_DUP2, lifeline_end, _LIFELINE_FD),
            (os.POSIX_SPAWN_OPEN, PLAN_FD, str(plan.path), os.O_RDONLY, 0),
        ],
    )
    os.close(report_end)
    os.close(lifeline_end)
    failure = os.read(report, 8)
    os.close(report)
    if failure:
        message = f"chrun-init failed: step {failure[0]}, errno {failure[4]}"
        raise RuntimeError(message)
    return _Idle(pid, lifeline)


def _pss_bytes(pid: int) -> int:
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    message = f"no Pss in /proc/{pid}/smaps_rollup"
    raise RuntimeError(message)
