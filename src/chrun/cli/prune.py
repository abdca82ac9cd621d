"""chrun prune: remove what no image and no container needs."""

from __future__ import annotations

import sys

from chrun.cli.engine import open_engine
from chrun.cli.options import Command, parse_options
from chrun.cli.output import human_size
from chrun.engine.prune import prune
from chrun.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

COMMAND = Command(
    "prune",
    "Remove what no name, no container and no running command needs: layers of images that were\n"
    "replaced, unpacked archives, the beginnings of pulls, and what killed processes left.",
    (),
)


def run(words: Sequence[str], root: str) -> int:
    """Clear up, and print what that gave."""
    parsed = parse_options(COMMAND, words)
    if parsed.flag("help"):
        sys.stdout.write(COMMAND.help_text())
        return 0
    if parsed.operands:
        raise UsageError("cannot prune: expected no arguments", hint='see "chrun prune --help"')
    pruned = prune(open_engine(root, quiet=True).store)
    for digest in pruned.blobs:
        print(f"Deleted: {digest}")
    print(f"Total reclaimed space: {human_size(pruned.size)}")
    return 0
