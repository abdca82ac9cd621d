"""What was measured, as tables for people and as one JSON document."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from chrun.values import Value

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from benchmarks.measure import Samples


class Budget(Value):
    """One line of the design's budgets: how much of what, and how much it may be.

    With `unit` "x" the number is a ratio to what `what` names.
    """

    what: str
    measured: float
    at_most: float
    unit: str = "x"

    @property
    def is_met(self) -> bool:
        """Whether the number is within the budget."""
        return self.measured <= self.at_most


class Section(Value):
    """One comparison: times side by side, or plain figures; budgets; what was left out, and why."""

    title: str
    about: str
    times: Mapping[str, Samples] = {}
    figures: Mapping[str, str] = {}
    budgets: Sequence[Budget] = ()
    left_out: Sequence[str] = ()


def print_section(section: Section) -> None:
    """Print one section."""
    print(f"\n{section.title}\n{section.about}")
    if section.times:
        width = max(map(len, section.times))
        first = next(iter(section.times.values())).median
        print(f"  {'':{width}} {'min ms':>9} {'median':>9} {'ratio':>7} {'runs':>5}")
        for name, samples in section.times.items():
            print(
                f"  {name:{width}} {samples.least * 1000:9.2f} {samples.median * 1000:9.2f}"
                f" {samples.median / first:7.2f} {len(samples.seconds):5}"
            )
    width = max(map(len, section.figures), default=0)
    for name, text in section.figures.items():
        print(f"  {name:{width}}  {text}")
    for name in section.left_out:
        print(f"  left out: {name}")


def print_budgets(sections: Sequence[Section]) -> None:
    """Print every budget, those that are not met marked."""
    budgets = [budget for section in sections for budget in section.budgets]
    print("\nBudgets")
    width = max((len(budget.what) for budget in budgets), default=0)
    for budget in budgets:
        mark = "ok  " if budget.is_met else "OVER"
        print(
            f"  {mark} {budget.what:{width}} {budget.measured:8.2f} {budget.unit}"
            f"  (at most {budget.at_most:.2f} {budget.unit})"
        )


def write_json(path: Path, machine: Mapping[str, str], sections: Sequence[Section]) -> None:
    """Write everything that was measured, times in seconds."""
    document = {
        "machine": dict(machine),
        "sections": [
            {
                "title": section.title,
                "times": {
                    name: {
                        "min": samples.least,
                        "median": samples.median,
                        "peak_bytes": samples.peak_bytes,
                        "seconds": samples.seconds,
                    }
                    for name, samples in section.times.items()
                },
                "figures": dict(section.figures),
                "budgets": [
                    {
                        "what": budget.what,
                        "measured": budget.measured,
                        "at_most": budget.at_most,
                        "unit": budget.unit,
                        "met": budget.is_met,
                    }
                    for budget in section.budgets
                ],
                "left_out": list(section.left_out),
            }
            for section in sections
        ],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document, indent=1))
