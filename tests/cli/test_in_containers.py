"""chrun in containers of other engines, which have docker's filter and capabilities and hide parts
of /proc: the strongest rung that works there, or one line.

The other engine is chrun itself, whose defaults are docker's, also with podman's filter; and podman
itself.
"""

from __future__ import annotations

import json
import subprocess

import pytest

from tests.support.chrun import CHRUN
from tests.support.hosts import (
    AMONG_OTHERS,
    SHUT_IN,
    TELL,
    assert_refuses,
    assert_runs,
    make_rootfs,
    outer_container,
)
from tests.support.needs import needs
from tests.support.podman import PODMANS_FILTER, podman_environment

pytestmark = needs("busybox", "overlay", "userns")

FILTERED = (
    "operation not permitted: the container or service that chrun itself runs in forbids them, "
    "by a system call filter"
)
FILTER_HINT = (
    "start that with --security-opt seccomp=unconfined (docker, podman, chrun), "
    "seccompProfile Unconfined (Kubernetes), or run chrun as its root"
)
UNFILTERED = "--security-opt=seccomp=unconfined"
ALL_OF_PROC = "--security-opt=systempaths=unconfined"
PODMANS = f"--security-opt=seccomp={PODMANS_FILTER}"
HIDDEN = "parts of /proc are hidden here, and then the kernel shows nobody another one"
HIDDEN_HINT = (
    "start the outer container with all of /proc (docker: --security-opt systempaths=unconfined)"
)
NAMELESS = (
    "the container or service that chrun itself runs in forbids setting a host name "
    "(sethostname), by a system call filter"
)
NAMELESS_HINT = (
    "start that with --security-opt seccomp=unconfined (docker, podman, chrun), "
    "seccompProfile Unconfined (Kubernetes)"
)


@pytest.fixture(scope="session")
def rootfs(tmp_path_factory):
    return make_rootfs(tmp_path_factory.mktemp("rootfs") / "busybox")


@pytest.fixture
def inside(chrun, tmp_path, rootfs):
    """Give a function that runs chrun inside a container, which has some options."""
    words = words_outside(tmp_path, rootfs)

    def run(*options, words_inside=("run", "/inner", *TELL)):
        return chrun("run", *options, *words, tmp_path / "outer", CHRUN, *words_inside, status=None)

    return run


def words_outside(directory, rootfs):
    """Give the options of a container in which chrun finds a root file system as /inner."""
    return [*outer_container(directory / "outer"), f"--volume={rootfs}:/inner:ro"]


def facts(done):
    """Give what `chrun info --format json` told, by name."""
    assert (done.returncode, done.stderr) == (0, "")
    return json.loads(done.stdout)


INFO = ("info", "--format", "json")


def test_root_of_a_container_without_privileges_gets_the_changed_root(inside):
    done = inside()
    assert (done.returncode, done.stdout[-len(AMONG_OTHERS) :]) == (7, AMONG_OTHERS)
    (said,) = done.stderr.splitlines()
    changed = "chrun: only the root directory is changed (--isolation chroot): "
    assert said == f"{changed}{FILTERED}; {FILTER_HINT}"
    told = facts(inside(words_inside=INFO))
    assert told["isolation"]["state"] == "chroot"
    assert told["namespaces"] == {"state": "no", "why": FILTERED, "hint": FILTER_HINT}


def test_a_user_of_a_container_without_privileges_is_told_what_forbids_it(inside):
    assert_refuses(
        inside("-u", "1000"),
        f"chrun: cannot isolate the container: {FILTERED}",
        f"hint: {FILTER_HINT}",
    )
    told = facts(inside("-u", "1000", words_inside=INFO))
    assert told["isolation"] == {"state": "none", "why": FILTERED, "hint": FILTER_HINT}


@pytest.mark.parametrize("user", ["0", "1000"])
def test_a_container_without_filter_leaves_all_but_the_pid_namespace(inside, user):
    done = inside(UNFILTERED, "-u", user)
    assert (done.returncode, done.stdout[-len(AMONG_OTHERS) :]) == (7, AMONG_OTHERS)
    (said,) = done.stderr.splitlines()
    assert "(--pid host): parts of /proc are hidden here" in said
    assert said.endswith("(docker: --security-opt systempaths=unconfined)")
    told = facts(inside(UNFILTERED, "-u", user, words_inside=INFO))
    assert told["isolation"]["state"] == "confined"
    for lost in ("pid namespace", "/proc"):
        assert told[lost] == {"state": "the caller's", "why": HIDDEN, "hint": HIDDEN_HINT}


@pytest.mark.parametrize("user", ["0", "1000"])
def test_a_container_with_all_of_proc_leaves_everything(inside, user):
    assert_runs(inside(UNFILTERED, ALL_OF_PROC, "-u", user))
    told = facts(inside(UNFILTERED, ALL_OF_PROC, "-u", user, words_inside=INFO))
    assert told["isolation"]["state"] == "confined"
    assert told["namespaces"]["state"] == "mount, pid, ipc, uts, cgroup"
    assert told["/proc"]["state"] == "one of its own"


def test_chrun_runs_in_chrun_in_a_privileged_container(inside):
    done = inside("--privileged", "--quiet")
    assert (done.stdout, done.returncode) == (SHUT_IN, 7)


def assert_shares_processes_and_name(done):
    """See that TELL was left what podman's filter allows, and that chrun said what it does not."""
    assert (done.returncode, done.stdout[-len(AMONG_OTHERS) :]) == (7, AMONG_OTHERS)
    processes = "the container sees the caller's processes and may signal them (--pid host)"
    name = "the container has the machine's host name (--uts host)"
    assert done.stderr.splitlines() == [
        f"chrun: {processes}: {HIDDEN}; {HIDDEN_HINT}",
        f"chrun: {name}: {NAMELESS}; {NAMELESS_HINT}",
    ]


@needs("podman's filter")
@pytest.mark.parametrize("user", ["0", "1000"])
def test_podmans_filter_leaves_all_but_the_pid_namespace_and_the_host_name(inside, user):
    assert_shares_processes_and_name(inside(PODMANS, "-u", user))
    told = facts(inside(PODMANS, "-u", user, words_inside=INFO))
    assert told["isolation"]["state"] == "confined"
    assert told["namespaces"]["state"] == "mount, ipc, cgroup"
    assert told["uts namespace"]["why"] == NAMELESS
    assert told["uts namespace"]["hint"] == NAMELESS_HINT


@needs("podman's filter")
@pytest.mark.parametrize("asked", [("--hostname", "mine"), ("--uts", "private")])
def test_a_host_name_asked_for_is_an_error_under_podmans_filter(inside, asked):
    assert_refuses(
        inside(PODMANS, ALL_OF_PROC, words_inside=("run", *asked, "/inner", *TELL)),
        f"chrun: cannot give the container its own uts namespace: {NAMELESS}",
        f"hint: {NAMELESS_HINT}",
    )


@needs("podman", "root")
@pytest.mark.parametrize("user", ["0", "1000"])
def test_podman_leaves_what_its_filter_does(tmp_path, rootfs, user):
    words = [*words_outside(tmp_path, rootfs), f"--user={user}", "--net=host", "--rootfs"]
    command = ["podman", "run", "--rm", *words, tmp_path / "outer", CHRUN, "run", "/inner", *TELL]
    with podman_environment(tmp_path) as env:
        done = subprocess.run(
            list(map(str, command)), capture_output=True, text=True, env=env, timeout=60
        )
    assert_shares_processes_and_name(done)
