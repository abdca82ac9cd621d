"""chrun rmi: remove images."""

from __future__ import annotations

import sys

from chrun.cli.engine import open_engine
from chrun.cli.options import Command, Option, parse_options
from chrun.engine.images import remove_image
from chrun.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

COMMAND = Command(
    "rmi [OPTION...] IMAGE [IMAGE...]",
    "Remove names, and the images that lost their last one. An image ID removes its image.",
    (
        Option(
            ("-f", "--force"),
            "also one that a container stands on: its layers stay as long as the container",
        ),
    ),
)


def run(words: Sequence[str], root: str) -> int:
    """Remove one after the other, and print what went."""
    parsed = parse_options(COMMAND, words)
    if parsed.flag("help"):
        sys.stdout.write(COMMAND.help_text())
        return 0
    if not parsed.operands:
        raise UsageError("cannot remove: no image was named", hint='see "chrun rmi --help"')
    store = open_engine(root, quiet=True).store
    for name in parsed.operands:
        removed = remove_image(store, name, force=parsed.flag("force"))
        for reference in removed.untagged:
            print(f"Untagged: {reference}")
        for digest in removed.deleted:
            print(f"Deleted: {digest}")
    return 0
