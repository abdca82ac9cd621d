"""The table of defences is about this tree: each text is there once, each test by its name."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.attacks.defences import DEFENCES

CHECKOUT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("defence", DEFENCES, ids=lambda defence: defence.attack)
def test_what_is_taken_out_is_there(defence):
    for edit in defence.edits:
        assert (CHECKOUT / edit.path).read_text().count(edit.old) == 1, edit
        assert edit.old != edit.new


@pytest.mark.parametrize("defence", DEFENCES, ids=lambda defence: defence.attack)
def test_what_must_fail_then_is_a_test(defence):
    for test in defence.tests:
        path, _, name = test.partition("::")
        tree = ast.parse((CHECKOUT / path).read_text())
        functions = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
        assert name.partition("[")[0] in functions, test
