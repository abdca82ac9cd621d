"""Which program is executed, how it is found, and what the exit status says when it is not."""

from __future__ import annotations

import errno
import subprocess

import pytest

from chrun.runtime.plan import Clone, Exec, Plan
from chrun.runtime.steps import Note
from tests.support.box import INIT, PATH, Box, run_init
from tests.support.needs import needs

pytestmark = needs("busybox", "overlay")


@pytest.fixture
def programs(tmp_path, busybox_dir):
    """A box with programs of many kinds in directories that PATH may name."""
    layer = tmp_path / "programs"
    layer.mkdir()

    def add(name, text="#!/bin/sh\necho $0\n", mode=0o755):
        path = layer / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        path.chmod(mode)

    add("first/tool", mode=0o644)
    add("second/tool")
    add("third/tool")
    add("second/orphan", "#!/no/such/interpreter\n")
    add("second/garbage", "neither ELF nor script")
    add("second/plain", mode=0o644)
    return Box(tmp_path, layer, busybox_dir)


def test_the_path_of_the_given_environment_is_searched_in_order(programs):
    done = programs.run("tool", env=["PATH=/nowhere:/second:/third"])
    assert done.stdout == "/second/tool\n"


def test_a_file_that_is_not_executable_is_passed_over(programs):
    assert programs.run("tool", env=["PATH=/first:/third"]).stdout == "/third/tool\n"


def test_without_a_path_the_usual_directories_are_searched(box):
    assert box.run("echo", "found", env=[]).stdout == "found\n"


def test_an_empty_element_of_the_path_is_the_working_directory(programs):
    assert programs.run("second/tool", env=["PATH="]).stdout == "second/tool\n"


@pytest.mark.parametrize(
    ("command", "status", "text"),
    [
        ("missing", 127, "no such file"),
        ("/missing", 127, "no such file"),
        ("", 127, "no such file"),
        ("orphan", 127, "shared library"),
        ("plain", 126, "permission denied"),
        ("/second/plain", 126, "permission denied"),
        ("/second", 126, "permission denied"),
        ("garbage", 126, "exec format error"),
        ("/bin/sh/x", 126, "not a directory"),
    ],
)
@pytest.mark.parametrize("init", [False, True])
def test_a_command_that_cannot_run_is_told_by_name_and_status(
    programs, command, status, text, init
):
    done = programs.run(command, env=["PATH=/second"], init=init)
    assert done.returncode == status
    assert done.stderr.startswith(f'chrun: cannot run "{command}": ')
    assert done.stdout == ""


def test_a_hint_comes_with_the_error(box):
    note = Note(errno.ENOENT, "the image has no such command", "try another")
    plan = box.plan("missing")
    command = Exec(plan.command.argv, plan.command.env, False, (note,))
    done = run_init(plan.replace(command=command))
    assert done.stderr == (
        'chrun: cannot run "missing": the image has no such command\nhint: try another\n'
    )


def test_the_name_in_the_error_is_the_one_of_the_whole_command_line(box):
    done = run_init(box.plan("x").replace(command=Exec((), (PATH,), False)), "--", "missing", "a")
    assert done.stderr.startswith('chrun: cannot run "missing": ')


def test_no_command_at_all_is_an_error():
    done = run_init(Plan(Clone(()), (), Exec((), (), False)))
    assert (done.returncode, done.stderr) == (
        126,
        "chrun: cannot run the command: invalid argument\n",
    )


def test_ten_thousand_words_are_passed_on(box):
    words = [str(number) for number in range(10_000)]
    done = run_init(box.plan("sh", "-c", "echo $#", "sh"), "--", *words)
    assert done.stdout == "10000\n"


def test_a_command_line_that_is_too_long_is_an_error(box):
    done = run_init(box.plan("echo", *["x" * 100_000] * 40))
    assert done.returncode == 126
    assert done.stderr.startswith('chrun: cannot run "echo": ')


@pytest.mark.parametrize(
    "words", [["plan="], ["plan=x"], ["plan=-1"], ["plan=99999999999"], ["nonsense"], ["x=1"]]
)
def test_a_word_that_is_not_known_is_refused(words):
    done = subprocess.run([INIT, *words], capture_output=True, text=True)
    assert done.returncode == 125
    assert done.stderr.startswith("chrun: cannot read the command line: ")
    assert words[0] in done.stderr


def test_an_init_reaps_orphans_and_ends_with_the_commands_status(box):
    script = """
        for seconds in 0 0.05; do
            mkfifo /tmp/$seconds
            (sh -c "echo \\$\\$; exec sleep $seconds" > /tmp/$seconds &)
            { read orphan; while [ -e /proc/$orphan ]; do :; done; } < /tmp/$seconds
        done
        exit 3
    """
    done = box.run("sh", "-c", script, init=True)
    assert (done.returncode, done.stdout) == (3, "")


def test_an_init_is_process_1_and_leads_the_commands_group(box):
    assert box.sh("echo $$ $PPID; cut -d' ' -f5 /proc/$$/stat", init=True) == "2 1\n2\n"


def test_the_signal_that_kills_the_command_is_the_exit_status(box):
    assert box.run("sh", "-c", "kill -TERM $$", init=True).returncode == 143
    assert box.run("sh", "-c", "sh -c 'kill -KILL $$'; exit $?").returncode == 137


def test_too_few_descriptors_to_watch_over_a_container_are_an_error_at_once(box):
    few = 'ulimit -n 8; exec "$@"'
    done = run_init(box.plan("true"), wrapper=("sh", "-c", few, "sh"))
    assert done.returncode == 125
    assert done.stderr.startswith("chrun: cannot start a process")
