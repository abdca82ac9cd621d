"""chrun pull: fetch an image from a registry."""

from __future__ import annotations

import sys

from chrun.cli.engine import open_engine
from chrun.cli.options import Command, Option, parse_options
from chrun.errors import UsageError
from chrun.oci.reference import Reference

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

COMMAND = Command(
    "pull [OPTION...] IMAGE",
    "Fetch an image from its registry. What is here already is not fetched again, and what an\n"
    "earlier attempt left is gone on with. The last line is the image's name and digest.",
    (
        Option(("--insecure",), "allow plain HTTP, and certificates that nobody vouches for"),
        Option(("--platform",), "the image for another platform", "OS/ARCH[/VARIANT]"),
        Option(("-q", "--quiet"), "print nothing but the name and digest"),
    ),
)


def run(words: Sequence[str], root: str) -> int:
    """Pull, and print what is here now."""
    parsed = parse_options(COMMAND, words)
    if parsed.flag("help"):
        sys.stdout.write(COMMAND.help_text())
        return 0
    if len(parsed.operands) != 1:
        raise UsageError("cannot pull: expected one IMAGE", hint='see "chrun pull --help"')
    reference = Reference.parse(parsed.operands[0])
    insecure = (reference.registry,) if parsed.flag("insecure") else ()
    engine = open_engine(root, quiet=parsed.flag("quiet"), insecure=insecure)
    image = engine.pull(str(reference), parsed.text("platform"))
    digest = "" if reference.digest else f"@{image.resolved_digest}"
    print(f"{image.reference}{digest}")
    return 0
