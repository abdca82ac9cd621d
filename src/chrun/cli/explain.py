"""chrun explain: what `chrun run` would do with the same words, in words; nothing is executed."""

from __future__ import annotations

import sys

from chrun.cli.engine import open_engine
from chrun.cli.options import Command, Option
from chrun.cli.run_options import RUN_OPTIONS, parse_run
from chrun.engine.containers import explain
from chrun.runtime.explain import explain_json, explain_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

COMMAND = Command(
    "explain [OPTION...] IMAGE [COMMAND [ARGUMENT...]]",
    "Tell what `chrun run` would do with the same options: every kernel step in its order, and\n"
    "the reason for it. Nothing is executed.",
    (
        *RUN_OPTIONS,
        Option(("--format",), "text (the default) or json", "FORMAT", False, ("text", "json")),
    ),
    interspersed=False,
)


def run(words: Sequence[str], root: str) -> int:
    """Print the plan."""
    request, parsed = parse_run(COMMAND, words)
    if request is None:
        sys.stdout.write(COMMAND.help_text())
        return 0
    plan = explain(open_engine(root, quiet=parsed.flag("quiet")), request)
    if parsed.text("format") == "json":
        import json

        sys.stdout.write(json.dumps(explain_json(plan), indent=2) + "\n")
    else:
        from chrun.cli.output import printable

        for line in explain_text(plan):
            print(printable(line))
    return 0
