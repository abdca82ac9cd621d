"""Standard streams that are closed, full or gone, and other odd places to be called from."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest

import chrun as chrun_package
from tests.support import images
from tests.support.chrun import Chrun
from tests.support.needs import needs
from tests.support.registry import FakeRegistry

_LISTED = "ls /proc/self/fd/0/ /proc/self/fd/1/ /proc/self/fd/2/ >/out/names 2>/out/refused"


def in_shell(chrun, script, *words, **options):
    """Run chrun from a shell, which knows it as "$@"."""
    command = ["sh", "-c", script, "sh", *chrun.command(*words)]
    source = str(Path(chrun_package.__file__).parents[1])  # PYTHONPATH may be relative
    env = {**chrun.env, "PYTHONUNBUFFERED": "", "PYTHONPATH": source}
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=60, **options)


@needs("busybox", "overlay")
@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&-", "<&- >&- 2>&-"])
def test_a_closed_stream_is_dev_null_inside_and_nothing_of_chruns(chrun, box, tmp_path, closed):
    script = f"readlink /proc/self/fd/[012] >/out/links; {_LISTED}; echo into the void; true"
    done = in_shell(
        chrun, f'"$@" {closed}', "run", "-i", "-v", f"{tmp_path}:/out", box, "sh", "-c", script
    )
    assert done.returncode == 0
    assert (tmp_path / "names").read_text() == ""
    links = (tmp_path / "links").read_text().split()
    assert not [link for link in links if "memfd" in link or link.startswith("/tmp")]


@needs("busybox", "overlay")
def test_commands_without_a_container_do_not_mind_closed_streams(chrun):
    for words in (["images"], ["info"], ["--help"]):
        done = in_shell(chrun, '"$@" <&- >&- 2>&-', *words)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@needs("busybox", "overlay")
@pytest.mark.parametrize("words", [["images"], ["--help"], ["info"]])
@pytest.mark.parametrize("buffered", ["", "1"])
def test_output_that_cannot_be_written_is_an_error(chrun, words, buffered):
    done = in_shell(chrun, f'PYTHONUNBUFFERED={buffered} "$@" >/dev/full', *words)
    assert done.stderr == "chrun: cannot write to standard output: no space left on device\n"
    assert done.returncode == 125


@needs("busybox", "overlay")
@pytest.mark.parametrize(
    "words",
    [["images"], ["info"], ["info", "--format=json"], ["--help"], ["run", "--help"], ["volume"],
     ["volume", "ls"], ["version"], ["explain", "-q"],
     ["explain", "-q", "--format=json"], ["explain", "-q", "--export=sh"]],
)  # fmt: skip
@pytest.mark.parametrize("buffered", ["", "1"])
def test_whoever_reads_no_further_ends_it_as_any_program(chrun, box, words, buffered):
    reader, writer = os.pipe()
    os.close(reader)
    operands = [box, "true"] if words[0] == "explain" else []
    done = subprocess.run(
        chrun.command(*words, *operands),
        stdout=writer,
        stderr=subprocess.PIPE,
        env=chrun.env | {"PYTHONUNBUFFERED": buffered},
    )
    os.close(writer)
    assert (done.returncode, done.stderr) == (-signal.SIGPIPE, b"")


@needs("busybox", "overlay", "ordinary user")
def test_a_run_whose_notice_nobody_reads_leaves_nothing(chrun, box):
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        chrun.command("run", "--privileged", box, "true"), stderr=writer, env=chrun.env
    )
    os.close(writer)
    assert done.returncode == -signal.SIGPIPE  # and `chrun` sees that no container is left


@pytest.mark.parametrize("words", [["run", "-v", "./x:/x", "busybox"], ["run", ".", "true"],
                                   ["--root", "here", "images"]])  # fmt: skip
def test_a_working_directory_that_is_gone_is_told(tmp_path, words):
    gone = tmp_path / "gone"
    gone.mkdir()
    done = in_shell(Chrun(tmp_path / "data"), 'rmdir "$PWD" && exec "$@"', *words, cwd=gone)
    assert done.stderr.splitlines()[0].endswith(": the working directory was removed")
    assert done.returncode == 125


@needs("busybox", "overlay")
def test_the_callers_umask_neither_locks_the_store_nor_reaches_the_container(tmp_path):
    chrun = Chrun(tmp_path / "data")
    with FakeRegistry() as registry:
        registry.add(images.busybox(), "busybox", "latest")
        done = in_shell(
            chrun, 'umask 0777; "$@"', "run", f"{registry.host}/busybox", "sh", "-c", "umask"
        )
    assert done.stdout == "0022\n", done.stderr
    assert chrun.leftovers() == []
    assert os.access(tmp_path / "data" / "layers", os.R_OK | os.X_OK)
