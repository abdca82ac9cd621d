"""Starting a container: from the command line, as both users, and from a ready plan."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from benchmarks.field import ORDINARY_UID, engine_cases, runtime_cases, sort_out
from benchmarks.measure import Case, interleave
from benchmarks.ready import ReadyPlan
from benchmarks.report import Budget, Section

if TYPE_CHECKING:
    from benchmarks.field import Field

_QUICK_ROUNDS, _ROUNDS = 20, 100
_REFINEMENTS = (
    ("--isolation", "namespaces"),  # no filter, nothing hidden
    ("--isolation", "sealed"),
    ("--memory", "256m"),
    ("--receipt", "/dev/null"),
    ("--scratch", "tmpfs"),
)
_AT_MOST = {"bwrap": 1.0, "runc run": 1 / 3, "docker run": 1 / 30}


def measure_command_line(field: Field, *, quick: bool) -> Section:
    """Measure `chrun run IMAGE true`, and beside it what else starts a container."""
    words = ("run", field.image, "true")
    of_user = Case("bwrap, user", field.bwrap("/bin/true", uid=ORDINARY_UID), uid=ORDINARY_UID)
    refined = [
        field.chrun(" ".join(("chrun run", *flags)), "run", *flags, *words[1:])
        for flags in _REFINEMENTS
    ]
    beside, left_out = _together(
        sort_out(refined), sort_out([of_user]), runtime_cases(field), engine_cases(field)
    )
    cases = [
        Case("python -I -S -c pass", (sys.executable, "-I", "-S", "-c", "pass")),
        field.chrun("chrun run", *words),
        field.chrun("chrun run, user", *words, uid=ORDINARY_UID),
        *beside,
    ]
    times = interleave(cases, _QUICK_ROUNDS if quick else _ROUNDS)
    chrun = times["chrun run"].median
    budgets = [
        Budget(
            "chrun run, to python -I -S -c pass", chrun / times["python -I -S -c pass"].median, 3.0
        ),
        Budget("chrun run as a user, to root's", times["chrun run, user"].median / chrun, 1.25),
    ]
    return Section(
        "A container from start to end, command line",
        "All: own mount, pid, ipc, uts and cgroup namespaces, the host's network. Only chrun,\n"
        "podman and docker make an overlay. The user has no subordinate ids.",
        times=times,
        budgets=budgets,
        left_out=left_out,
    )


def measure_ready_plan(field: Field, *, quick: bool) -> Section:
    """Measure chrun-init with a plan that is there already."""
    rounds = _QUICK_ROUNDS if quick else _ROUNDS
    on_disk = ReadyPlan(field, "true", scratch_bytes=0)
    in_memory = ReadyPlan(field, "true", scratch_bytes=64 << 20)
    ours = [
        on_disk.case("chrun-init, scratch on disk"),
        in_memory.case("chrun-init, scratch in memory"),
    ]
    rivals, left_out = _together(runtime_cases(field), engine_cases(field))
    times = interleave([*ours, *rivals], rounds)
    budgets = [
        Budget(f"{case.name}, to {rival}", times[case.name].median / times[rival].median, at_most)
        for case in ours
        for rival, at_most in _AT_MOST.items()
        if rival in times
    ]
    return Section(
        "A container from a ready plan, no Python (root)",
        "Namespaces as above.",
        times=times,
        budgets=budgets,
        left_out=left_out,
    )


def _together(*found: tuple[list[Case], list[str]]) -> tuple[list[Case], list[str]]:
    return [case for cases, _ in found for case in cases], [
        name for _, names in found for name in names
    ]
