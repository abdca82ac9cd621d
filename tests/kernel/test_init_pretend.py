"""Answers about ids to a process whose pid another process gets."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from chrun.linux.seccomp.numbers import MACHINES, call_numbers
from chrun.linux.seccomp.pretend import pretend_root_filter
from chrun.runtime.plan import Clone, Exec, Plan
from chrun.runtime.steps import NoNewPrivileges, Seccomp
from tests.support.box import INIT, open_plan
from tests.support.calls import calls_program
from tests.support.needs import needs

MACHINE = os.uname().machine
pytestmark = [
    needs("pids by choice"),
    pytest.mark.skipif(MACHINE not in MACHINES, reason="chrun filters no calls here"),
]
UNLIMITED = "-1"
USER = 5
# In a pid namespace of its own: start a container, kill the process that asks while it is answered,
# have another one get its pid, and print what became of that one's limit.
REUSE = """
import os, resource, signal, subprocess, sys, time

stopping, plan_fd, *command = sys.argv[1:]
RTTIME = 15
report, told = os.pipe()
wait, go = os.pipe()
words = [stopping, str(RTTIME), str(told), str(wait), *command, f"plan={plan_fd}"]
monitor = subprocess.Popen(words, pass_fds=(told, wait, int(plan_fd)), stdout=subprocess.DEVNULL)
asker = int(os.read(report, 20))
reused = sys.stdin.readline() == "reuse\\n"
if reused:
    os.kill(asker, signal.SIGKILL)
    while os.path.exists(f"/proc/{asker}"):
        time.sleep(0.01)
    victim = 0
    while victim != asker:
        with open("/proc/sys/kernel/ns_last_pid", "w") as file:
            file.write(str(asker - 1))
        victim = os.fork()
        if not victim:
            signal.pause()
os.write(go, b"go")
if not reused:
    while resource.prlimit(asker, RTTIME)[0] == resource.RLIM_INFINITY:
        time.sleep(0.01)
else:
    monitor.wait()
print(resource.prlimit(asker, RTTIME)[0])
os.kill(asker, signal.SIGKILL)
"""


@pytest.fixture(scope="module")
def programs(tmp_path_factory):
    """The program that asks, and the one that stops chrun-init (support/stopping.c)."""
    directory = tmp_path_factory.mktemp("programs")
    calls, stopping = directory / "calls", directory / "stopping"
    calls.write_bytes(calls_program())
    calls.chmod(0o755)
    source = Path(__file__).parents[1] / "support" / "stopping.c"
    compiler = shutil.which("musl-gcc") or "gcc"
    warnings = ("-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Werror")
    subprocess.run(
        [compiler, "-std=c11", "-Os", *warnings, "-static", "-o", stopping, source], check=True
    )
    return calls, stopping


def limit_of_asker(programs, what):
    """Return the limit of the process that has the asker's number when it was answered."""
    calls, stopping = programs
    setuid = str(call_numbers(MACHINE)["setuid"])
    filtered = Seccomp(pretend_root_filter(MACHINE, asks=True), "filter", "a test", True)
    stays = ("stay",) if what == "live" else ()  # or it asks by a child, and reaps that
    command = Exec((str(calls), *stays, setuid, str(USER)), (), False)
    plan_fd = open_plan(Plan(Clone(()), (NoNewPrivileges(), filtered), command))
    unshare = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"]
    if os.geteuid() != 0:
        unshare += ["--user", "--map-root-user"]
    try:
        done = subprocess.run(
            [*unshare, sys.executable, "-c", REUSE, stopping, str(plan_fd), INIT],
            input=f"{what}\n",
            pass_fds=(plan_fd,),
            capture_output=True,
            text=True,
            timeout=30,
        )
    finally:
        os.close(plan_fd)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_who_asks_carries_who_it_pretends_to_be(programs):
    assert limit_of_asker(programs, "live") == str(1 << 62 | USER << 31)


def test_a_process_that_gets_the_number_of_one_that_asked_keeps_its_limit(programs):
    assert limit_of_asker(programs, "reuse") == UNLIMITED
