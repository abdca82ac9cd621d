"""auto on machines that lack one thing: it is left out, said in one line, and nothing else is.

The machines are user namespaces in which limits are 0 (namespaces(7), /proc/sys/user), or parts of
/proc are hidden, or a filter refuses filters; chrun runs there as on any machine.
"""

from __future__ import annotations

import errno
import os
import shlex
import subprocess

import pytest

from tests.support.box import run_init
from tests.support.chrun import CHRUN
from tests.support.filters import without_call
from tests.support.needs import needs
from tests.support.probe import parse_seen

pytestmark = needs("busybox", "overlay", "userns")

NAMES = {"pid": "pid", "ipc": "ipc", "uts": "uts", "cgroup": "cgroupns"}


@pytest.fixture
def on(tmp_path):
    """Give a function that runs chrun on a machine that a script made lack something."""

    def run(script, *words):
        env = {**os.environ, "CHRUN_HOME": str(tmp_path / "data")}
        command = f"{script} && exec {shlex.join([CHRUN, *map(str, words)])}"
        unshare = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", command]
        return subprocess.run(unshare, capture_output=True, text=True, env=env, timeout=60)

    return run


def without(name):
    return f"echo 0 > /proc/sys/user/max_{name}_namespaces"


MASKED_PROC = "mount -t tmpfs none /proc/bus"


@pytest.mark.parametrize("name", NAMES)
def test_a_missing_namespace_is_left_out_alone(on, probe_dir, name):
    done = on(without(name), "run", probe_dir, "/probe")
    (said,) = done.stderr.splitlines()
    assert f"(--{NAMES[name]} host): the limit of {name} namespaces is reached; ask for: " in said
    assert said.endswith(f"sysctl user.max_{name}_namespaces=10000")
    seen = parse_seen(done.stdout)
    for other in NAMES:
        is_ours = seen.namespaces[other] == os.readlink(f"/proc/self/ns/{other}")
        assert is_ours == (other == name), other
    assert seen.status("NoNewPrivs") == "1"
    assert seen.seccomp[0] == 2


@pytest.mark.parametrize("name", NAMES)
def test_nothing_asked_for_by_name_is_left_out(on, probe_dir, name):
    for words in (("--isolation", "confined"), (f"--{NAMES[name]}", "private")):
        done = on(without(name), "run", *words, probe_dir, "/probe")
        assert (done.returncode, done.stdout) == (125, "")
        said, hint = done.stderr.splitlines()
        assert f"cannot give the container its own {name} namespace: the limit of " in said
        assert hint == f"hint: ask for: sysctl user.max_{name}_namespaces=10000"


def test_where_no_proc_can_be_mounted_the_callers_is_shown(on, probe_dir):
    done = on(MASKED_PROC, "run", probe_dir, "/probe")
    (said,) = done.stderr.splitlines()
    assert "(--pid host): parts of /proc are hidden here" in said
    seen = parse_seen(done.stdout)
    assert seen.namespaces["pid"] == os.readlink("/proc/self/ns/pid")
    assert seen.paths["/proc/keys"].content in {0, -13}  # hidden all the same


def test_a_required_fact_is_not_shown_by_what_was_left_out(on, probe_dir):
    for name in NAMES:
        fact = f"{name}ns"
        done = on(without(name), "run", "--require", fact, probe_dir, "/probe")
        assert (done.returncode, done.stdout) == (125, "")
        assert f"--require {fact} is not met" in done.stderr


@pytest.mark.parametrize("name", NAMES)
def test_info_and_explain_tell_of_it_too(on, probe_dir, name):
    done = on(without(name), "info")
    assert f"{name} namespace" in done.stdout
    assert f"ask for: sysctl user.max_{name}_namespaces=10000" in done.stdout
    done = on(without(name), "explain", probe_dir, "/probe")
    (said,) = done.stderr.splitlines()
    assert f"(--{NAMES[name]} host)" in said
    first = done.stdout.splitlines()[0]
    assert f", {name}" not in first
    assert ", mount" in first


@pytest.fixture
def unfiltered(chrun, monkeypatch):
    """Give a function that runs chrun on a kernel that was built without seccomp(2)."""
    monkeypatch.setenv("CHRUN_HOME", str(chrun.home))

    def run(*words):
        return run_init(without_call("seccomp", errno.ENOSYS, chrun.command(*words)))

    return run


def test_a_missing_filter_is_left_out_alone(unfiltered, probe_dir):
    done = unfiltered("run", probe_dir, "/probe")
    # who has subordinate ids hears of them, too: no filter without no_new_privs, no setuid with it
    (said,) = [line for line in done.stderr.splitlines() if "only one id is mapped" not in line]
    assert "no system call is forbidden (--security-opt seccomp=unconfined): " in said
    seen = parse_seen(done.stdout)
    assert seen.seccomp[1] == 1  # the one that refuses filters
    assert seen.status("NoNewPrivs") == "1"
    assert seen.namespaces["pid"] != os.readlink("/proc/self/ns/pid")


def test_a_filter_asked_for_by_name_is_never_left_out(unfiltered, box):
    done = unfiltered("run", "--isolation", "confined", box, "echo", "ran")
    assert (done.returncode, done.stdout) == (125, "")
    assert "chrun: cannot filter system calls: " in done.stderr


def test_the_outer_machines_filter_is_not_taken_for_the_containers(unfiltered, box):
    done = unfiltered("run", "--require", "seccomp", box, "echo", "ran")
    assert (done.returncode, done.stdout) == (125, "")
    assert "found only filters that the caller has too" in done.stderr


def test_where_ptrace_is_forbidden_no_receipt_is_promised(chrun, box, tmp_path, monkeypatch):
    monkeypatch.setenv("CHRUN_HOME", str(chrun.home))
    path = tmp_path / "receipt.json"
    for words in (("--receipt", str(path)), ("--require", "pidns")):
        command = chrun.command("run", *words, box, "echo", "ran")
        done = run_init(without_call("ptrace", errno.EPERM, command))
        assert (done.returncode, done.stdout) == (125, "")
        assert "cannot look at the command before it runs (--receipt, --require)" in done.stderr
        assert "hint: " in done.stderr
    assert not path.exists()
    plain = without_call("ptrace", errno.EPERM, chrun.command("run", box, "echo", "ran"))
    assert run_init(plain).stdout == "ran\n"
