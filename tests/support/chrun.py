"""The installed `chrun` command, run as a user runs it."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

CHRUN = str(Path(sys.executable).with_name("chrun"))
_TIMEOUT_SECONDS = 60


class Chrun:
    """A data directory, and the command to use it with."""

    def __init__(self, home: Path, **env: str) -> None:
        self.home = home
        self.env = {**os.environ, "CHRUN_HOME": str(home), **env}

    def __call__(
        self, *words: str | os.PathLike[str], input: str = "", status: int | None = 0, **env: str
    ) -> subprocess.CompletedProcess[str]:
        """Run a command to its end and check its exit status (None: whatever it is)."""
        done = subprocess.run(
            self.command(*words),
            input=input,
            capture_output=True,
            text=True,
            env={**self.env, **env},
            timeout=_TIMEOUT_SECONDS,
        )
        if status is not None:
            assert done.returncode == status, f"exit status {done.returncode}\n{done.stderr}"
        return done

    @contextmanager
    def start(
        self, *words: str | os.PathLike[str], **options: object
    ) -> Iterator[subprocess.Popen[str]]:
        """Run a command in the background, until the block is left, and end it then."""
        piped = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        process = subprocess.Popen(
            self.command(*words), text=True, env=self.env, **(piped | options)
        )
        with process:
            try:
                yield process
            finally:  # no-ops for who was waited for
                process.terminate()
                try:
                    process.wait(_TIMEOUT_SECONDS)
                finally:
                    process.kill()

    def command(self, *words: str | os.PathLike[str]) -> Sequence[str]:
        """Give the whole command line."""
        return [CHRUN, *map(str, words)]

    def layers(self) -> list[Path]:
        """Give the directories of all unpacked layers, whomever their files belong to."""
        rooms = ("layers/*", "owned/*/*", "archived/*/*")
        return sorted(path for room in rooms for path in self.home.glob(room))

    def leftovers(self) -> list[str]:
        """Give what containers and fetches left in the data directory."""
        return sorted(
            f"{room}/{name}"
            for room in ("containers", "names", "partial", "trash")
            for name in os.listdir(self.home / room)
        )

    def clear_up(self) -> None:
        """Remove what is left, kept containers too, as soon as who was killed has let go of it."""
        for container in (self.home / "containers").iterdir():
            (container / "kept").unlink(missing_ok=True)
        wait_until(lambda: self("prune") and not self.leftovers())
