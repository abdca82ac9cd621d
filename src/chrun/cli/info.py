"""chrun info: what this machine allows, what not, why, and what would mend it."""

from __future__ import annotations

import sys

from chrun.cli.engine import open_engine
from chrun.cli.options import Command, Option, parse_options
from chrun.engine.info import describe_machine
from chrun.engine.spare import open_somewhere

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

COMMAND = Command(
    "info [OPTION...]",
    "Tell what this machine allows this user, what not, why, and what would mend it.",
    (Option(("--format",), "how it is printed", "FORMAT", False, ("text", "json")),),
)


def run(words: Sequence[str], root: str) -> int:
    """Ask the kernel anew and print the answers."""
    parsed = parse_options(COMMAND, words)
    if parsed.flag("help"):
        sys.stdout.write(COMMAND.help_text())
        return 0
    with open_somewhere(root, lambda place: open_engine(place, quiet=True)) as (engine, refused):
        facts = describe_machine(engine, root, refused)
    if parsed.text("format") == "json":
        import json

        plain = {
            fact.name: {"state": fact.state, "why": fact.why, "hint": fact.hint} for fact in facts
        }
        sys.stdout.write(json.dumps(plain, indent=2) + "\n")
        return 0
    width = max(len(fact.name) for fact in facts)
    for fact in facts:
        sys.stdout.write(f"{fact.name:<{width}}  {fact.state}\n")
        for word, text in (("why", fact.why), ("hint", fact.hint)):
            if text:
                sys.stdout.write(f"{'':<{width}}  {word}: {text}\n")
    return 0
