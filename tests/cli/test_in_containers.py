"""chrun in containers of other engines, which have docker's filter and capabilities and hide parts
of /proc: the strongest rung that works there, or one line.

The other engine is chrun itself, whose defaults are theirs.
"""

from __future__ import annotations

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


@pytest.fixture(scope="session")
def rootfs(tmp_path_factory):
    return make_rootfs(tmp_path_factory.mktemp("rootfs") / "busybox")


@pytest.fixture
def inside(chrun, tmp_path, rootfs):
    """Give a function that runs chrun inside a container, which has some options."""
    words = [*outer_container(tmp_path / "outer"), f"--volume={rootfs}:/inner:ro"]

    def run(*options, words_inside=("run", "/inner", *TELL)):
        return chrun("run", *options, *words, tmp_path / "outer", CHRUN, *words_inside, status=None)

    return run


def test_root_of_a_container_without_privileges_gets_the_changed_root(inside):
    done = inside()
    assert (done.returncode, done.stdout[-len(AMONG_OTHERS) :]) == (7, AMONG_OTHERS)
    (said,) = done.stderr.splitlines()
    changed = "chrun: only the root directory is changed (--isolation chroot): "
    assert said == f"{changed}{FILTERED}; {FILTER_HINT}"


def test_a_user_of_a_container_without_privileges_is_told_what_forbids_it(inside):
    assert_refuses(
        inside("-u", "1000"),
        f"chrun: cannot isolate the container: {FILTERED}",
        f"hint: {FILTER_HINT}",
    )


@pytest.mark.parametrize("user", ["0", "1000"])
def test_a_container_without_filter_leaves_all_but_the_pid_namespace(inside, user):
    done = inside(UNFILTERED, "-u", user)
    assert (done.returncode, done.stdout[-len(AMONG_OTHERS) :]) == (7, AMONG_OTHERS)
    (said,) = done.stderr.splitlines()
    assert "(--pid host): parts of /proc are hidden here" in said
    assert said.endswith("(docker: --security-opt systempaths=unconfined)")


@pytest.mark.parametrize("user", ["0", "1000"])
def test_a_container_with_all_of_proc_leaves_everything(inside, user):
    assert_runs(inside(UNFILTERED, ALL_OF_PROC, "-u", user))


def test_chrun_runs_in_chrun_in_a_privileged_container(inside):
    done = inside("--privileged", "--quiet")
    assert (done.stdout, done.returncode) == (SHUT_IN, 7)
