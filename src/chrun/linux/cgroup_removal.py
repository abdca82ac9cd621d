"""Removing the cgroups of a container whose monitor was killed before it could."""

from __future__ import annotations

import errno
import os
import signal
import time
from contextlib import suppress

_NAME = "chrun-"  # what chrun-init calls its cgroups, with the container's id behind
_PATIENCE_SECONDS = 5.0  # until what was killed has left its cgroup
_PAUSE_SECONDS = 0.005


def remove_cgroups(list_path: str) -> None:
    """Kill what is left in the cgroups that a file lists, one a line, and remove them and the file.

    With those that the container has made below them. OSError for one that cannot be removed; what
    is gone, or is no cgroup of chrun's, is passed by.
    """
    with open(list_path, encoding="utf-8", errors="surrogateescape", newline="\n") as file:
        directories = file.read().split("\n")
    for directory in directories:
        is_cgroup = os.path.exists(f"{directory}/cgroup.procs")
        if is_cgroup and os.path.basename(directory).startswith(_NAME):
            _remove(directory)
    os.unlink(list_path)


def _remove(directory: str) -> None:
    end = time.monotonic() + _PATIENCE_SECONDS
    while True:
        deepest = _deepest(directory)
        try:
            os.rmdir(deepest)
        except FileNotFoundError:
            return
        except OSError as error:
            if error.errno != errno.EBUSY or time.monotonic() > end:
                raise
            _kill_all(deepest)
            time.sleep(_PAUSE_SECONDS)
        else:
            if deepest == directory:
                return


def _deepest(directory: str) -> str:
    """Give one of the cgroups below a cgroup that have none below them, or itself."""
    while True:
        with os.scandir(directory) as found:
            below = next((entry.path for entry in found if entry.is_dir()), "")
        if not below:
            return directory
        directory = below


def _kill_all(directory: str) -> None:
    """Kill by the one word for it that version 2 has since Linux 5.14, else one by one."""
    try:
        with open(f"{directory}/cgroup.kill", "w", encoding="ascii") as file:
            file.write("1")
    except OSError:
        with suppress(OSError), open(f"{directory}/pids.max", "w", encoding="ascii") as file:
            file.write("0")  # they multiply no more; not every cgroup has it
        with open(f"{directory}/cgroup.procs", encoding="ascii") as file:
            processes = file.read().split()
        for process in processes:
            if process == "0":  # somebody of another pid namespace; to kill(2) it would be us
                continue
            try:
                os.kill(int(process), signal.SIGKILL)
            except ProcessLookupError:
                continue  # it is gone, as it should be
