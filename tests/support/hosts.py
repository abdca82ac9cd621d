"""Hosts that forbid things, in namespaces of their own: nothing of this machine changes.

    host = Host("mount -t tmpfs none /sys/fs/cgroup")
    done = host.run(tmp_path, "info")

A host is a shell script that root carries out in a new mount namespace, and the program that is run
there next. An ordinary user is root for the script only, and themself again for the program.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import chrun
from chrun.values import Value
from tests.support.box import unpack_busybox
from tests.support.chrun import CHRUN

# A command that tells whether it is alone, and what it tells
TELL = ("sh", "-c", "echo pid $$ uid $(id -u); exit 7")
SHUT_IN, AMONG_OTHERS = "pid 1 uid 0\n", "uid 0\n"

_MERGED = ("bin", "lib", "lib64", "sbin")
_TIMEOUT_SECONDS = 120


class Host(Value):
    """A machine: what makes it what it is, and whether it has processes of its own."""

    script: str
    own_processes: bool = False
    capabilities: bool = True  # without, root of the host may do no more than anybody

    def run(self, home: Path, *words: str | Path, **env: str) -> subprocess.CompletedProcess[str]:
        """Run chrun on it; `home` is a directory for its data."""
        return subprocess.run(
            self.command(CHRUN, *words),
            capture_output=True,
            text=True,
            env={**os.environ, "CHRUN_HOME": str(home / "data"), "TEST_HOME": str(home), **env},
            timeout=_TIMEOUT_SECONDS,
        )

    def command(self, *words: str | Path) -> list[str]:
        """Give the command line that runs another one there."""
        unshare = ["unshare", "--mount"]
        if self.own_processes:
            unshare += ["--pid", "--fork", "--mount-proc"]
        run = 'exec "$@"'
        if os.geteuid() != 0:
            unshare += ["--user", "--map-root-user"]
            ids = f"--map-user={os.getuid()} --map-group={os.getgid()}"
            run = f'exec unshare --user {ids} "$@"'
        script = f"{self.script}\n{run}"
        return [*unshare, "sh", "-ec", script, "sh", *map(str, words)]


class Nested(Value):
    """A root of a user namespace, as LXC or a rootless engine has one, and what it did first."""

    script: str
    capabilities: bool = True

    def run(self, home: Path, *words: str | Path) -> subprocess.CompletedProcess[str]:
        """Run chrun there; `home` is a directory for its data."""
        run = 'exec "$@"'
        if not self.capabilities:
            run = 'exec setpriv --bounding-set=-all --inh-caps=-all "$@"'
        unshare = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-ec"]
        return subprocess.run(
            [*unshare, f"{self.script}\n{run}", "sh", CHRUN, *map(str, words)],
            capture_output=True,
            text=True,
            env={**os.environ, "CHRUN_HOME": str(home / "data")},
            timeout=_TIMEOUT_SECONDS,
        )


def make_rootfs(directory: Path) -> Path:
    """Make a root file system of busybox; ordinary users can pass through it."""
    directory.mkdir(parents=True)
    unpack_busybox(directory)
    return directory


def outer_container(directory: Path) -> list[str]:
    """Give the words behind `chrun run` for a container in which chrun itself can be run.

    It shows this machine's programs, Python and chrun where they are; its /data is for the inner
    chrun to keep its own in. `directory` becomes its root.
    """
    directory.mkdir()
    shown = {Path("/usr"), Path(sys.prefix), Path(sys.base_prefix), Path(chrun.__file__).parents[1]}
    for name in _MERGED:
        path = Path("/", name)
        if path.is_symlink():
            (directory / name).symlink_to(path.readlink())
        elif path.is_dir():
            shown.add(path)
    volumes = [f"--volume={path}:{path}:ro" for path in sorted(shown)]
    environment = ["--env=CHRUN_HOME=/data/chrun", "--env=HOME=/data", "--env=PYTHONPATH"]
    return [*volumes, *environment, "--tmpfs=/data:exec,mode=1777"]


def assert_runs(done: subprocess.CompletedProcess[str], said: str = "") -> None:
    """See that TELL was shut in and that chrun said this and no more."""
    assert (done.stdout, done.stderr, done.returncode) == (SHUT_IN, said, 7)


def assert_refuses(done: subprocess.CompletedProcess[str], *lines: str) -> None:
    """See that no container ran and that chrun said these lines."""
    assert (done.returncode, done.stdout) == (125, "")
    assert done.stderr.splitlines() == list(lines)
