"""Words of exported scripts: what a shell makes of them is what they were."""

from __future__ import annotations

import os
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chrun.runtime.export.shell import comment, quote, quote_all, quote_named

# Anything that can be a word of a command line: bytes that are no UTF-8 as Python has them, no NUL
_TEXTS = st.binary(max_size=60).map(lambda raw: os.fsdecode(raw.replace(b"\0", b"")))
_NASTY = (
    "", "-n", "'", "''", "a'b", '"', "\\", "$x", "$(x)", "`x`", "!x", "*", "~", "a b", "\n", "x\n",
    "\t", "\r", "\x1b[31m", "\x7f", "\u009b", "\u202e", "\u00e9", "\udcff", "#", "a=b", ";", "%h",
)  # fmt: skip


def _as_the_shell_has_it(script: str, **env: str) -> bytes:
    encoded = script.encode(errors="surrogateescape")
    return subprocess.run(
        ["sh", "-c", encoded], capture_output=True, check=True, env={**os.environ, **env}
    ).stdout


@pytest.mark.parametrize("text", _NASTY)
def test_a_quoted_word_is_one_word_and_the_same(text):
    assert _as_the_shell_has_it(f"printf '<%s>' {quote(text)}") == b"<%b>" % os.fsencode(text)


@given(st.lists(_TEXTS, max_size=5))
def test_any_words_stay_what_and_how_many_they_are(words):
    expected = b"".join(b"<%b>" % os.fsencode(word) for word in words)
    script = f'set -- {quote_all(words)}; [ $# = 0 ] || printf "<%s>" "$@"'
    assert _as_the_shell_has_it(script) == expected


@given(_TEXTS)
def test_a_quoted_word_has_nothing_that_a_terminal_obeys(text):
    assert all(mark.isprintable() or mark in "\n\t" for mark in quote(text))


@given(_TEXTS)
def test_a_comment_is_one_line(text):
    assert comment(text).startswith("# ")
    assert all(mark.isprintable() for mark in comment(text))


@pytest.mark.parametrize(
    ("text", "percents", "expected"),
    [
        ("%h\n", True, "box\n"),
        ("a %h b %%h %%", True, "a box b %h %"),
        ("HOSTNAME=%h", False, "HOSTNAME=box"),
        ("100%% %h", False, "100%% box"),
        ("", True, ""),
    ],
)
def test_the_host_name_is_filled_in(text, percents, expected):
    script = f"printf '%sX' {quote_named(text, percents=percents)}"
    assert _as_the_shell_has_it(script, name="box") == f"{expected}X".encode()
