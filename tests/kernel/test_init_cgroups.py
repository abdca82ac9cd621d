"""Steps 32, 33, 35 and 66 by themselves: what is written, what is refused, what is left.

Version 2 is played with its hugetlb controller, which a machine with trees of version 1 has left.
"""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import time
from contextlib import ExitStack

import pytest

from chrun.linux.device_rules import program_of
from chrun.oci.device_rules import DEFAULT_RULES, Rule
from chrun.runtime.limits import (
    Cgroup,
    CgroupNamespace,
    Deadline,
    DeviceFilter,
    RemoveCgroups,
)
from chrun.runtime.plan import Clone, Exec, Plan
from chrun.runtime.steps import Note
from tests.support.box import CONTAINER_ID, PATH, TIMEOUT_SECONDS, run_init, start_init
from tests.support.cgroups import HOG, ROOT, UNIFIED, own_cgroups
from tests.support.needs import needs
from tests.support.waiting import wait_until

NAME = f"chrun-{CONTAINER_ID}"
PAGES = "hugetlb.2MB.max"


@pytest.fixture
def tree():
    """A cgroup of version 1, with nothing in it, that counts processes."""
    with own_cgroups(0, [ROOT / "pids"]) as (shell,):
        yield shell.parent


@pytest.fixture
def unified():
    """A cgroup of version 2 whose children may have hugetlb, and one for the monitor in it."""
    before = (UNIFIED / "cgroup.subtree_control").read_text()
    if "hugetlb" not in before:
        (UNIFIED / "cgroup.subtree_control").write_text("+hugetlb")
    with own_cgroups(0, [UNIFIED]) as (shell,):
        yield shell.parent
    if "hugetlb" not in before:
        (UNIFIED / "cgroup.subtree_control").write_text("-hugetlb")


def limited(parent, *settings, controllers=(), amount="", notes=()):
    """Give the step that sets limits below a parent."""
    return Cgroup(str(parent), controllers, settings, amount, "set a limit", notes)


def plan_of(*steps, script="true", namespaces=()):
    """Give a plan of a command without a root of its own, which cleans up."""
    command = Exec(("sh", "-c", script), (PATH,), False)
    return Plan(Clone(namespaces), steps, command, (RemoveCgroups(),))


def entering(group):
    """Give the words before a command that is to start in a cgroup."""
    return ["sh", "-c", 'echo 0 > "$0" && exec "$@"', str(group / "cgroup.procs")]


@needs("root", "cgroups 1")
def test_the_first_process_is_in_the_cgroup_and_the_monitor_is_not(tree):
    script = "grep :pids: /proc/self/cgroup /proc/$PPID/cgroup"
    done = run_init(plan_of(limited(tree, "pids.max=50"), script=script))
    inside, outside = done.stdout.splitlines()
    assert inside.endswith(f"{tree.name}/{NAME}")
    assert NAME not in outside
    assert not (tree / NAME).exists()


@needs("root", "cgroups 1")
def test_the_limit_holds_before_anything_else_happens(tree):
    done = run_init(plan_of(limited(tree, "pids.max=1"), script="true & wait"))
    assert "fork" in done.stderr


@needs("root", "cgroups 1")
def test_two_steps_with_one_parent_share_a_cgroup(tree):
    steps = (limited(tree, "pids.max=50"), limited(tree, "notify_on_release=0"))
    done = run_init(plan_of(*steps, script=f"cat {tree}/{NAME}/pids.max; ls {tree}"))
    assert done.stdout.splitlines()[0] == "50"
    assert done.stdout.count("chrun-") == 1


@needs("root", "cgroups 1")
@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("pids.max=0x", "invalid argument"),
        ("pids.most=5", "no such file or directory"),
        ("notify_on_release=2", "it keeps another value"),  # and says nothing of that
        ("../pids.max=5", "invalid argument"),
        ("pids.max", "invalid argument"),
    ],
)
def test_a_setting_that_does_not_hold_is_an_error_and_nothing_runs(tree, setting, words):
    notes = (Note(errno.ERANGE, "it keeps another value"),)
    done = run_init(plan_of(limited(tree, setting, notes=notes), script="echo ran"))
    assert (done.returncode, done.stdout) == (125, "")
    assert done.stderr == f"chrun: cannot set a limit: {words}\n"
    assert not (tree / NAME).exists()


@needs("root", "cgroups 1")
def test_a_setting_with_a_question_mark_may_lack_its_file(tree):
    steps = limited(tree, "?pids.most=5", "?pids.max=7")
    assert run_init(plan_of(steps, script=f"cat {tree}/{NAME}/pids.max")).stdout == "7\n"


@needs("root", "cgroups 1")
def test_a_note_explains_what_the_kernel_answered(tree):
    notes = (Note(errno.ENOENT, "the kernel has no such limit", "boot another one"),)
    done = run_init(plan_of(limited(tree, "pids.most=5", notes=notes)))
    assert done.stderr == (
        "chrun: cannot set a limit: the kernel has no such limit\nhint: boot another one\n"
    )


@needs("root", "cgroups 1")
def test_a_cgroup_that_is_there_already_is_somebody_elses(tree):
    (tree / NAME).mkdir()
    done = run_init(plan_of(limited(tree, "pids.max=5")))
    assert done.stderr == "chrun: cannot set a limit: file exists\n"
    assert (tree / NAME).exists()


@needs("root", "cgroups 1")
def test_the_cgroups_are_noted_in_the_scratch_directory_while_they_are_there(tree, tmp_path):
    plan = plan_of(limited(tree, "pids.max=50"), script=f"cat {tmp_path}/cgroups")
    assert run_init(plan, f"scratch={tmp_path}").stdout == f"{tree}/{NAME}\n"
    assert not (tmp_path / "cgroups").exists()


@needs("root", "cgroups 1")
def test_whoever_is_left_in_the_cgroup_is_killed_though_it_is_no_child(tree):
    with subprocess.Popen(["sleep", "60"]) as other:
        script = f"echo {other.pid} > {tree}/{NAME}/cgroup.procs"
        done = run_init(plan_of(limited(tree, "pids.max=50"), script=script))
        other.wait(timeout=10)
    assert done.stderr == ""
    assert other.returncode == -signal.SIGKILL
    assert not (tree / NAME).exists()


@needs("root", "cgroups 1")
def test_cgroups_that_a_container_made_in_its_own_go_with_it(tree):
    """With CAP_SYS_ADMIN it can; deeper than its monitor may have descriptors, too."""
    script = f"""
        ulimit -n 64; cd {tree}/{NAME}; mkdir -p beside/below
        for n in $(seq 200); do mkdir .$n && cd .$n; done
        sleep 60 & echo $! > cgroup.procs; kill -9 $$
    """
    done = run_init(plan_of(limited(tree, "pids.max=50"), script=script))
    assert (done.returncode, done.stderr) == (128 + signal.SIGKILL, "")
    assert not (tree / NAME).exists()


@needs("root", "cgroups 1")
def test_the_namespace_shows_the_cgroup_as_the_root(tree):
    steps = (limited(tree, "pids.max=50"), CgroupNamespace())
    done = run_init(plan_of(*steps, script="grep :pids: /proc/self/cgroup"))
    assert done.stdout.endswith(":pids:/\n")


# Version 2


@needs("root", "hugetlb")
def test_controllers_are_passed_on_to_the_cgroup(unified):
    step = limited(unified, f"{PAGES}=4194304", controllers=("hugetlb",))
    done = run_init(
        plan_of(step, script=f"cat {unified}/{NAME}/{PAGES}; grep ^0 /proc/self/cgroup")
    )
    assert done.stdout == f"4194304\n0::/{unified.name}/{NAME}\n"
    assert not (unified / NAME).exists()


@needs("root", "hugetlb")
def test_a_cgroup_with_others_in_it_is_not_divided(unified):
    with subprocess.Popen([*entering(unified / "shell"), "sleep", "60"]) as other:
        wait_until((unified / "shell" / "cgroup.procs").read_text)
        notes = (Note(errno.EBUSY, "others are in it"),)
        step = limited(unified / "shell", f"{PAGES}=4194304", controllers=("hugetlb",), notes=notes)
        (unified / "cgroup.subtree_control").write_text("+hugetlb")
        done = run_init(plan_of(step))
        other.kill()
    assert done.stderr == "chrun: cannot set a limit: others are in it\n"
    assert not (unified / "shell" / NAME).exists()


@needs("root", "hugetlb")
def test_the_monitor_divides_its_own_cgroup_and_leaves_it_as_it_was(unified, tmp_path):
    (unified / "cgroup.subtree_control").write_text("+hugetlb")
    own = unified / "shell"
    step = limited(f"@{UNIFIED}", f"{PAGES}=4194304", controllers=("hugetlb",))
    script = f"grep -h ^0 /proc/self/cgroup /proc/$PPID/cgroup; cat {own}/{NAME}/{PAGES}"
    process = start_init(plan_of(step, script=script), f"scratch={tmp_path}", wrapper=entering(own))
    out, errors = process.communicate(timeout=20)
    assert errors == ""
    place = f"0::/{unified.name}/shell/{NAME}"
    assert out == f"{place}\n{place}-monitor\n4194304\n"
    assert [path for path in own.iterdir() if path.is_dir()] == []
    assert (own / "cgroup.subtree_control").read_text().strip() == ""
    assert not (tmp_path / "cgroups").exists()


@needs("root", "hugetlb")
def test_a_program_decides_which_devices_are_used_in_the_cgroup(unified, tmp_path):
    rules = (*DEFAULT_RULES, Rule("c", 1, 11, "r"))
    script = (
        f"cd {tmp_path}; mknod null c 1 3; mknod disk b 7 0; mknod kmsg c 1 11;"
        " for name in null disk kmsg; do (: < $name) 2> /dev/null && echo read $name;"
        " (: > $name) 2> /dev/null && echo wrote $name; done; true"
    )
    done = run_init(plan_of(DeviceFilter(str(unified), program_of(rules)), script=script))
    assert (done.stdout, done.stderr) == ("read null\nwrote null\nread kmsg\n", "")
    assert (tmp_path / "disk").is_block_device()


@needs("root", "hugetlb")
def test_a_program_that_is_none_is_refused(unified):
    done = run_init(plan_of(DeviceFilter(str(unified), b"12345678"), script="echo ran"))
    assert (done.returncode, done.stdout) == (125, "")
    assert "cannot allow only the devices of a list: " in done.stderr


# Endings


def test_the_deadline_kills_and_the_status_is_timeouts(box):
    plan = box.plan("sh", "-c", "trap '' TERM; sleep 1000", after=[Deadline(300, "300 ms")])
    began = time.monotonic()
    done = run_init(plan)
    assert time.monotonic() - began >= 0.3
    assert (done.returncode, done.stderr) == (
        124,
        "chrun: stopped the container: its time of 300 ms is up\n",
    )


def test_the_deadline_ends_the_container_of_a_monitor_that_is_stopped(box):
    process = start_init(box.plan("sh", "-c", "echo ready; sleep 1000", after=[Deadline(5000, "")]))
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGSTOP)
    out, _ = process.communicate(timeout=TIMEOUT_SECONDS)  # until nobody has it open any more
    assert (process.returncode, out) == (-signal.SIGKILL, "")


def test_a_caller_with_a_report_hears_of_the_deadline_there(box):
    plan = box.plan("sleep", "1000", after=[Deadline(200, "200 ms")])
    assert report_of(plan) == (position_of(plan, Deadline), 0, "")


@pytest.mark.parametrize("milliseconds", [1, 2, 3] * 5)
def test_a_deadline_in_the_middle_of_the_start_is_heard_of_there_too(box, milliseconds):
    plan = box.plan("sleep", "1000", after=[Deadline(milliseconds, "a moment")])
    assert report_of(plan) == (position_of(plan, Deadline), 0, "")


def test_a_report_of_a_container_that_ends_in_time_is_empty(box):
    assert report_of(box.plan("true", after=[Deadline(60_000, "60 s")])) is None


@needs("root", "cgroups 1")
def test_a_caller_with_a_report_hears_of_used_up_memory_there():
    with ExitStack() as made:
        (shell,) = made.enter_context(own_cgroups(0, [ROOT / "memory"]))
        step = limited(shell.parent, "memory.limit_in_bytes=8388608", amount="8 MiB")
        assert report_of(plan_of(step, script=HOG)) == (1, 0, "")


def position_of(plan, kind):
    return next(at for at, step in enumerate(plan.records) if isinstance(step, kind))


def report_of(plan):
    """Run a plan with a report; give position, errno and stderr, None for an empty report."""
    reading, writing = os.pipe()
    process = start_init(plan, f"report={writing}", fds=(writing,))
    os.close(writing)
    _, errors = process.communicate(timeout=20)
    with open(reading, "rb") as report:
        content = report.read()
    if not content:
        return None
    numbers = [int.from_bytes(content[at : at + 4], "little") for at in (0, 4)]
    return (*numbers, errors)
