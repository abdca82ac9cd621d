"""docs/explanation/security.md: every claim names tests, and the tests exist."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]
PAGE = (CHECKOUT / "docs/explanation/security.md").read_text()
NAMED = sorted(set(re.findall(r"`([\w/]+/test_\w+\.py)::(test_\w+)`", PAGE)))
_HEADS = ("| stopped | how | tests |", "| added | tests |", "| claim | tests |")


@cache
def functions_of(path):
    tree = ast.parse((CHECKOUT / "tests" / path).read_text())
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


@pytest.mark.parametrize(("path", "name"), NAMED)
def test_a_test_that_a_claim_names_exists(path, name):
    assert name in functions_of(path)


def test_every_claim_names_a_test():
    rows = []
    for table in re.split(r"\n\n", PAGE):
        lines = table.splitlines()
        if lines and lines[0] in _HEADS:
            rows += lines[2:]
    assert len(rows) > 30
    assert [row for row in rows if "::test_" not in row] == []
