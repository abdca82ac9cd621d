"""chrun version: which chrun this is, on which Python and kernel."""

from __future__ import annotations

import os
import platform
import sys

from chrun.cli.options import Command, parse_options

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

COMMAND = Command("version", "Tell the version of chrun, Python and the kernel.", ())


def run(words: Sequence[str], _root: str) -> int:
    """Print the versions."""
    if parse_options(COMMAND, words).flag("help"):
        sys.stdout.write(COMMAND.help_text())
        return 0
    from importlib.metadata import version

    uname = os.uname()
    sys.stdout.write(
        f"chrun {version('chrun')}\n"
        f"python {platform.python_version()}\n"
        f"linux {uname.release} {uname.machine}\n"
    )
    return 0
