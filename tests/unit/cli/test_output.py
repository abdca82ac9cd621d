"""What commands print."""

from __future__ import annotations

import pytest

from chrun.cli.output import Lines, human_age, human_size, make_progress, print_table, printable
from chrun.engine.progress import Part, Silent
from chrun.oci.digest import Digest

PART = Part("evil\x1b[2J", 2, 7, Digest("sha256", "3f4e" * 16), 12_300_000)


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0B"),
        (999, "999B"),
        (1000, "1kB"),
        (12_345_678, "12.3MB"),
        (5e9, "5GB"),
        (2e15, "2PB"),
    ],
)
def test_sizes_are_dockers(size, text):
    assert human_size(size) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-5, "just now"), (59, "just now"), (60, "1 minute ago"), (7200, "2 hours ago"),
     (21 * 86400, "3 weeks ago"), (800 * 86400, "2 years ago")],
)  # fmt: skip
def test_ages_are_words(seconds, text):
    assert human_age(seconds) == text


@pytest.mark.parametrize("mark", ["\x1b", "\n", "\r", "\x9b", "\u202e", "\udcff", "\0"])
def test_nothing_that_a_terminal_obeys_is_printed(mark):
    assert printable(f"a{mark}b") == "a?b"
    assert printable("größe 日本") == "größe 日本"


def test_tables_have_columns(capsys):
    print_table([["NAME", "SIZE"], ["a\x1blong name", "1"], ["b", "22"]])
    assert capsys.readouterr().out == "NAME          SIZE\na?long name   1\nb             22\n"


def test_progress_is_lines_where_there_is_no_terminal(capsys):
    with make_progress(quiet=False) as progress:
        assert isinstance(progress, Lines)
        progress.started(PART, 4_000_000)
        progress.advanced(PART, 1)
        progress.resuming(PART, "the connection broke")
        progress.finished(PART)
        progress.present(PART)
        progress.waiting(PART)
    assert capsys.readouterr().err.splitlines() == [
        "layer 2/7 3f4e3f4e3f4e: fetching 12.3MB, 4MB of it already here",
        "layer 2/7 3f4e3f4e3f4e: trying again: the connection broke",
        "layer 2/7 3f4e3f4e3f4e: 12.3MB",
        "layer 2/7 3f4e3f4e3f4e: already here",
        "waiting for another chrun to fetch layer 2/7 of evil?[2J",
    ]


def test_quiet_shows_nothing(capsys):
    with make_progress(quiet=True) as progress:
        assert isinstance(progress, Silent)
        progress.started(PART, 0)
        progress.finished(PART)
    assert capsys.readouterr() == ("", "")
