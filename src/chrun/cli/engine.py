"""The engine as the command line opens it: with progress on stderr."""

from __future__ import annotations

from chrun.engine.engine import Engine

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection

    from chrun.engine.progress import Progress


def open_engine(root: str, *, quiet: bool = False, insecure: Collection[str] = ()) -> Engine:
    """Open the store at `root`; `quiet` shows no progress."""

    def make_progress() -> Progress:
        from chrun.cli.output import make_progress  # imported only when something is fetched

        return make_progress(quiet=quiet)

    return Engine(root, make_progress, insecure=insecure)
