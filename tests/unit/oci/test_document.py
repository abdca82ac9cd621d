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


_MANY = b"9" * 4000  # as many as Python still converts


@pytest.mark.parametrize(
    "number",
    [_MANY, b"-" + _MANY, b"9" * 5000, b"1" * 21, b"NaN", b"Infinity", b"-Infinity", b"1e999",
     b"-1e999", b"1" * 400 + b".5"],
)  # fmt: skip
@pytest.mark.parametrize("place", [b'{"x": %b}', b'{"y": [{"z": %b}]}'])
def test_no_number_of_a_document_is_out_of_range(number, place):
    with pytest.raises(ContentError, match=r"cannot read it: not JSON: ") as raised:
        Document.parse("it", place % number)
    assert len(str(raised.value)) < 200


@pytest.mark.parametrize("number", [-1, 1 << 63, (1 << 64) - 1])
def test_an_integer_is_not_negative_and_has_64_bits(number):
    with pytest.raises(ContentError, match=f"x is {number}, expected 0 to 9223372036854775807$"):
        _document(x=number).integer("x")


def test_a_reader_says_how_large_a_number_may_be():
    assert _document(x=(1 << 64) - 1).integer("x", most=(1 << 64) - 1) == (1 << 64) - 1
    assert _document(x=-5).integer("x", least=-5, most=5) == -5
    with pytest.raises(ContentError, match=r"x is 6, expected -5 to 5$"):
        _document(x=6).integer("x", least=-5, most=5)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a\0b", "x has a NUL character in it"),
        ("a\ud800", "x has half of a surrogate pair in it"),
        ("\udfff", "x has half of a surrogate pair in it"),
    ],
)
def test_a_text_is_one_that_the_kernel_can_be_given(text, words):
    document = _document(x=text)
    with pytest.raises(ContentError, match=f"^cannot read it: {words}"):
        document.text("x")
    with pytest.raises(ContentError, match=f"^cannot read it: {words}"):
        _document(x=["fine", text]).texts("x")
    for held in ({"a": text}, {text: "a"}):
        with pytest.raises(ContentError, match=f"^cannot read it: {words}"):
            _document(x=held).mapping("x")


def test_characters_beyond_the_first_plane_are_text():
    assert _document(x="\U0001f433").text("x") == "\U0001f433"


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32", "utf-8-sig", "latin-1"])
def test_json_is_utf8_as_it_is_for_every_other_reader(encoding):
    with pytest.raises(ContentError, match="not JSON"):
        Document.parse("it", '{"x": "ü"}'.encode(encoding))


def test_bytes_that_are_half_of_a_pair_are_no_utf8():
    with pytest.raises(ContentError, match="not JSON"):
        Document.parse("it", b'{"x": "\xed\xa0\x80"}')


@given(st.binary())
def test_any_bytes_are_an_object_or_an_error(content):
    with suppress(ContentError):
        assert isinstance(Document.parse("it", content).fields, dict)
