"""Podman as this machine lets it run: with runc, without systemd, storing plain directories."""

from __future__ import annotations

import os
import signal
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

PODMANS_FILTER = Path("/usr/share/containers/seccomp.json")  # and CRI-O's: containers-common

# Its defaults want to raise limits, which not every root may
_CONTAINERS = """\
[containers]
default_ulimits = []
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "none"
"""
_REGISTRY = '[[registry]]\nlocation = "{0}"\ninsecure = true\n'
# Without subordinate ids all files of an image have one owner
_STORAGE = """\
[storage]
driver = "vfs"
graphroot = "{0}/store"
runroot = "{1}/run"
[storage.options.vfs]
ignore_chown_errors = "true"
"""


@contextmanager
def podman_environment(directory: Path) -> Iterator[dict[str, str]]:
    """Give the environment in which podman keeps everything in a directory, and what runs apart.

    For what runs it takes no path of more than 50 characters: it runs a container with one, but not
    the command that notes the container's end, for which it then waits 20 seconds.
    """
    (directory / "containers.conf").write_text(_CONTAINERS)
    (directory / "registries.conf").touch()
    with TemporaryDirectory(prefix="run-") as running:
        (directory / "storage.conf").write_text(_STORAGE.format(directory, running))
        try:
            yield {
                **os.environ,
                "HOME": str(directory),
                "XDG_RUNTIME_DIR": running,
                "CONTAINERS_CONF": str(directory / "containers.conf"),
                "CONTAINERS_STORAGE_CONF": str(directory / "storage.conf"),
                "CONTAINERS_REGISTRIES_CONF": str(directory / "registries.conf"),
            }
        finally:
            _end_pause_process(Path(running))
            _remove_empty_cgroups()


def allow_plain_http(environment: Mapping[str, str], registry: str) -> None:
    """Let podman pull from a registry without TLS."""
    Path(environment["CONTAINERS_REGISTRIES_CONF"]).write_text(_REGISTRY.format(registry))


def _end_pause_process(directory: Path) -> None:
    """End the process by which an ordinary user's podman keeps its user namespace."""
    for path in directory.glob("**/pause.pid"):
        with suppress(ProcessLookupError):
            os.kill(int(path.read_text()), signal.SIGKILL)


def _remove_empty_cgroups() -> None:
    """Remove what podman leaves of its containers' cgroups; those in use cannot be removed."""
    for parent in Path("/sys/fs/cgroup").glob("**/libpod_parent"):
        for directory, _, _ in os.walk(parent, topdown=False):
            with suppress(OSError):
                Path(directory).rmdir()
