"""Pulling an image of many files from a registry on loopback: time, and peak memory."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.field import ORDINARY_UID, sort_out
from benchmarks.measure import Case, interleave
from benchmarks.report import Budget, Section

if TYPE_CHECKING:
    from benchmarks.field import Field

_TREE = "/usr/share"
_FILES, _QUICK_FILES = 20_000, 2_000
_ROUNDS = 3
_PEAK_MIB = 96


def measure_pull(field: Field, *, quick: bool) -> Section:
    """Pull an image of this machine's own files with everybody, always for the first time."""
    files = _QUICK_FILES if quick else _FILES
    push = ["-m", "benchmarks.images", "files", f"http://{field.registry}", _TREE, str(files)]
    subprocess.run([sys.executable, *push], check=True)
    reference = f"{field.registry}/files"
    candidates = [
        _chrun_pull("chrun pull", field, reference, 0),
        _chrun_pull("chrun pull, user", field, reference, ORDINARY_UID),
        Case(
            "podman pull",
            field.podman("pull", "--tls-verify=false", reference),
            before=lambda: subprocess.run(
                field.podman("rmi", "--force", reference), capture_output=True
            ),
        ),
        Case(
            "docker pull",
            ["docker", "pull", reference],
            before=lambda: subprocess.run(
                ["docker", "rmi", "--force", reference], capture_output=True
            ),
        ),
    ]
    cases, left_out = sort_out(candidates)
    times = interleave(cases, 1 if quick else _ROUNDS)
    budgets = [
        Budget(f"chrun pull, to {rival}", times["chrun pull"].median / times[rival].median, 1 / 6)
        for rival in ("docker pull", "podman pull")
        if rival in times
    ]
    if "podman pull" in times:
        user_ratio = times["chrun pull, user"].median / times["podman pull"].median
        budgets.append(Budget("chrun pull as a user, to podman pull", user_ratio, 1 / 2))
    peaks = {name: samples.peak_bytes / (1 << 20) for name, samples in times.items()}
    budgets.append(Budget("peak memory of chrun pull", peaks["chrun pull"], _PEAK_MIB, "MiB"))
    return Section(
        f"Pulling an image of {files} of this machine's files",
        "One gzip layer, docker-registry on loopback, the image removed before each pull.",
        times=times,
        figures={f"peak of {name}": f"{peak:.0f} MiB" for name, peak in peaks.items()},
        budgets=budgets,
        left_out=left_out,
    )


def _chrun_pull(name: str, field: Field, reference: str, uid: int) -> Case:
    store = Path(field.home(uid)["HOME"], "pull-store")
    return Case(
        name,
        ("chrun", "pull", reference),
        uid=uid,
        environment={**field.home(uid), "CHRUN_HOME": str(store)},
        before=lambda: shutil.rmtree(store, ignore_errors=True),
    )
