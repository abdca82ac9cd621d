"""The engine as the command line opens it: with progress on stderr."""

from __future__ import annotations

import sys

from chrun.engine.engine import Engine

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection

    from chrun.engine.progress import Progress


def open_engine(
    root: str, *, quiet: bool = False, insecure: Collection[str] = (), warn: bool = True
) -> Engine:
    """Open the store at `root`; `quiet` shows no progress.

    With `warn` a warning about the store is printed; `run` and `explain` print it with others.
    """

    def make_progress() -> Progress:
        from chrun.cli.output import make_progress  # imported only when something is fetched

        return make_progress(quiet=quiet)

    engine = Engine(root, make_progress, insecure=insecure)
    if warn and engine.store.warning:
        from chrun.cli.output import printable

        sys.stderr.write(f"chrun: {printable(engine.store.warning)}\n")
    return engine
