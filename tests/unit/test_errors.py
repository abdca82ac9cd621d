"""The error tree: as its docstring draws it, and each class raised somewhere."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

from chrun import errors
from chrun.errors import ChrunError, InvalidReferenceError, RegistryError, SandboxError

_SOURCE = Path(errors.__file__).parent
_CLASSES = {
    name: each
    for name, each in vars(errors).items()
    if isinstance(each, type) and issubclass(each, ChrunError)
}


def _drawn():
    """Read the docstring's tree: the name of each class and of the one it hangs from."""
    trail, drawn = [], {}
    for line in (errors.__doc__ or "").splitlines():
        if branch := re.match(r"([│ ]*)(?:[├└]── )?(\w+Error)\b", line):
            depth = (branch.start(2)) // 4
            trail[depth:] = [branch[2]]
            drawn[branch[2]] = trail[depth - 1] if depth else "Exception"
    return drawn


def test_the_docstring_draws_the_tree_as_it_is():
    assert _drawn() == {name: each.__bases__[0].__name__ for name, each in _CLASSES.items()}


@pytest.mark.parametrize("name", sorted(_CLASSES))
def test_every_error_says_what_it_means(name):
    assert _CLASSES[name].__doc__


class _Names(ast.NodeVisitor):
    """Gather the names that code uses outside its imports and except clauses."""

    def __init__(self):
        self.used = set()

    def visit_Name(self, node):
        self.used.add(node.id)

    def visit_ExceptHandler(self, node):
        for statement in node.body:
            self.visit(statement)


@cache
def _mentioned():
    """Give the names that any module but errors.py uses."""
    names = _Names()
    for path in _SOURCE.rglob("*.py"):
        if path.name != "errors.py":
            names.visit(ast.parse(path.read_text()))
    return names.used


@pytest.mark.parametrize("name", sorted(_CLASSES))
def test_every_error_is_raised_somewhere_or_stands_for_some_that_are(name):
    mentioned = _mentioned()
    assert any(issubclass(_CLASSES[each], _CLASSES[name]) for each in mentioned & _CLASSES.keys())


def test_a_hint_is_a_note_for_users_of_the_api():
    assert ChrunError("cannot", hint="try").__notes__ == ["hint: try"]
    assert not hasattr(ChrunError("cannot"), "__notes__")
    assert ChrunError("cannot").hint == ""


def test_errors_carry_what_programs_decide_by():
    refused = RegistryError("cannot", status=404, code="NAME_UNKNOWN", url="https://a/")
    assert (refused.status, refused.code, refused.url) == (404, "NAME_UNKNOWN", "https://a/")
    failed = SandboxError("cannot", step="mount proc on /proc", errno=1)
    assert (failed.step, failed.errno) == ("mount proc on /proc", 1)
    assert issubclass(InvalidReferenceError, ValueError)


def test_a_message_is_one_line_that_moves_no_cursor():
    error = ChrunError("cannot run a\nb: \x1b[2J\ud800", hint="x\r\ny")
    assert str(error) == "cannot run a?b: ?[2J?"
    assert error.hint == "x??y"
    assert error.__notes__ == ["hint: x??y"]
