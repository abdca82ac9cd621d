"""chrun-init with a plan that was composed once: what a start costs without Python."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import chrun
from benchmarks.measure import Case
from chrun.cli.run import COMMAND
from chrun.cli.run_options import parse_run
from chrun.engine.containers import explain
from chrun.engine.engine import Engine
from chrun.engine.progress import Silent

if TYPE_CHECKING:
    from benchmarks.field import Field

PLAN_FD = 900  # beyond what this process has open
_ID = "0" * 64


class ReadyPlan:
    """The plan of one command, in a file; each start needs an empty scratch directory."""

    def __init__(self, field: Field, command: str, *, scratch_bytes: int) -> None:
        name = f"ready-{command}-{scratch_bytes}"
        self.directory = field.scratch / name
        self.path = field.scratch / f"{name}.plan"
        scratch = f"tmpfs:{scratch_bytes}" if scratch_bytes else "disk"
        words = ["--pull", "never", "--scratch", scratch, field.image, f"/bin/{command}"]
        request, _ = parse_run(COMMAND, words)
        assert request, "these words ask for a run, not for help"
        engine = Engine(field.home(0)["CHRUN_HOME"], Silent)
        self.path.write_bytes(explain(engine, request).encoded)

    def case(self, name: str) -> Case:
        """Give the case of starting it; the scratch directory is made before, untimed."""
        return Case(
            name,
            self.command(self.directory),
            before=lambda: make_scratch(self.directory),
            opened={PLAN_FD: str(self.path)},
        )

    def command(self, scratch_dir: Path, *words: str) -> list[str]:
        """Give chrun-init's command line; it expects the plan as PLAN_FD."""
        program = os.path.join(os.path.dirname(chrun.__file__), "chrun-init")
        return [program, f"plan={PLAN_FD}", f"id={_ID}", f"scratch={scratch_dir}", *words]


def make_scratch(directory: Path) -> None:
    """Make a scratch directory as the store does."""
    for name in ("", "upper", "work"):
        (directory / name).mkdir(exist_ok=True)
