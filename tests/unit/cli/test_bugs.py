"""Unexpected exceptions on the command line: one line, and exit code 125."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from chrun.engine.inside import error_from
from chrun.engine.worker import BUG
from chrun.store.answers import Fields

_SECRET = "hunter2"
# The real command line, with one command more: its body is what goes wrong
_SCRIPT = """
import os, sys, types
from chrun.cli import main
from chrun.errors import ChrunError
command = types.ModuleType("chrun.cli.boom")
def run(words, root):
    {body}
    return 0
command.run = run
sys.modules["chrun.cli.boom"] = command
main.COMMANDS["boom"] = "go wrong"
sys.argv = ["chrun", "--root", "/nonexistent", "boom"]
sys.exit(main.main())
"""


def _boom(body, *, debug="", **options):
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "CHRUN_DEBUG": debug}
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | options
    command = [sys.executable, "-c", _SCRIPT.format(body=body)]
    return subprocess.run(command, text=True, env=env, **streams)


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ("{}['hunter2']", "KeyError"),
        ("int('hunter2')", "ValueError"),
        ("raise TypeError('hunter2\\nhunter2')", "TypeError"),
        ("assert not 'hunter2'", "AssertionError"),
        ("def deep(): deep()\n    deep()", "RecursionError"),
        ("'\\ud800'.encode()", "UnicodeEncodeError"),
        ("open('/nonexistent/hunter2')", "FileNotFoundError"),
    ],
)
def test_a_bug_is_one_line_without_secrets_that_says_where_to_report_it(body, kind):
    done = _boom(body)
    assert done.returncode == 125
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"chrun: cannot go on: a bug in chrun, {kind}")
    assert line.endswith("please report it with the output of CHRUN_DEBUG=1")
    assert _SECRET not in line


def test_the_line_says_in_which_file_of_chruns_it_was():
    done = _boom("from chrun.oci.platform import rank\n    rank(None, None)")
    assert "a bug in chrun, AttributeError in oci/platform.py:" in done.stderr


def test_the_traceback_is_for_who_asks_for_it():
    done = _boom("{}['hunter2']", debug="1")
    assert done.returncode == 125
    assert done.stderr.startswith("Traceback (most recent call last):\n")
    assert "KeyError: 'hunter2'\n" in done.stderr
    assert done.stderr.splitlines()[-1].startswith("chrun: cannot go on: a bug in chrun, KeyError")


@pytest.mark.parametrize(
    ("body", "status", "line"),
    [
        ("raise MemoryError", 125, "chrun: cannot go on: not enough memory\n"),
        ("raise KeyboardInterrupt", 130, ""),
        ("raise ChrunError('cannot x')", 125, "chrun: cannot x\n"),
        (
            "raise OSError(28, 'No space left on device', '/x')",
            125,
            "chrun: cannot use /x: no space left on device\n",
        ),
        (
            "raise OSError(28, 'No space left on device')",
            125,
            "chrun: cannot write to standard output: no space left on device\n",
        ),
    ],
)
def test_what_is_no_bug_has_its_own_words(body, status, line):
    done = _boom(body)
    assert (done.returncode, done.stderr) == (status, line)


@pytest.mark.parametrize("body", ["{}['x']", "raise ChrunError('cannot x')"])
def test_the_exit_code_stays_where_nobody_reads_what_is_said(body):
    read_end, write_end = os.pipe()
    os.close(read_end)
    with os.fdopen(write_end, "w") as closed:
        assert _boom(body, stderr=closed).returncode == 125
    with open("/dev/full", "w") as full:
        assert _boom(body, stderr=full).returncode == 125


@pytest.mark.parametrize(
    ("encoding", "printed"),
    [("utf-8", b"/\xff \xc3\xbc\n"), ("ascii", b"/\\udcff \\xfc\n")],
)
def test_names_that_a_locale_does_not_have_are_printed_all_the_same(encoding, printed, monkeypatch):
    monkeypatch.setenv("PYTHONIOENCODING", f"{encoding}:strict")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    command = [sys.executable, "-c", _SCRIPT.format(body="print('/\\udcff \\xfc')")]
    done = subprocess.run(command, capture_output=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, printed, b"")


def _worker(*words):
    """Do a task of the process inside a user namespace, and give what it says of it."""
    command = "from chrun.engine.worker import main; main()"
    env = {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", command, *words], capture_output=True, env=env, input=b""
    )
    assert done.stderr == b""
    assert done.returncode == 0
    fields = Fields(done.stdout)
    return fields.text(), fields.text(), fields.text()


def test_a_bug_inside_a_user_namespace_is_told_by_the_process_outside():
    result = _worker("no-such-task")
    assert result[0] == BUG
    raised = error_from(*result)
    assert type(raised) is RuntimeError
    assert str(raised) == "ValueError in a user namespace"
    assert "no such task: no-such-task" in raised.__notes__[0]


def test_an_error_inside_a_user_namespace_is_the_same_outside(tmp_path):
    result = _worker("unpack", "layer 1", str(tmp_path), "text/plain")
    assert result[0] == "UnsupportedMediaTypeError"
    assert str(error_from(*result)).startswith("cannot unpack layer 1: unknown media type")
    assert isinstance(error_from("MemoryError", "", ""), MemoryError)


_GATE = """
import os, struct
from chrun.cli.gate import _inspect
from chrun.engine.receipt import open_gate
ours, theirs = open_gate()
theirs.send(struct.pack("<3I", os.getpid(), 0, 0))
if os.fork() == 0:
    _inspect(ours, None, None)  # it is given no container to look at
ours.close()
print(theirs.recv(4096).decode(), end="")
os.wait()
"""


@pytest.mark.parametrize("debug", ["", "1"])
def test_a_bug_of_the_process_that_looks_at_a_command_ends_the_command_in_one_line(debug):
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "CHRUN_DEBUG": debug}
    done = subprocess.run(
        [sys.executable, "-c", _GATE], capture_output=True, text=True, env=env, check=True
    )
    assert done.stdout.startswith("-chrun: cannot go on: a bug in chrun, AttributeError in engine/")
    assert done.stdout.count("\n") == 1
    assert ("Traceback" in done.stderr) == bool(debug)
