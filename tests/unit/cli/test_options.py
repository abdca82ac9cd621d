"""The option table: docker's conventions."""

from __future__ import annotations

import pytest

from chrun.cli.options import Command, Option, parse_options
from chrun.errors import UsageError

TABLE = (
    Option(("-e", "--env"), "set", "NAME", True),
    Option(("-i", "--interactive"), "input"),
    Option(("-t", "--tty"), "terminal"),
    Option(("--pull",), "when", "WHEN", False, ("always", "never")),
)
RUN = Command("run IMAGE", "Run.", TABLE, interspersed=False)
LIST = Command("list", "List.", TABLE)


def test_options_end_at_the_first_operand_of_run():
    parsed = parse_options(RUN, ["-it", "redis", "-e", "--tty", "--unknown"])
    assert parsed.flag("interactive")
    assert parsed.flag("tty")
    assert parsed.operands == ("redis", "-e", "--tty", "--unknown")


def test_options_may_follow_operands_elsewhere():
    parsed = parse_options(LIST, ["a", "-i", "b"])
    assert parsed.operands == ("a", "b")
    assert parsed.flag("interactive")


@pytest.mark.parametrize(
    "words", [["-e", "A=1"], ["-eA=1"], ["--env", "A=1"], ["--env=A=1"], ["-ie", "A=1"]]
)
def test_a_value_can_be_given_in_every_usual_way(words):
    assert parse_options(RUN, words).texts("env") == ("A=1",)


def test_repeated_options_collect_and_others_take_the_last():
    parsed = parse_options(RUN, ["-e", "A", "-e", "B", "--pull", "always", "--pull=never"])
    assert parsed.texts("env") == ("A", "B")
    assert parsed.text("pull") == "never"


def test_two_dashes_end_the_options():
    assert parse_options(LIST, ["--", "-i"]).operands == ("-i",)


def test_a_flag_can_be_switched_off():
    assert not parse_options(LIST, ["--tty=false"]).flag("tty")
    assert not parse_options(LIST, ["--tty", "--tty=false"]).flag("tty")
    assert parse_options(LIST, ["--tty=false", "--tty"]).flag("tty")
    assert parse_options(LIST, ["--tty=true"]).flag("tty")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--evn", "x"], "run has no option --evn"),
        (["-x"], "run has no option -x"),
        (["--tty=maybe"], "--tty takes no value"),
        (["-e"], "--env needs a NAME"),
        (["--pull", "often"], "--pull is 'often', expected always, never"),
    ],
)
def test_what_the_table_does_not_have_is_an_error(words, message):
    with pytest.raises(UsageError, match=message):
        parse_options(RUN, words)


def test_a_near_miss_is_pointed_out():
    with pytest.raises(UsageError) as caught:
        parse_options(RUN, ["--interactiv"])
    assert caught.value.hint == "did you mean --interactive?"


def test_help_comes_from_the_same_table():
    text = RUN.help_text()
    assert "usage: chrun run IMAGE" in text
    for option in TABLE:
        assert ", ".join(option.spellings) in text
