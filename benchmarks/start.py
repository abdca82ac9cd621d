"""Starting a container: from the command line, as both users, and from a ready plan."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from benchmarks.field import ORDINARY_UID, rival_cases, sort_out
from benchmarks.measure import Case, interleave
from benchmarks.ready import ReadyPlan
from benchmarks.report import Budget, Section

if TYPE_CHECKING:
    from benchmarks.field import Field

_QUICK_ROUNDS, _ROUNDS = 20, 100


def measure_command_line(field: Field, *, quick: bool) -> Section:
    """Measure `chrun run IMAGE true`, and beside it what else starts a container."""
    words = ("run", field.image, "true")
    rivals, left_out = rival_cases(field)
    user_rivals, more_left_out = sort_out(
        [Case("bwrap, user", field.bwrap("/bin/true", uid=ORDINARY_UID), uid=ORDINARY_UID)]
    )
    cases = [
        Case("python -I -S -c pass", (sys.executable, "-I", "-S", "-c", "pass")),
        field.chrun("chrun run", *words),
        field.chrun("chrun run, user", *words, uid=ORDINARY_UID),
        field.chrun("chrun run --scratch tmpfs", "run", "--scratch", "tmpfs", *words[1:]),
        *user_rivals,
        *rivals,
    ]
    times = interleave(cases, _QUICK_ROUNDS if quick else _ROUNDS)
    chrun = times["chrun run"].median
    budgets = [
        Budget(
            "chrun run, to python -I -S -c pass", chrun / times["python -I -S -c pass"].median, 3.0
        ),
        Budget("chrun run as a user, to root's", times["chrun run, user"].median / chrun, 1.25),
        *(
            Budget(
                f"chrun run (composed by Python), to {name}", chrun / times[name].median, at_most
            )
            for name, at_most in (("runc run", 1 / 3), ("docker run", 1 / 30))
            if name in times
        ),
    ]
    return Section(
        "A container from start to end, command line",
        "All: own mount, pid, ipc, uts and cgroup namespaces, the host's network. Only chrun,\n"
        "podman and docker make an overlay. The user has no subordinate ids.",
        times=times,
        budgets=budgets,
        left_out=[*left_out, *more_left_out],
    )


def measure_ready_plan(field: Field, *, quick: bool) -> Section:
    """Measure chrun-init with a plan that is there already."""
    rounds = _QUICK_ROUNDS if quick else _ROUNDS
    on_disk = ReadyPlan(field, "true", scratch_bytes=0)
    in_memory = ReadyPlan(field, "true", scratch_bytes=64 << 20)
    cases = [
        Case("bwrap", field.bwrap("/bin/true")),
        on_disk.case("chrun-init, scratch on disk"),
        in_memory.case("chrun-init, scratch in memory"),
    ]
    runnable, left_out = sort_out(cases)
    times = interleave(runnable, rounds)
    budgets = [
        Budget(f"{name}, to bwrap", times[name].median / times["bwrap"].median, 1.0)
        for name in times
        if name != "bwrap" and "bwrap" in times
    ]
    return Section(
        "A container from a ready plan, no Python (root)",
        "Namespaces as above.",
        times=times,
        budgets=budgets,
        left_out=left_out,
    )
