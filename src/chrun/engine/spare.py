"""For those who only want to know: what stands in for a data directory that cannot be had.

On a machine that lets nobody write there, `chrun info` is needed most.
"""

from __future__ import annotations

import os
import tempfile
from contextlib import contextmanager

from chrun.errors import StoreError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from chrun.engine.engine import Engine
    from chrun.linux.host import Host, Lack


@contextmanager
def open_somewhere(
    root: str, open_engine: Callable[[str], Engine]
) -> Generator[tuple[Engine, StoreError | None]]:
    """Open the store at `root`; where there is none and can be none, one that goes at the end.

    Gives also why it is another one, None when it is not. Raises StoreError when there is no
    directory for temporary files either.
    """
    try:
        engine = open_engine(root)
    except StoreError as error:
        with _directory(error) as spare:
            yield open_engine(spare), error
        return
    yield engine, None


def probe_elsewhere(host: Host, refused: StoreError) -> tuple[Lack, ...]:
    """Ask the kernel what this user may not do, with a temporary directory in the store's place.

    Raises `refused`, the reason that it is not the store, when there is none either.
    """
    from chrun.runtime.probe import probe_host

    with _directory(refused) as spare:
        base_dir, scratch_dir = f"{spare}/base", f"{spare}/scratch"
        for path in (base_dir, scratch_dir, f"{scratch_dir}/upper", f"{scratch_dir}/work"):
            os.mkdir(path)
        return probe_host(host, base_dir, scratch_dir)


@contextmanager
def _directory(refused: StoreError) -> Generator[str]:
    try:
        spare = tempfile.TemporaryDirectory(prefix="chrun-")
    except OSError:
        raise refused from None
    with spare as path:
        yield path
