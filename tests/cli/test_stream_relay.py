"""Standard streams as a user knows them, though the container has others."""

from __future__ import annotations

import os
import select
import shlex
import signal
import socket
import subprocess
import time
import tty
from pathlib import Path

import pexpect
import pytest

from tests.support.needs import needs
from tests.support.processes import first_process
from tests.support.waiting import unread_bytes, wait_until

pytestmark = needs("busybox", "overlay")

LINES = b"".join(b"line %d\n" % number for number in range(100_000))


def run(chrun, *words, shell='"$@"', **options):
    """Run chrun from a shell, which knows it as "$@"."""
    command = ["bash", "-c", shell, "bash", *chrun.command("run", "-q", *words)]
    piped = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.run(command, env=chrun.env, timeout=60, **(piped | options))


def test_one_pipe_keeps_the_order_of_output_and_errors(chrun, box, tmp_path):
    script = "for i in 1 2 3 4 5 6 7 8 9; do echo out $i; echo err $i >&2; done"
    for number, shell in enumerate(('"$@" >log 2>&1', '"$@" >>log 2>&1')):
        run(chrun, box, "sh", "-c", script, shell=shell, cwd=tmp_path)
        lines = (tmp_path / "log").read_text().split("\n")[18 * number :]
        expected = [f"{kind} {i}" for i in range(1, 10) for kind in ("out", "err")]
        assert lines[:18] == expected


def test_what_is_appended_to_a_file_comes_behind_its_end(chrun, box, tmp_path):
    (tmp_path / "log").write_text("before\n")
    run(chrun, box, "seq", "3", shell='"$@" >>log', cwd=tmp_path)
    assert (tmp_path / "log").read_text() == "before\n1\n2\n3\n"


@pytest.mark.parametrize("kind", ["file", "file without a name", "pipe", "socket", "fifo"])
@pytest.mark.parametrize("flags", [(), ("--isolation", "sealed")])
def test_all_input_arrives_and_ends(chrun, box, tmp_path, kind, flags):
    data = tmp_path / "data"
    data.write_bytes(LINES)
    shell = {
        "file": '"$@" <data',
        "file without a name": 'exec <data; rm data; "$@"',
        "pipe": 'cat data | "$@"',
        "fifo": 'mkfifo fifo; cat data >fifo & "$@" <fifo',
        "socket": '"$@"',
    }[kind]
    options = {}
    if kind == "socket":
        ours, theirs = socket.socketpair()
        options["stdin"] = theirs
        if os.fork() == 0:
            theirs.close()
            ours.sendall(LINES)
            os._exit(0)
        ours.close()
    done = run(chrun, "-i", *flags, box, "md5sum", shell=shell, cwd=tmp_path, **options)
    if kind == "socket":
        theirs.close()
        os.wait()
    expected = subprocess.run(["md5sum"], input=LINES, capture_output=True, check=True).stdout
    assert (done.stdout, done.stderr) == (expected, b"")


@pytest.mark.parametrize("unnamed", [False, True], ids=["named", "without a name"])
@pytest.mark.parametrize("flags", [(), ("--isolation", "sealed")])
def test_what_the_container_did_not_read_is_left_to_the_next(chrun, box, tmp_path, unnamed, flags):
    (tmp_path / "data").write_bytes(LINES)
    shell = f'exec <data; {"rm data;" if unnamed else ""} "$@"; cat'
    done = run(chrun, "-i", *flags, box, "sh", "-c", "read line; echo $line", shell=shell,
               cwd=tmp_path)  # fmt: skip
    assert done.stdout == LINES


def test_a_program_can_seek_in_its_input(chrun, box, tmp_path):
    (tmp_path / "data").write_bytes(LINES)
    shell = 'exec <data; read line; "$@"; cat | wc -c'
    done = run(chrun, "-i", box, "sh", "-c", "tail -c 6", shell=shell, cwd=tmp_path)
    assert done.stdout == LINES[-6:] + b"0\n"


def test_input_is_left_alone_without_i(chrun, box, tmp_path):
    (tmp_path / "data").write_bytes(LINES)
    done = run(chrun, box, "cat", shell='("$@"; cat) <data', cwd=tmp_path)
    assert done.stdout == LINES


@pytest.mark.parametrize("flags", [(), ("--isolation", "sealed")])
@pytest.mark.parametrize("kind", ["file", "pipe", "fifo"])
def test_all_output_arrives_before_the_exit(chrun, box, tmp_path, kind, flags):
    shell = {
        "file": '"$@" >out',
        "pipe": '"$@" | (sleep 0.3; cat >out)',
        "fifo": 'mkfifo fifo; (sleep 0.3; cat fifo >out) & "$@" >fifo; wait',
    }[kind]
    run(chrun, *flags, box, "seq", "200000", shell=shell, cwd=tmp_path)
    expected = "".join(f"{number}\n" for number in range(1, 200_001))
    assert (tmp_path / "out").read_text() == expected


@pytest.mark.parametrize("flags", [(), ("--isolation", "sealed")])
def test_a_command_ends_when_nothing_reads_its_output(chrun, box, flags):
    done = run(chrun, *flags, box, "yes", shell='"$@" | head -1; echo ${PIPESTATUS[0]}')
    word, status = done.stdout.split()
    assert word == b"y"
    assert status != b"0"


def test_output_that_the_disk_refuses_is_an_error(chrun, box):
    done = run(chrun, box, "echo", "lost", shell='"$@" >/dev/full')
    assert done.stderr == b"chrun: cannot relay the standard streams: no space left on device\n"
    assert done.returncode == 125


def test_the_exit_does_not_wait_for_a_daemon_that_keeps_the_output(chrun, box, tmp_path):
    began = time.monotonic()
    done = run(chrun, box, "sh", "-c", "setsid sleep 50 & echo done", shell='"$@" >out',
               cwd=tmp_path)  # fmt: skip
    assert done.returncode == 0
    assert (tmp_path / "out").read_text() == "done\n"
    assert time.monotonic() - began < 40


@pytest.mark.parametrize("flags", [("-u", "nobody"), ("-u", "12:34")])
def test_another_user_can_open_dev_stdout(chrun, box, tmp_path, flags):
    script = "echo out >/dev/stdout; echo err >/dev/stderr"
    done = run(chrun, *flags, box, "sh", "-c", script)
    assert (done.stdout, done.stderr) == (b"out\n", b"err\n")
    done = run(chrun, *flags, box, "sh", "-c", script, shell='"$@" >log 2>&1', cwd=tmp_path)
    assert (tmp_path / "log").read_text() == "out\nerr\n"


def test_a_reader_that_is_slow_holds_up_neither_signals_nor_the_deadline(chrun, box):
    reader, writer = os.pipe()
    for flags, number, status in (
        (("--timeout", "1s"), 0, 124),
        ((), signal.SIGTERM, 128 + signal.SIGTERM),
    ):
        words = ("run", "-q", "--isolation", "sealed", *flags, box, "yes")
        with subprocess.Popen(chrun.command(*words), env=chrun.env, stdout=writer) as started:
            wait_until(lambda: unread_bytes(reader) >= 60_000)
            if number:
                started.send_signal(number)
            assert started.wait(30) == status
        os.set_blocking(reader, False)
        while unread_bytes(reader):
            os.read(reader, 1 << 20)
    os.close(reader)
    os.close(writer)


def test_a_closed_input_of_the_container_is_not_read_on(chrun, box):
    """The caller's terminal or pipe keeps what nothing in the container can read."""
    reader, writer = os.pipe()
    script = "exec </dev/null; echo closed; sleep 50"
    words = ("run", "-qi", "--isolation", "sealed", box, "sh", "-c", script)
    with subprocess.Popen(
        chrun.command(*words), env=chrun.env, stdin=reader, stdout=subprocess.PIPE
    ) as started:
        assert started.stdout.readline() == b"closed\n"
        first = Path(f"/proc/{first_process(started.pid)}/fd/0")
        assert os.readlink(first) == "/dev/null"
        os.write(writer, b"for somebody else\n")
        assert unread_bytes(reader) == 18
        started.terminate()
    assert os.read(reader, 100) == b"for somebody else\n"
    os.close(reader)
    os.close(writer)


def test_a_terminal_shows_output_and_errors_in_their_order(chrun, box):
    script = "for i in 1 2 3 4 5 6; do echo out $i; echo err $i >&2; done"
    for flags in ((), ("-i",)):
        words = chrun.command("run", "-q", *flags, box, "sh", "-c", script)
        shown = pexpect.run(" ".join(map(shlex.quote, words)), env=chrun.env, timeout=30)
        expected = "".join(f"out {i}\r\nerr {i}\r\n" for i in range(1, 7))
        assert shown.decode() == expected


def test_one_file_for_input_and_output_is_written_at_its_offset(chrun, box, tmp_path):
    (tmp_path / "file").write_text("0123456789\n")
    shell = 'exec 5<>file; "$@" <&5 >&5; echo CD >&5'
    run(chrun, "-i", box, "echo", "AB", shell=shell, cwd=tmp_path)
    assert (tmp_path / "file").read_text() == "AB\nCD\n6789\n"


@pytest.mark.parametrize("flags", [(), ("--isolation", "sealed")])
def test_a_file_that_is_open_for_writing_only_is_not_read(chrun, box, tmp_path, flags):
    (tmp_path / "secret").write_text("secret\n")
    done = run(chrun, "-i", *flags, box, "cat", shell='"$@" 0>>secret', cwd=tmp_path)
    assert b"secret" not in done.stdout


def test_a_terminal_that_hung_up_is_no_failure_of_chruns(chrun, box):
    ours, theirs = os.openpty()
    script = "trap '' HUP PIPE; read line; echo lost; exit 7"
    words = ("run", "-qi", box, "sh", "-c", script)
    with subprocess.Popen(
        chrun.command(*words), env=chrun.env, stdin=subprocess.PIPE, stdout=theirs,
        start_new_session=True,
    ) as started:  # fmt: skip
        os.close(theirs)
        os.close(ours)
        started.stdin.write(b"now\n")
        started.stdin.close()
        assert started.wait(20) == 7


def test_output_to_a_terminals_master_is_not_lost(chrun, box):
    ours, theirs = os.openpty()
    tty.setraw(theirs)
    subprocess.run(
        chrun.command("run", "-q", box, "echo", "through"), env=chrun.env, stdout=ours, check=True
    )
    assert os.read(theirs, 100) == b"through\n"
    os.close(ours)
    os.close(theirs)


@needs("ordinary user")
@pytest.mark.parametrize("number", [signal.SIGTERM, 0])
def test_a_terminal_that_cannot_be_opened_again_holds_up_nothing(chrun, box, number):
    """After su(1) a terminal is another user's; here nobody may open it."""
    ours, theirs = os.openpty()
    os.fchmod(theirs, 0)
    words = ("run", "-q", *(() if number else ("--timeout", "1s")), box, "yes")
    with subprocess.Popen(
        chrun.command(*words), env=chrun.env, stdout=theirs, stderr=theirs
    ) as started:
        assert select.select([ours], [], [], 20)[0]
        if number:
            started.send_signal(number)
        assert started.wait(20) == (128 + number if number else 124)
    os.close(ours)
    os.close(theirs)
