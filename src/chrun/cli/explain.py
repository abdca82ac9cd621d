"""chrun explain: what `chrun run` would do with the same words, in words; nothing is executed."""

from __future__ import annotations

import sys

from chrun.cli.engine import open_engine
from chrun.cli.options import Command, Option
from chrun.cli.output import printable
from chrun.cli.run_options import RUN_OPTIONS, parse_run
from chrun.engine.containers import explain
from chrun.engine.spare import open_somewhere
from chrun.errors import UsageError
from chrun.runtime.explain import explain_json, explain_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from chrun.runtime.export.subject import Export

EXPORTS = ("sh", "bwrap", "podman", "oci")

COMMAND = Command(
    "explain [OPTION...] IMAGE [COMMAND [ARGUMENT...]]",
    "Tell what `chrun run` would do with the same options: every kernel step in its order, and\n"
    "the reason for it. Nothing is executed.",
    (
        *RUN_OPTIONS,
        Option(("--export",), "write an equivalent for another tool", "TOOL", False, EXPORTS),
        Option(("--format",), "how it is printed", "FORMAT", False, ("text", "json")),
        Option(("--output",), "a new directory for what is exported", "DIRECTORY"),
    ),
    interspersed=False,
)


def run(words: Sequence[str], root: str) -> int:
    """Print the plan."""
    request, parsed = parse_run(COMMAND, words)
    if request is None:
        sys.stdout.write(COMMAND.help_text())
        return 0
    quiet, tool, output = parsed.flag("quiet"), parsed.text("export"), parsed.text("output")
    if output and not tool:
        raise UsageError("cannot use --output without --export: a plan is printed")
    with open_somewhere(root, lambda place: open_engine(place, quiet=quiet, warn=False)) as (
        engine,
        refused,
    ):
        if refused:
            engine.notices += (f"{refused}; what follows is said of a temporary one",)
        composed = explain(engine, request)
    for notice in () if quiet else composed.notices:
        sys.stderr.write(f"chrun: {printable(notice)}\n")
    if tool:
        if refused:  # its layers are gone by now
            raise UsageError(f"cannot export from a temporary store: {refused}")
        if request.require:
            raise UsageError("cannot export --require: nobody looks at the command there")
        from chrun.engine.export import export

        exported = export(engine, request, composed, tool, output)
        return _print_export(exported, output, quiet=quiet)
    plan = composed.plan
    if parsed.text("format") == "json":
        import json

        sys.stdout.write(json.dumps(explain_json(plan), indent=2) + "\n")
    else:
        for line in explain_text(plan):
            print(printable(line))
    return 0


def _print_export(exported: Export, output: str, *, quiet: bool) -> int:
    """Print an equivalent, unless it was written to a directory; what it lacks goes to stderr."""
    for note in () if quiet else exported.notes:
        sys.stderr.write(f"chrun: not in the export: {printable(note)}\n")
    if not output:
        sys.stdout.buffer.write(exported.text.encode(errors="surrogateescape"))
    return 0
