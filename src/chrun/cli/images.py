"""chrun images: list the images that are here."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime

from chrun.cli.engine import open_engine
from chrun.cli.options import Command, Option, parse_options
from chrun.cli.output import human_age, human_size, print_table, printable
from chrun.engine.images import list_images
from chrun.errors import StoreError, UsageError
from chrun.oci.reference import Reference

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from chrun.store.records import ImageRecord

COMMAND = Command(
    "images [OPTION...] [REPOSITORY[:TAG]]",
    "List the images that are here. SIZE is what a pull of the image fetches.",
    (
        Option(("--digests",), "show the digests that the names had in the registry"),
        Option(("--format",), "how it is printed", "FORMAT", False, ("table", "json")),
        Option(("--no-trunc",), "show whole image IDs"),
        Option(("-q", "--quiet"), "print image IDs only"),
    ),
)

_HEADINGS = {
    "Repository": "REPOSITORY",
    "Tag": "TAG",
    "Digest": "DIGEST",
    "ID": "IMAGE ID",
    "CreatedSince": "CREATED",
    "Platform": "PLATFORM",
    "Size": "SIZE",
}
_NOTHING = "<none>"


def run(words: Sequence[str], root: str) -> int:
    """Print the list."""
    parsed = parse_options(COMMAND, words)
    if parsed.flag("help"):
        sys.stdout.write(COMMAND.help_text())
        return 0
    if len(parsed.operands) > 1:
        raise UsageError("cannot list images: expected one REPOSITORY[:TAG] at most")
    images = list_images(open_engine(root, quiet=True).store, _tell)
    chosen = [image for image in images if _is_wanted(image, parsed.operands)]
    rows = [_describe(image, whole_ids=parsed.flag("no-trunc")) for image in chosen]
    if parsed.flag("quiet"):
        for image_id in dict.fromkeys(row["ID"] for row in rows):
            print(image_id)
    elif parsed.text("format") == "json":
        for row in rows:
            print(json.dumps(row))
    else:
        shown = [key for key in _HEADINGS if key != "Digest" or parsed.flag("digests")]
        print_table(
            [[_HEADINGS[key] for key in shown], *([row[key] for key in shown] for row in rows)]
        )
    return 0


def _tell(error: StoreError) -> None:
    """Say of a damaged image why it is not in the list, and what mends it."""
    print(printable(f"chrun: {error} ({error.hint})"), file=sys.stderr)


def _is_wanted(image: ImageRecord, names: Sequence[str]) -> bool:
    """Say whether an image is of the repository, and has the tag if one is named."""
    have = Reference.parse(image.reference)
    for name in names:
        wanted = Reference.parse(name)
        if (wanted.registry, wanted.repository) != (have.registry, have.repository):
            return False
        if name.endswith(f":{wanted.tag}") and wanted.tag != have.tag:
            return False
    return True


def _describe(image: ImageRecord, *, whole_ids: bool) -> dict[str, str]:
    """Give an image's fields, by the names that docker's --format has."""
    reference = Reference.parse(image.reference)
    name = Reference(reference.registry, reference.repository).familiar
    return {
        "Repository": name,
        "Tag": reference.tag or _NOTHING,
        "Digest": str(image.resolved_digest),
        "ID": str(image.image_id) if whole_ids else image.image_id.short,
        "CreatedAt": image.config.created,
        "CreatedSince": _age(image.config.created),
        "Platform": str(image.config.platform),
        "Size": human_size(image.size),
    }


def _age(created: str) -> str:
    """Give the age of a time in RFC 3339; images made reproducibly have none."""
    try:
        age = (datetime.now(UTC) - datetime.fromisoformat(created)).total_seconds()
    except (ValueError, TypeError):  # none, wrong, or without a time zone
        return "N/A"
    return human_age(age)
