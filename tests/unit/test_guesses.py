"""What somebody meant who mistyped a word, and when nobody can know."""

from __future__ import annotations

import pytest

from chrun.cli.main import COMMANDS
from chrun.cli.run_options import RUN_OPTIONS
from chrun.guesses import guess

OPTIONS = [spelling for option in RUN_OPTIONS for spelling in option.spellings]


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        ("--memmory", "--memory"),
        ("--readonly", "--read-only"),
        ("--read_only", "--read-only"),
        ("--readOnly", "--read-only"),
        ("--capadd", "--cap-add"),
        ("--privilged", "--privileged"),
        ("--evn", "--env"),
        ("--mem", "--memory"),
        ("--cpu", "--cpus"),
        ("--volumes", "--volume"),
        ("--dns-opt", "--dns-option"),
        ("--no-network", "--network"),
        ("-rm", "--rm"),
        ("-T", "-t"),
    ],
)
def test_a_mistyped_option_is_recognized(word, meant):
    assert guess(word, OPTIONS) == meant


# Options of docker's that chrun has not: a hint at another one would send somebody astray.
@pytest.mark.parametrize(
    "word",
    ["--annotation", "--attach", "--cgroup-parent", "--cidfile", "--cpuset-mems", "--detach",
     "--env-file", "--expose", "--gpus", "--ip", "--label", "--link", "--mac-address",
     "--memory-reservation", "--network-alias", "--oom-kill-disable", "--publish", "--restart",
     "--runtime", "--stop-timeout", "--volumes-from", "-P", "-a", "-d", "-l", "-p"],
)  # fmt: skip
def test_what_chrun_does_not_have_is_no_mistyped_option(word):
    assert guess(word, OPTIONS) == ""


@pytest.mark.parametrize(
    ("word", "meant"),
    [("rnu", "run"), ("imgaes", "images"), ("image", "images"), ("pul", "pull"),
     ("exlpain", "explain"), ("inof", "info"), ("vol", "volume"), ("versn", "version")],
)  # fmt: skip
def test_a_mistyped_command_is_recognized(word, meant):
    assert guess(word, COMMANDS) == meant


@pytest.mark.parametrize(
    "word", ["ps", "rm", "exec", "build", "push", "stop", "logs", "inspect", "container", "", "-"]
)
def test_what_chrun_does_not_do_is_no_mistyped_command(word):
    assert guess(word, COMMANDS) == ""


def test_nothing_is_near_where_nothing_is_known():
    assert guess("run", ()) == ""
