"""A container in the background, for others to look at or to join."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import os
    import subprocess
    from collections.abc import Iterator

    from tests.support.chrun import Chrun

NAME = "target"


@contextmanager
def running(
    chrun: Chrun,
    *flags: str,
    image: str | os.PathLike[str],
    script: str = "",
    wait: str = "exec sleep 60",
) -> Iterator[subprocess.Popen[str]]:
    """Run a shell script and then wait in a container called `target`, until the block is left."""
    whole = f"{script}\necho ready\n{wait}"
    command = ("run", "-i", "--name", NAME, *flags, image, "sh", "-c", whole)
    try:
        with chrun.start(*command) as process:
            assert process.stdout
            assert process.stdout.readline() == "ready\n", process.communicate()
            yield process
    finally:
        # Its directory is gone, its name goes with the next command that may take it for free.
        chrun.home.joinpath("names", NAME).unlink(missing_ok=True)
