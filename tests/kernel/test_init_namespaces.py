"""Joining namespaces, taking shared memory from them, and setting what is in own ones."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from chrun.linux.process import start_time
from chrun.runtime.namespaces import Join, Loopback, SharedMemory, Sysctl
from chrun.runtime.plan import NAMESPACES, Clone
from chrun.runtime.steps import Base, Bind, Link, Mount, Symlink
from chrun.runtime.trees import Place
from tests.support.box import IS_ROOT, run_init, start_init
from tests.support.guarded import Guarded
from tests.support.needs import needs
from tests.support.processes import children_of, first_process
from tests.support.waiting import processes_with

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from chrun.runtime.plan import Plan
    from chrun.runtime.steps import Step
    from tests.support.box import Box

SLOT = 3
SHM = Mount("tmpfs", "/dev/shm", 0, "mode=1777")


@contextmanager
def other_container(
    box: Box, *inside: Step, script: str = "", said: list[str] | None = None
) -> Iterator[tuple[str, int]]:
    """Run a container and give its first process, as a plan names it; at its end, all it said."""
    plan = box.plan("sh", "-c", f"{script}\necho ready; exec sleep 60", inside=inside)
    with start_init(plan) as process:
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
        pid = first_process(process.pid)
        started = start_time(pid)
        assert started
        try:
            yield f"/proc/{pid}", started
        finally:
            process.send_signal(signal.SIGKILL)
            rest, _ = process.communicate()
            if said is not None:
                said.append(rest)
            assert not _runs(pid)


def joining(box: Box, process: tuple[str, int], *names: str, argv: Sequence[str], **more) -> Plan:
    """Compose a plan that joins namespaces, and an ordinary user's user namespace with them."""
    plan = box.plan(*argv, leave_out=names, **more)
    if not IS_ROOT:
        names = ("user", *names)
    join = Join(*process, sum(NAMESPACES[name] for name in names), names)
    own = tuple(name for name in plan.clone.namespaces if name != "user")
    steps = plan.steps if IS_ROOT else plan.steps[1:]  # ids are mapped there already
    return plan.replace(clone=Clone(own), steps=(join, *steps))


@pytest.mark.parametrize(("name", "file"), [("pid", "pid"), ("ipc", "ipc"), ("uts", "uts")])
def test_a_joined_namespace_is_the_others_and_all_else_is_not(box, name, file):
    with other_container(box) as other:
        argv = ("sh", "-c", f"cd /proc/self/ns; readlink {file}; readlink mnt")
        done = run_init(joining(box, other, name, argv=argv))
        assert done.stderr == ""
        joined, mounts = done.stdout.split()
        assert joined == os.readlink(f"{other[0]}/ns/{file}")
        assert mounts != os.readlink(f"{other[0]}/ns/mnt")


def test_a_process_that_started_at_another_time_is_another_one(box):
    with other_container(box) as (process, started):
        done = run_init(joining(box, (process, started + 1), "uts", argv=["true"]))
        assert done.returncode == 125
        assert "cannot join namespaces of process" in done.stderr
        assert "that container has ended meanwhile" in done.stderr


def test_a_process_that_is_gone_cannot_be_joined(box):
    with other_container(box) as other:
        pass
    done = run_init(joining(box, other, "pid", argv=["true"]))
    assert done.returncode == 125
    assert "that container has ended meanwhile" in done.stderr


def test_the_first_process_of_a_joined_namespace_dies_with_the_monitor(box):
    with other_container(box) as other:
        plan = joining(box, other, "pid", argv=["sh", "-c", "echo up; exec sleep 60"])
        with start_init(plan) as monitor:
            assert monitor.stdout.readline() == "up\n"
            reaper = _only_child(monitor.pid)  # the process that joined has ended
            (first,) = children_of(reaper)
            monitor.kill()
            monitor.wait()
            assert not _runs(first)
            assert not _runs(reaper)


def _only_child(pid: int) -> int:
    """Return the one child that is left of a process after a while."""
    deadline = time.monotonic() + 20
    while len(children := children_of(pid)) > 1:
        assert time.monotonic() < deadline, "somebody was left, perhaps as a zombie"
        time.sleep(0.01)
    return children[0]


def _runs(pid: int) -> bool:
    """Wait for a process that was killed a moment ago."""
    fd = os.pidfd_open(pid) if Path(f"/proc/{pid}").exists() else -1
    if fd < 0:
        return False
    try:
        return not select.select([fd], [], [], 10)[0]
    finally:
        os.close(fd)


@needs("ordinary user")  # whose containers have a user namespace, where capabilities end
@pytest.mark.parametrize("gated", [False, True], ids=["at once", "behind a gate"])
def test_cve_2016_9962_who_joins_is_not_looked_into_while_it_is_outside(box, tmp_path, gated):
    """CVE-2016-9962: CAP_SYS_PTRACE in a container must not lead to the machine's files.

    From the very beginning, wherever in the plan the step that joins stands.
    """
    secret = tmp_path / "secret"
    secret.touch()
    spy = f"while :; do for p in /proc/[0-9]*; do test -e $p/root{secret} && echo $p; done; done &"
    long = tuple(Symlink("/", f"link-{number}") for number in range(3000))
    with other_container(box, script=spy, said=(seen := [])) as other:
        plan = joining(box, other, "pid", argv=["true"])
        (join,) = (step for step in plan.steps if isinstance(step, Join))
        steps = [step for step in plan.steps if step is not join]
        base = next(place for place, step in enumerate(steps) if isinstance(step, Base)) + 1
        plan = plan.replace(steps=(*steps[:base], *long, join, *steps[base:]))
        if gated:
            guarded = Guarded(plan)
            assert guarded.arrive() > 0
            assert guarded.answer()[0] == 0
        else:
            assert run_init(plan).returncode == 0
    assert seen == [""]


@needs("ordinary user")
def test_who_joins_what_cannot_be_joined_is_told_so_behind_a_gate_too(box):
    with other_container(box) as (process, started):
        plan = joining(box, (process, started + 1), "pid", argv=["true"])
        status, _, err = Guarded(plan).end()
    assert status == 125
    assert "that container has ended meanwhile" in err


def test_signals_reach_who_joined_a_pid_namespace(box):
    with other_container(box) as other:
        script = "trap 'echo caught; exit 5' TERM; echo up; while :; do sleep 0.1; done"
        with start_init(joining(box, other, "pid", argv=["sh", "-c", script])) as monitor:
            assert monitor.stdout.readline() == "up\n"
            monitor.terminate()
            out, _ = monitor.communicate(timeout=20)
        assert (out, monitor.returncode) == ("caught\n", 5)


def take_memory(
    box: Box, other: tuple[str, int], argv: Sequence[str]
) -> subprocess.CompletedProcess[str]:
    place = Place(SLOT, "/dev/shm", 14, 0, False, 0, "it")
    plan = joining(box, other, "ipc", argv=argv, inside=[place])
    return run_init(
        plan.replace(steps=(plan.steps[0], SharedMemory(SLOT, *other), *plan.steps[1:]))
    )


def test_shared_memory_is_the_others(box):
    with other_container(box, SHM, script="echo note >/dev/shm/x") as other:
        done = take_memory(box, other, ["sh", "-c", "cat /dev/shm/x; cd / && ls -d /upper /root"])
        assert done.stdout == "note\n/root\n"  # and the root is still this container's


@pytest.mark.parametrize(
    ("instead", "said"),
    [
        ([Link("/etc", "/dev/shm")], "that container has a symlink at /dev/shm"),
        ([Mount("proc", "/dev/shm", 0, "")], "is not shared memory"),
        ([], "that container has no /dev/shm"),
    ],
)
def test_what_a_hostile_container_has_instead_of_shared_memory_is_not_taken(box, instead, said):
    with other_container(box, *instead) as other:
        done = take_memory(box, other, ["ls", "/dev/shm"])
        assert done.returncode == 125
        assert said in done.stderr


def own_network(plan: Plan) -> Plan:
    return plan.replace(clone=Clone((*plan.clone.namespaces, "network")))


def test_loopback_comes_up(box):
    listen = "while :; do nc -l -p 9 -s 127.0.0.1 -e echo hi; done"
    script = f"ip -o addr; {listen} & until nc 127.0.0.1 9 | grep hi; do :; done"
    done = run_init(own_network(box.plan("sh", "-c", script, inside=[Loopback()])))
    assert "127.0.0.1/8" in done.stdout
    assert done.stdout.endswith("hi\n")


def test_a_parameter_is_set_for_this_namespace_alone(box):
    before = Path("/proc/sys/kernel/shmmax").read_text()
    setting = Sysctl("/sys/kernel/shmmax", "4711")
    assert box.sh("cat /proc/sys/kernel/shmmax", inside=[setting]) == "4711\n"
    assert Path("/proc/sys/kernel/shmmax").read_text() == before


def test_cve_2025_52881_a_parameter_is_never_written_where_a_link_leads(box, tmp_path):
    """CVE-2025-52881: what is meant for /proc/sys must not reach another file of a procfs."""
    victim = tmp_path / "victim"
    victim.mkdir()
    (victim / "shmmax").write_text("untouched")
    setting = Sysctl("/sys/kernel/shmmax", "4711")
    covered = [Bind(str(victim), "/proc/sys/kernel", False, 0), setting]
    done = box.run("true", inside=covered)
    assert done.returncode == 125
    assert "something else than proc is mounted in its place" in done.stderr
    assert (victim / "shmmax").read_text() == "untouched"


@pytest.mark.parametrize("path", ["/self/attr/exec", "/thread-self/comm"])
def test_cve_2025_52881_no_link_of_proc_is_followed(box, path):
    done = box.run("true", inside=[Sysctl(path, "x")])
    assert done.returncode == 125
    assert "something else lies in its place in /proc" in done.stderr


def test_cve_2025_52881_proc_itself_must_be_one(box):
    hidden = [Mount("tmpfs", "/proc", 0, ""), Sysctl("/sys/kernel/shmmax", "1")]
    done = box.run("true", inside=hidden)
    assert done.returncode == 125
    assert "something else than proc is mounted" in done.stderr


@needs("root")  # who may mount the proc of the machine's pid namespace
def test_orphans_that_end_before_the_container_are_reaped(box):
    script = "for n in 1 2 3 4 5 6; do (true &); done; echo up; exec sleep 60"
    with start_init(box.plan("sh", "-c", script, leave_out=["pid"])) as monitor:
        assert monitor.stdout.readline() == "up\n"
        _only_child(monitor.pid)
        monitor.terminate()
        monitor.communicate(timeout=20)
    assert monitor.returncode == 128 + signal.SIGTERM


@needs("root", "unshare")
def test_numbers_of_another_pid_namespaces_proc_are_not_taken_for_processes_here(box, tmp_path):
    plan = box.plan("sh", "-c", "(setsid sleep 60 &); echo up", leave_out=["pid"])
    done = run_init(plan, f"scratch={tmp_path}", wrapper=["unshare", "--pid", "--fork"])
    assert done.stdout == "up\n"  # a process that was not killed is not waited for
    assert "/proc does not list those that are left" in done.stderr
    assert not (tmp_path / "process").is_symlink()


@needs("root")  # who may mount the proc of the machine's pid namespace
def test_orphans_end_with_a_container_that_has_no_pid_namespace(box):
    seconds = f"4{os.getpid()}"
    script = f"""
        (trap '' HUP TERM; exec sleep {seconds}) & (setsid sleep {seconds} &)
        until [ $(ps | grep -c ' sleep {seconds}$') = 2 ]; do :; done; echo both
    """
    done = run_init(box.plan("sh", "-c", script, leave_out=["pid"]))
    assert (done.returncode, done.stdout) == (0, "both\n")
    assert processes_with(seconds) == []
