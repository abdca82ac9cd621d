"""Having what was written on the disk, so that a name never outlives what it names."""

from __future__ import annotations

import os

from chrun.store.access import open_own


def write_synced(path: str, content: bytes) -> None:
    """Write a file and have it on the disk before this returns."""
    with open_own(path) as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def sync_directory(directory: str) -> None:
    """Have the names in a directory on the disk before this returns."""
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def sync_file_system(directory: str) -> None:
    """Have all that was written to a directory's file system on the disk before this returns.

    syncfs(2), of which Python knows nothing but every system has a program: fsync(2) of each file
    takes many times as long, and os.sync waits for every disk and network share of the machine.
    """
    try:
        pid = os.posix_spawnp("sync", ["sync", "-f", directory], os.environ)
        _pid, status = os.waitpid(pid, 0)
    except (FileNotFoundError, ChildProcessError):
        status = -1
    if status != 0:  # no such program, an older one, or SIGCHLD is ignored and nobody knows
        os.sync()
