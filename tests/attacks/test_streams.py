"""Code that would change what the caller's standard streams are open on.

A filter and Landlock see paths and numbers, and not what is done to an inherited descriptor:
fchmod(2), fchown(2), ftruncate(2), fsetxattr(2), ioctl(2).
"""

from __future__ import annotations

import fcntl
import os
import platform
import select
import socket
import stat
import subprocess
import termios
from pathlib import Path

import pytest

import chrun as chrun_package
from chrun.errors import UsageError
from chrun.linux.seccomp.numbers import call_numbers
from tests.support.calls import PROGRAM_PATH
from tests.support.needs import needs

pytestmark = needs("busybox", "overlay")

RUNGS = pytest.mark.parametrize("rung", ["namespaces", "confined", "sealed"])
_NUMBERS = call_numbers(platform.machine())
_READABLE = str(0x400000)  # an address in the program, whose bytes stand for a structure
_AT_EMPTY_PATH = 0x1000


def _call(name, fd, *arguments):
    return " ".join((PROGRAM_PATH, str(_NUMBERS[name]), str(fd), *map(str, arguments)))


def attack(*fds):
    """Return a shell script that tries to change what descriptors are open on."""
    target = 7  # the same open file, under a number that no redirection hides
    tries = (
        _call("fchmod", target, 0o4777),
        _call("fchown", target, 1, 1),
        _call("fchownat", target, _READABLE, 1, 1, _AT_EMPTY_PATH),
        _call("ftruncate", target, 1),
        _call("utimensat", target, 0, 0, 0),
        _call("fsetxattr", target, _READABLE, _READABLE, 1, 0),
        _call("ioctl", target, termios.TIOCEXCL),
        _call("ioctl", target, termios.TIOCSTI, _READABLE),
        _call("ioctl", target, termios.TIOCSWINSZ, _READABLE),
        _call("ioctl", target, termios.TCSETS, _READABLE),
        f"chmod 4777 /proc/self/fd/{target}",
        f"chown 1:1 /proc/self/fd/{target}",
    )
    every = "\n".join(f"{line} >/dev/null 2>&1" for line in tries)
    return "\n".join(f"exec {target}<&{fd}\n{every}\nexec {target}<&-" for fd in fds)


def facts(status):
    """Return what an attacker must not change; times change when a file is written to."""
    return status.st_ino, oct(status.st_mode), status.st_uid, status.st_gid


@RUNGS
def test_a_file_that_output_goes_to_gets_no_mode_and_no_owner(chrun, calls_dir, tmp_path, rung):
    log = tmp_path / "job.log"
    with log.open("w") as out:
        before = facts(os.fstat(out.fileno()))
        script = f"echo start; {attack(1, 2)}; echo end"
        command = chrun.command("run", "-q", "--isolation", rung, calls_dir, "sh", "-c", script)
        done = subprocess.run(command, env=chrun.env, stdout=out, stderr=out, timeout=60)
    assert done.returncode == 0
    assert facts(log.stat()) == before
    assert log.read_text() == "start\nend\n"


@RUNGS
def test_a_file_that_input_comes_from_is_not_changed(chrun, calls_dir, tmp_path, rung):
    data = tmp_path / "data"
    data.write_text("content\n")
    before, mtime = facts(data.stat()), data.stat().st_mtime_ns
    script = f"cat; {attack(0)}; echo more >/proc/self/fd/0"
    command = chrun.command("run", "-qi", "--isolation", rung, calls_dir, "sh", "-c", script)
    with data.open("r+") as stdin:  # which may be written to
        done = subprocess.run(command, env=chrun.env, stdin=stdin, capture_output=True, timeout=60)
    assert done.stdout == b"content\n"
    assert (facts(data.stat()), data.stat().st_mtime_ns) == (before, mtime)
    assert data.read_text() == "content\n"


@RUNGS
def test_a_file_without_a_name_is_not_changed_either(chrun, calls_dir, tmp_path, rung):
    with (tmp_path / "data").open("w+") as file:
        file.write("content\n")
        file.seek(0)
        (tmp_path / "data").unlink()
        before = facts(os.fstat(file.fileno()))
        command = chrun.command(
            "run", "-qi", "--isolation", rung, calls_dir, "sh", "-c", f"cat; {attack(0)}"
        )
        done = subprocess.run(command, env=chrun.env, stdin=file, capture_output=True, timeout=60)
        assert done.stdout == b"content\n"
        assert facts(os.fstat(file.fileno())) == before


@needs("root")
@RUNGS
def test_the_hosts_null_device_is_not_the_containers(chrun, calls_dir, tmp_path, rung):
    null = tmp_path / "null"
    os.mknod(null, stat.S_IFCHR | 0o640, os.makedev(1, 3))
    before = facts(null.stat())
    command = chrun.command(
        "run", "-qi", "--isolation", rung, calls_dir, "sh", "-c", attack(0, 1, 2)
    )
    with null.open("r+b", buffering=0) as file:
        done = subprocess.run(command, env=chrun.env, stdin=file, stdout=file, stderr=file)
    assert done.returncode in (0, 1)
    assert facts(null.stat()) == before


@RUNGS
def test_a_fifo_that_output_goes_to_is_not_changed(chrun, calls_dir, tmp_path, rung):
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo, 0o600)
    before = facts(fifo.stat())
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    script = f"{attack(1)}; echo through"
    command = chrun.command("run", "-q", "--isolation", rung, calls_dir, "sh", "-c", script)
    with fifo.open("wb") as out:
        subprocess.run(command, env=chrun.env, stdout=out, timeout=60, check=True)
    with open(reader, "rb") as file:
        assert file.read() == b"through\n"
    assert facts(fifo.stat()) == before


class CallersTerminal:
    """A terminal that a command is started on without -t."""

    def __init__(self):
        self.master, self.slave = os.openpty()
        os.set_blocking(self.master, False)

    def facts(self):
        size = fcntl.ioctl(self.slave, termios.TIOCGWINSZ, bytes(8))
        return facts(os.fstat(self.slave)), termios.tcgetattr(self.slave), size

    def type(self, line):
        """Type a line, and take its echo."""
        os.write(self.master, line)
        assert select.select([self.master], [], [], 20)[0]
        assert os.read(self.master, 100) == line.replace(b"\n", b"\r\n")

    def may_be_opened(self):
        """Return whether TIOCEXCL is not set."""
        return fcntl.ioctl(self.slave, 0x80045440, bytes(4)) == bytes(4)  # TIOCGEXCL

    def close(self):
        os.close(self.master)
        os.close(self.slave)


@pytest.fixture
def terminal():
    opened = CallersTerminal()
    yield opened
    opened.close()


@RUNGS
@pytest.mark.parametrize("flags", ["-q", "-qi"])
def test_the_callers_terminal_is_out_of_reach_without_t(chrun, calls_dir, terminal, rung, flags):
    before = terminal.facts()
    script = f"test -t 0 || test -t 1 || test -t 2 || echo none; {attack(0, 1, 2)}"
    command = chrun.command("run", flags, "--isolation", rung, calls_dir, "sh", "-c", script)
    slave = terminal.slave
    done = subprocess.run(
        command, env=chrun.env, stdin=slave, stdout=slave, stderr=slave, start_new_session=True
    )
    assert done.returncode in (0, 1)
    assert os.read(terminal.master, 100) == b"none\r\n"
    assert terminal.facts() == before
    assert terminal.may_be_opened()


@RUNGS
@pytest.mark.parametrize("fd", [1, 2])
def test_what_is_typed_is_not_read_through_an_output(chrun, calls_dir, terminal, rung, fd):
    terminal.type(b"a secret\n")
    script = f"""
        for path in /proc/self/fd/{fd} /dev/fd/{fd} /dev/tty /dev/console; do
            timeout 1 head -1 <$path
        done 2>/dev/null
    """
    command = chrun.command("run", "-q", "--isolation", rung, calls_dir, "sh", "-c", script)
    slave = terminal.slave
    subprocess.run(command, env=chrun.env, stdin=slave, stdout=slave, stderr=slave, timeout=60)
    with pytest.raises(BlockingIOError):
        os.read(terminal.master, 100)


@needs("root")
def test_the_terminal_of_another_user_is_not_read_either(chrun, calls_dir, terminal):
    """After su(1) the terminal belongs to the user who logged in."""
    os.fchown(terminal.slave, 12345, -1)
    test_what_is_typed_is_not_read_through_an_output(chrun, calls_dir, terminal, "sealed", 2)


def test_the_api_gives_a_container_streams_of_its_own(chrun, calls_dir, tmp_path):
    data, log = tmp_path / "data", tmp_path / "log"
    data.write_text("content\n")
    with data.open() as stdin, log.open("w") as out:
        before = facts(data.stat()), facts(log.stat())
        done = chrun_package.run(
            str(calls_dir), ["sh", "-c", f"cat; {attack(0, 1, 2)}"],
            root=chrun.home, stdin=stdin, stdout=out, stderr=subprocess.STDOUT,
        )  # fmt: skip
    assert done.returncode in (0, 1)
    assert (facts(data.stat()), facts(log.stat())) == before
    assert log.read_text() == "content\n"


def test_sealed_code_gets_none_of_the_callers_pipes_and_sockets(chrun, calls_dir):
    """A socket is a way to the network that no namespace shuts, and a pipe can be read back."""
    ours, theirs = socket.socketpair()
    words = (
        "run",
        "-qi",
        "--isolation",
        "sealed",
        calls_dir,
        "sh",
        "-c",
        "cat; ls -l /proc/self/fd",
    )
    with ours, theirs:
        inodes = {str(os.fstat(theirs.fileno()).st_ino)}
        started = subprocess.Popen(
            chrun.command(*words), env=chrun.env, stdin=theirs, stdout=subprocess.PIPE
        )
        inodes.add(str(os.fstat(started.stdout.fileno()).st_ino))
        ours.send(b"sent\n")
        ours.shutdown(socket.SHUT_WR)
        out, _ = started.communicate(timeout=60)
    assert out.startswith(b"sent\n")
    shown = out.decode()
    assert shown.count("pipe:[") >= 2
    assert not any(f"[{inode}]" in shown for inode in inodes)


def test_a_directory_as_a_stream_is_refused(chrun, box):
    fd = os.open("/", os.O_RDONLY)
    try:
        with pytest.raises(UsageError, match="is a directory"):
            chrun_package.run(box, ["true"], root=chrun.home, stdin=fd)
    finally:
        os.close(fd)


def test_what_the_streams_lead_to_tells_no_path_of_the_host(chrun, calls_dir, tmp_path):
    data = tmp_path / "data"
    data.write_text("")
    command = chrun.command("run", "-qi", calls_dir, "ls", "-l", "/proc/self/fd")
    with data.open() as stdin:
        done = subprocess.run(command, env=chrun.env, stdin=stdin, capture_output=True, text=True)
    assert done.returncode == 0
    assert str(Path(tmp_path).name) not in done.stdout
