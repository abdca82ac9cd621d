"""Cgroups of a test's own, and a look at this machine's, apart from chrun's own eyes."""

from __future__ import annotations

import fcntl
import os
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

ROOT = Path("/sys/fs/cgroup")
# Wants four times 16 MiB, and ends should it get them: a lost limit costs no machine
HOG = "x=0123456789abcdef; while [ ${#x} -lt 67108864 ]; do x=$x$x; done"
UNIFIED = next(
    (path for path in (ROOT, ROOT / "unified") if (path / "cgroup.procs").exists()), ROOT
)


def has_version_2(controller: str) -> bool:
    """Say whether a controller is in the one tree of version 2."""
    listed = UNIFIED / "cgroup.controllers"
    return listed.exists() and controller in listed.read_text().split()


def has_version_1(controller: str) -> bool:
    """Say whether a controller has a tree of version 1."""
    return (ROOT / controller / "cgroup.procs").exists()


def first_disk() -> tuple[str, str] | None:
    """Find a disk, by the path of its device and its number."""
    for path in sorted(Path("/sys/block").iterdir()) if Path("/sys/block").exists() else ():
        device = Path("/dev", path.name)
        if (path / "size").read_text() != "0\n" and device.is_block_device():
            return str(device), (path / "dev").read_text().strip()
    return None


def honours_weights() -> bool:
    """Say whether some disk has the scheduler that weighs cgroups against each other."""
    schedulers = Path("/sys/block").glob("*/queue/scheduler")
    return any("[bfq]" in path.read_text() for path in schedulers)


def knows_bfq() -> bool:
    """Say whether that scheduler can be given to a disk that nobody uses."""
    scheduler = Path("/sys/block/loop7/queue/scheduler")
    return scheduler.exists() and "bfq" in scheduler.read_text()


@contextmanager
def schedulers_held() -> Iterator[None]:
    """Have the schedulers of disks stay as they are: suites of others may run beside this one."""
    path = "/sys/block/loop7/queue/scheduler"
    with open(path if os.path.exists(path) else "/proc/self/status", "rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def left_behind(before: Iterable[Path] = (), *, seconds: float = 10) -> list[Path]:
    """Find the cgroups of chrun's containers in which nothing is any more, and stay so.

    Those of `before` are not waited for. Somebody else's container may be about to begin or to end.
    """
    empty = _empty_ones() - set(before)
    end = time.monotonic() + seconds
    while empty and time.monotonic() < end:
        time.sleep(0.05)
        empty &= _empty_ones()
    return sorted(empty)


def _empty_ones() -> set[Path]:
    found = (Path(top, name) for top, names, _ in os.walk(ROOT) for name in names)
    return {path for path in found if path.name.startswith("chrun-") and _is_empty(path)}


def _is_empty(group: Path) -> bool:
    try:
        return not (group / "cgroup.procs").read_text()
    except OSError:
        return False  # it went meanwhile


def files(version_1: str, version_2: str) -> str:
    """Give the path, inside, of a file of the version that this machine has its controller in."""
    if has_version_2(version_2.partition(".")[0]):
        return str(ROOT / version_2)
    return f"{ROOT}/{version_1.partition('.')[0]}/{version_1}"


@contextmanager
def own_cgroups(uid: int, trees: Sequence[Path]) -> Iterator[list[Path]]:
    """Give a user a cgroup in each tree, with one in it to be in; removed with all below it."""
    made = [tree / f"test-{os.getpid()}" for tree in trees]
    try:
        for top in made:
            (top / "shell").mkdir(parents=True)
            _copy_cpuset(top)
            for path in (top, *top.iterdir(), top / "shell", *(top / "shell").iterdir()):
                os.chown(path, uid, uid)
        yield [top / "shell" for top in made]
    finally:
        for top in made:
            _remove(top)


def _copy_cpuset(top: Path) -> None:
    """Version 1 lets nobody into a cpuset without processors and memory."""
    for directory in (top, top / "shell"):
        for name in ("cpuset.cpus", "cpuset.mems"):
            if (directory / name).exists() and has_version_1("cpuset"):
                (directory / name).write_text((directory.parent / name).read_text())


def _remove(top: Path) -> None:
    if not top.exists():
        return
    for directory, _, _ in os.walk(top, topdown=False):
        for _ in range(1000):
            try:
                os.rmdir(directory)
            except OSError:
                time.sleep(0.005)  # what was killed is leaving it
            else:
                break


def given() -> list[Path]:
    """Find the cgroups that whoever started these tests gave to this user."""
    return [Path(path) for path in os.environ.get("CHRUN_TEST_CGROUPS", "").split(":") if path]


def delegated() -> list[str]:
    """Give the words before a command that is to start in them: each has a child to be in."""
    enter = 'while [ "$1" != -- ]; do echo 0 > "$1" || exit; shift; done; shift; exec "$@"'
    places = [str(top / "shell" / "cgroup.procs") for top in given()]
    return ["sh", "-c", enter, "sh", *places, "--"]


def has_session() -> bool:
    """Say whether systemd can be asked for a cgroup: the machine's by root, else the user's own."""
    if os.geteuid() == 0:
        return Path("/run/systemd/system").exists()
    return Path(os.environ.get("XDG_RUNTIME_DIR", "/none"), "systemd", "private").exists()
