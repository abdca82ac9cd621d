"""The documents say what the code does, as far as that can be looked up, and lead to each other."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from chrun import api
from chrun.cli.main import COMMANDS
from chrun.cli.run_options import RUN_OPTIONS

CHECKOUT = Path(__file__).resolve().parents[2]
DOCS = CHECKOUT / "docs"
REFERENCE = (DOCS / "reference" / "run.md").read_text()
DOCUMENTS = sorted([*CHECKOUT.glob("*.md"), *DOCS.rglob("*.md")])

_LINK = re.compile(r"\]\(([^)\s]+)\)")
_ROW = re.compile(r"^\| `(-[^`]+)`( \*)? \| .* \| (.*?) ?\|$", re.MULTILINE)
_CODE = re.compile(r"`([^`]+)`")

# What is subprocess's, and described there: no row of the command line's has it
_OF_SUBPROCESS = {"stdout", "stderr", "capture_output", "check", "root"}


def links(document):
    return [link for link in _LINK.findall(document.read_text()) if "://" not in link]


def anchors(document):
    """Give the names that headings of a document can be linked to by, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", document.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}


def names(document):
    return str(document.relative_to(CHECKOUT))


def test_run_is_described_option_by_option():
    described = [synopsis.replace("\\|", "|") for synopsis, _, _ in _ROW.findall(REFERENCE)]
    assert sorted(described) == sorted(option.synopsis for option in RUN_OPTIONS)


def test_run_names_the_keywords_of_the_python_api_and_no_others():
    keywords = {name for _, _, cell in _ROW.findall(REFERENCE) for name in _CODE.findall(cell)}
    # `input` is a parameter of its own, whose type depends on `text`
    assert keywords - {"input"} == api.RunOptions.__annotations__.keys() - _OF_SUBPROCESS


@pytest.mark.parametrize("document", DOCUMENTS, ids=names)
def test_links_lead_somewhere(document):
    for link in links(document):
        path, _, anchor = link.partition("#")
        target = (document.parent / path).resolve() if path else document
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


def test_every_page_is_in_the_index():
    index = DOCS / "README.md"
    linked = {(DOCS / link.partition("#")[0]).resolve() for link in links(index)}
    assert set(DOCS.rglob("*.md")) - linked == {index}


def test_the_index_names_every_command():
    told = (DOCS / "README.md").read_text()
    assert [name for name in COMMANDS if f"`chrun {name}`" not in told] == []


def test_the_map_names_what_is_there():
    """Every file and room that the map speaks of in passing exists."""
    told = (DOCS / "explanation" / "architecture.md").read_text()
    paths = set(re.findall(r"`((?:[a-z_]+/)+(?:[a-z_]+\.(?:py|c))?)`", told))
    assert len(paths) > 10
    roots = (CHECKOUT, CHECKOUT / "src" / "chrun")
    assert [path for path in paths if not any((root / path).exists() for root in roots)] == []
