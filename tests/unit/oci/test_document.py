"""JSON from outside: every field is what it must be, or an error that names it."""

import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chrun.errors import ContentError
from chrun.oci.document import Document


def _document(**fields):
    return Document.parse("it", json.dumps(fields).encode())


def test_fields_are_given_in_their_types():
    document = _document(text="a", integer=7, texts=["a", "b"], mapping={"a": "b"})
    assert document.text("text") == "a"
    assert document.integer("integer") == 7
    assert document.texts("texts") == ("a", "b")
    assert document.mapping("mapping") == {"a": "b"}
    assert "text" in document
    assert "other" not in document


@pytest.mark.parametrize("fields", [{}, {"x": None}])
def test_what_is_missing_or_null_has_its_default(fields):
    document = _document(**fields)
    assert document.text("x", "d") == "d"
    assert document.text("x", "") == ""
    assert document.integer("x", 0) == 0
    assert (document.texts("x"), document.mapping("x")) == ((), {})
    assert document.document("x").fields == {}
    assert list(document.documents("x")) == []
    assert "x" not in document


def test_what_must_be_there_must_be_there():
    with pytest.raises(ContentError, match="cannot read it: x is missing, expected a str"):
        _document().text("x")
    with pytest.raises(ContentError, match="cannot read it: x is missing, expected a int"):
        _document().integer("x")


@pytest.mark.parametrize(
    ("content", "method", "words"),
    [
        (7, "text", "x is a int, expected a str"),
        ("7", "integer", "x is a str, expected a int"),
        (True, "integer", "x is a bool, expected a int"),
        (7.5, "integer", "x is a float, expected a int"),
        ("a", "texts", "x is a str, expected a list"),
        ([1], "texts", "x holds a int, expected a str"),
        ([None], "texts", "x holds a NoneType, expected a str"),
        ([], "mapping", "x is a list, expected a dict"),
        ({"a": 1}, "mapping", "x holds a int, expected a str"),
        ("a", "document", "x is a str, expected a dict"),
    ],
)
def test_a_wrong_type_is_named(content, method, words):
    with pytest.raises(ContentError) as raised:
        getattr(_document(x=content), method)("x")
    assert str(raised.value) == f"cannot read it: {words}"


def test_errors_say_where_in_a_document_they_are():
    document = _document(layers=[{"size": 1}, {"size": "2"}, 3])
    entries = document.documents("layers")
    assert next(entries).integer("size") == 1
    with pytest.raises(ContentError, match=r"^cannot read it: layers\[1\]: size is a str"):
        next(entries).integer("size")
    with pytest.raises(ContentError, match=r"^cannot read it: layers holds a int, expected a dict"):
        next(entries)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"7",
        b"null",
        b'"text"',
        b"{",
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b'{"size": ' + b"9" * 10_000 + b"}",
    ],
)
def test_what_is_no_object_is_an_error(content):
    with pytest.raises(ContentError, match=r"^cannot read it: not "):
        Document.parse("it", content)


@given(st.binary())
def test_any_bytes_are_an_object_or_an_error(content):
    with suppress(ContentError):
        assert isinstance(Document.parse("it", content).fields, dict)
