"""What a registry's own words become, and how they are made fit to be shown."""

import json

import pytest

from chrun.registry.failures import explained
from chrun.registry.headers import retry_after
from chrun.registry.http import Answer, address_of
from chrun.registry.trust import parsed


def _answer(*errors):
    return Answer(400, {}, json.dumps({"errors": list(errors)}).encode())


def test_the_first_error_counts():
    answer = _answer({"code": "A", "message": "first"}, {"code": "B", "message": "second"})
    assert explained(answer) == ("A", "first")


def test_what_would_move_the_cursor_is_stripped():
    hostile = {"code": "A\x1b[2J", "message": "one\r\ntwo\x1b]0;title\x07 \u202ethree"}
    assert explained(_answer(hostile)) == ("A [2J", "one two ]0;title three")


def test_a_long_message_is_cut():
    assert len(explained(_answer({"code": "A", "message": "x" * 9999}))[1]) < 310


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"[]",
        b"{}",
        b"\xff",
        b"[" * 100_000,
        b'{"errors": []}',
        b'{"errors": ["x"]}',
        b'{"errors": null}',
        b'{"errors": [{"code": 7, "message": null}]}',
    ],
)
def test_bodies_that_are_no_errors_say_nothing(body):
    assert explained(Answer(500, {}, body)) == ("", "")


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("0", 0), ("120", 120), (" 7 ", 7), ("Thu, 01 Jan 1970 00:00:00 GMT", 0)],
)
def test_retry_after_is_read_in_seconds_and_as_a_date(text, seconds):
    assert retry_after({"retry-after": text}) == seconds


def test_retry_after_may_be_a_date_to_come():
    wait = retry_after({"retry-after": "Fri, 01 Jan 2100 00:00:00 GMT"})
    assert wait is not None
    assert wait > 1e9


@pytest.mark.parametrize("text", ["", "soon", "-1", "1.5", "\u0661"])
def test_retry_after_that_says_nothing_is_none(text):
    assert retry_after({"retry-after": text}) is None


def test_an_address_that_is_shown_has_no_query_and_no_user():
    url = parsed("https://me:secret@a.example:5000/v2/x?sig=secret#secret")
    assert address_of(url) == "https://a.example:5000/v2/x"


@pytest.mark.parametrize(
    "text",
    ["9" * 5000, "Fri, 01 Jan 99999 00:00:00 GMT", "Fri, 01 Jan 0000 00:00:00 GMT", "1e9", "-1",
     "Fri, 31 Feb 2100 00:00:00 GMT", "Fri, 01 Jan 2100 00:00:00 +99999999", "\xb2"],
)  # fmt: skip
def test_retry_after_may_be_anything(text):
    seconds = retry_after({"retry-after": text})
    assert seconds is None or seconds >= 0
