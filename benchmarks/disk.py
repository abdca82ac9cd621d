"""What a second container of the same image takes on disk."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.report import Budget, Section

if TYPE_CHECKING:
    from benchmarks.field import Field

_BLOCK_BYTES = 512  # the unit of st_blocks
_START_SECONDS = 10


def measure_second_container(field: Field, *, quick: bool) -> Section:  # noqa: ARG001 - one of many
    """Start two idle containers, one after the other, and see what the store grew by."""
    containers_dir = Path(field.home(0)["CHRUN_HOME"], "containers")
    environment = os.environ | field.home(0)
    command = ["chrun", "run", "-q", field.image, "idle"]
    with subprocess.Popen(command, env=environment) as first:
        _wait_for_containers(containers_dir, 1)
        before = _disk_bytes(containers_dir)
        with subprocess.Popen(command, env=environment) as second:
            _wait_for_containers(containers_dir, 2)
            grown = _disk_bytes(containers_dir) - before
            second.kill()
        first.kill()
    subprocess.run(["chrun", "images"], env=environment, stdout=subprocess.DEVNULL, check=True)
    return Section(
        "A second container of the same image",
        "What its directory takes, in blocks of the file system.",
        figures={"on disk": f"{grown / 1024:.0f} KiB"},
        budgets=[Budget("disk of a second container", grown / 1024, 64, "KiB")],
    )


def _wait_for_containers(containers_dir: Path, count: int) -> None:
    """Wait until so many containers run: each has mounted when its work/work is there."""
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        if len(list(containers_dir.glob("*/work/work"))) == count:
            return
        time.sleep(0.01)
    message = f"expected {count} containers in {containers_dir}"
    raise RuntimeError(message)


def _disk_bytes(directory: Path) -> int:
    return sum(path.lstat().st_blocks for path in directory.rglob("*")) * _BLOCK_BYTES
