"""Hosts that forbid things: chrun takes the strongest rung that works there, or says one line.

Each host is real: namespaces with their own limits, mounts and /proc, a kernel with the switch.
docs/how-to/hosts-that-forbid-things.md is their list; containers as hosts are in
test_in_containers.py.
"""

from __future__ import annotations

import errno
import json
import os
import shlex
import signal
import subprocess
from pathlib import Path

import pytest

from tests.support.box import run_init
from tests.support.chrun import CHRUN
from tests.support.filters import without_call
from tests.support.hosts import (
    AMONG_OTHERS,
    SHUT_IN,
    TELL,
    Host,
    Nested,
    assert_refuses,
    assert_runs,
    make_rootfs,
)
from tests.support.needs import needs

pytestmark = needs("busybox", "overlay", "userns")


@pytest.fixture(scope="session")
def rootfs(tmp_path_factory):
    return make_rootfs(tmp_path_factory.mktemp("rootfs") / "busybox")


def facts(done):
    """Give what `chrun info --format json` told, by name."""
    assert (done.returncode, done.stderr) == (0, "")
    return json.loads(done.stdout)


# user namespaces

NO_USERNS = "echo 0 > /proc/sys/user/max_user_namespaces"
LIMITED = "this system restricts them (user.max_user_namespaces=0)"
LIMIT_HINT = "ask for: sysctl user.max_user_namespaces=10000"


def test_max_user_namespaces_0_is_named_to_an_ordinary_user(tmp_path, rootfs):
    host = Nested(NO_USERNS, capabilities=False)
    assert_refuses(
        host.run(tmp_path, "run", rootfs, *TELL),
        f"chrun: cannot isolate the container: {LIMITED}",
        f"hint: {LIMIT_HINT}",
    )
    told = facts(host.run(tmp_path, "info", "--format", "json"))
    assert told["isolation"] == {"state": "none", "why": LIMITED, "hint": LIMIT_HINT}


def test_max_mnt_namespaces_0_is_named(tmp_path, rootfs):
    host = Nested("echo 0 > /proc/sys/user/max_mnt_namespaces", capabilities=False)
    assert_refuses(
        host.run(tmp_path, "run", rootfs, *TELL),
        f"chrun: cannot isolate the container: {LIMITED.replace('_user_', '_mnt_')}",
        f"hint: {LIMIT_HINT.replace('_user_', '_mnt_')}",
    )


def test_max_user_namespaces_0_leaves_root_of_a_container_the_changed_root(tmp_path, rootfs):
    host = Nested(NO_USERNS)
    done = host.run(tmp_path, "run", rootfs, *TELL)
    assert (done.returncode, done.stdout[-len(AMONG_OTHERS) :]) == (7, AMONG_OTHERS)
    (said,) = done.stderr.splitlines()
    changed = "chrun: only the root directory is changed (--isolation chroot): "
    assert said == f"{changed}{LIMITED}; {LIMIT_HINT}"
    assert facts(host.run(tmp_path, "info", "--format", "json"))["isolation"]["state"] == "chroot"


@pytest.mark.parametrize("rung", ["namespaces", "confined", "sealed"])
def test_max_user_namespaces_0_lets_no_rung_asked_for_by_name_become_another(
    tmp_path, rootfs, rung
):
    done = Nested(NO_USERNS).run(tmp_path, "run", "--isolation", rung, rootfs, *TELL)
    assert_refuses(done, f"chrun: cannot isolate the container: {LIMITED}", f"hint: {LIMIT_HINT}")


@needs("virtual machine", "root")
def test_unprivileged_userns_clone_0_is_named(tmp_path, rootfs):
    switch = Path("/proc/sys/kernel/unprivileged_userns_clone")
    switch.write_text("0")
    try:
        done = as_single(tmp_path, CHRUN, "run", rootfs, *TELL)
    finally:
        switch.write_text("1")
    assert_refuses(
        done,
        "chrun: cannot isolate the container: operation not permitted: "
        "this system restricts them (kernel.unprivileged_userns_clone=0)",
        "hint: ask for: sysctl kernel.unprivileged_userns_clone=1",
    )


@needs("virtual machine", "root")
def test_apparmors_restriction_is_named(tmp_path, rootfs):
    """Ubuntu's: a user namespace may be made, and gives no capability.

    AppArmor does that here as there, by a profile without capabilities; the sysctl that makes it do
    so for everybody came later than this kernel, so its file is one of the test's.
    """
    rules = "{ file, network, unix, signal, ptrace, }"  # no capability
    profile = f"profile restricted flags=(attach_disconnected,mediate_deleted) {rules}\n"
    (tmp_path / "profile").write_text(profile)
    load = ["apparmor_parser", "--replace", "--skip-cache", tmp_path / "profile"]
    subprocess.run(load, check=True)
    switched = "mount -t tmpfs none /proc/sys/kernel; mkdir /proc/sys/kernel/random;" + "".join(
        f"echo {value} > /proc/sys/kernel/{name};"
        for name, value in (
            ("apparmor_restrict_unprivileged_userns", 1),
            ("random/boot_id", "another-boot"),
        )
    )
    confined = ["sh", "-c", 'echo "exec restricted" > /proc/self/attr/exec; exec "$@"', "sh"]
    done = as_single(
        tmp_path, *confined, CHRUN, "run", rootfs, *TELL, before=Host(switched).command()
    )
    assert_refuses(
        done,
        "chrun: cannot isolate the container: operation not permitted: "
        "this system restricts them (kernel.apparmor_restrict_unprivileged_userns=1)",
        "hint: ask for: sysctl kernel.apparmor_restrict_unprivileged_userns=0, "
        "or an AppArmor profile for chrun that allows userns",
    )


def as_single(home, *words, before=()):
    """Run a command as the virtual machine's user who has no subordinate ids."""
    for path in (home.parent, *home.parent.glob("rootfs*")):
        path.chmod(0o755)
    home.chmod(0o777)
    user = ["setpriv", "--reuid=single", "--regid=single", "--clear-groups", "--inh-caps=-all"]
    return subprocess.run(
        [*before, *user, *map(str, words)],
        capture_output=True,
        text=True,
        env={**os.environ, "CHRUN_HOME": str(home / "data-of-single"), "HOME": "/home/single"},
    )


# /proc, /sys, /dev and mounts

HIDEPID = Host("mount -t proc -o hidepid=2 proc /proc", own_processes=True)


def test_hidepid_hides_nothing_that_chrun_needs(tmp_path, rootfs):
    assert_runs(HIDEPID.run(tmp_path, "run", rootfs, *TELL))
    told = facts(HIDEPID.run(tmp_path, "info", "--format", "json"))
    assert told["isolation"]["state"] == "confined"
    assert told["namespaces"]["state"] == "mount, pid, ipc, uts, cgroup"
    assert told["/proc"]["state"] == "one of its own"


def test_hidepid_does_not_keep_signals_from_a_container(tmp_path, rootfs):
    # The monitor looks into the container's /proc/PID/status to see what a signal would do.
    up = tmp_path / "up"
    script = (
        f"{CHRUN} run {rootfs} sh -c 'echo up; sleep 60' > {up} & "
        f"until [ -s {up} ]; do sleep 0.1; done; kill -TERM $!; wait $!"
    )
    env = {**os.environ, "CHRUN_HOME": str(tmp_path / "data")}
    done = subprocess.run(HIDEPID.command("sh", "-c", script), env=env, timeout=50)
    assert done.returncode == 128 + signal.SIGTERM


@needs("ordinary user")  # to whom hidepid hides something
@pytest.mark.parametrize("gated", [(), ("--require", "seccomp")], ids=["at once", "behind a gate"])
def test_hidepid_does_not_keep_who_joined_from_being_joined(tmp_path, rootfs, gated):
    # Who joins hides from the joined container, and with hidepid from its own monitor, too.
    wait = f"{rootfs} sh -c 'echo up; exec sleep 60' > {tmp_path}"
    script = (
        f"{CHRUN} run --name one {wait}/one & until [ -s {tmp_path}/one ]; do sleep 0.1; done;"
        f"{CHRUN} run --name two --pid container:one {shlex.join(gated)} {wait}/two &"
        f"until [ -s {tmp_path}/two ]; do sleep 0.1; done;"
        f"{CHRUN} run --pid container:two {rootfs} sh -c 'pidof sleep; exit 7'"
    )
    done = subprocess.run(
        HIDEPID.command("sh", "-c", script),
        env={**os.environ, "CHRUN_HOME": str(tmp_path / "data")},
        capture_output=True,
        text=True,
        timeout=50,
    )
    assert (done.stderr, done.returncode) == ("", 7)
    assert len(done.stdout.split()) == 2


@pytest.mark.parametrize(
    "script",
    [
        pytest.param("mount -t tmpfs none /sys/fs/cgroup", id="no cgroup file system"),
        pytest.param("mount -t tmpfs -o ro none /dev/shm", id="a read-only shm"),
        pytest.param("[ ! -e /dev/fuse ] || mount --bind /dev/null /dev/fuse", id="no fuse"),
        pytest.param("mount --bind /dev/null /etc/subuid", id="no subordinate ids"),
        pytest.param("unset XDG_RUNTIME_DIR XDG_DATA_HOME HOME", id="no HOME"),
        pytest.param("ulimit -n 16", id="16 descriptors"),
        pytest.param("ulimit -c 0; ulimit -l 0", id="no locked memory"),
    ],
)
def test_a_container_does_not_need(tmp_path, rootfs, script):
    if "subuid" in script and not Path("/etc/subuid").exists():
        script = "true"  # this machine is such a host
    assert_runs(Host(script).run(tmp_path, "run", rootfs, *TELL))


# Every mount of cgroups, as runtimes show them to containers
READ_ONLY_CGROUPS = (
    "mount --rbind /sys/fs/cgroup /sys/fs/cgroup;"
    "grep -o '/sys/fs/cgroup[^ ]*' /proc/self/mounts | sort -u | while read -r at; do"
    ' mount -o remount,bind,ro,nosuid,nodev,noexec "$at"; done'
)


def test_read_only_cgroups_are_named_and_only_limits_want_them(tmp_path, rootfs):
    host = Host(READ_ONLY_CGROUPS)
    assert_runs(host.run(tmp_path, "run", rootfs, *TELL))
    done = host.run(tmp_path, "run", "--memory", "64m", rootfs, *TELL)
    assert (done.returncode, done.stdout) == (125, "")
    told = facts(host.run(tmp_path, "info", "--format", "json"))["limits"]
    if os.geteuid() == 0:
        assert "is read-only" in done.stderr
        assert "hint: give the container that chrun itself runs in cgroups" in done.stderr
        assert "is read-only" in told["why"]


@needs("root")
@pytest.mark.parametrize("flags", [("--device", "/dev/full:/dev/x"), ("--cap-add", "MKNOD")])
def test_read_only_cgroups_leave_devices_without_rules_and_say_so(tmp_path, rootfs, flags):
    done = Host(READ_ONLY_CGROUPS).run(tmp_path, "run", *flags, rootfs, *TELL)
    assert done.returncode == 7
    assert "devices can be used without restriction: " in done.stderr
    assert "is read-only" in done.stderr


def test_limits_where_no_cgroup_file_system_is_mounted_are_an_error(tmp_path, rootfs):
    host = Host("mount -t tmpfs none /sys/fs/cgroup")
    done = host.run(tmp_path, "run", "--memory", "64m", rootfs, *TELL)
    assert (done.returncode, done.stdout) == (125, "")
    said, hint = done.stderr.splitlines()
    assert said.startswith("chrun: cannot ")
    assert "no cgroup file system is mounted" in said
    assert "mount -t cgroup2" in hint
    told = facts(host.run(tmp_path, "info", "--format", "json"))
    assert told["cgroups"]["state"] == "none"


@needs("root")
def test_a_device_for_reading_alone_is_an_error_where_no_cgroup_sees_to_it(tmp_path, rootfs):
    host = Host("mount -t tmpfs none /sys/fs/cgroup")
    done = host.run(tmp_path, "run", "--device", "/dev/zero:r", rootfs, *TELL)
    assert (done.returncode, done.stdout) == (125, "")
    said, hint = done.stderr.splitlines()
    assert said.startswith("chrun: cannot give /dev/zero as 'r': ")
    assert hint == "hint: --device /dev/zero gives reading and writing both"
    done = host.run(tmp_path, "run", "--device", "/dev/zero", rootfs, *TELL)
    assert (done.returncode, done.stdout) == (7, SHUT_IN)
    assert done.stderr.startswith("chrun: devices can be used without restriction: ")


# where data lies

NOEXEC_HOME = 'mkdir "$TEST_HOME/data"; mount -t tmpfs -o noexec,mode=700 none "$TEST_HOME/data"'


def test_a_noexec_home_is_no_hindrance_to_an_overlay(tmp_path, rootfs):
    host = Host(
        'mkdir -p "$TEST_HOME/data"; mount -t tmpfs -o noexec,mode=700 none "$TEST_HOME/data"'
    )
    assert_runs(host.run(tmp_path, "run", rootfs, *TELL))


def test_a_noexec_home_forbids_a_copy_and_says_so(tmp_path, rootfs):
    host = Host(
        'mkdir -p "$TEST_HOME/data"; mount -t tmpfs -o noexec,mode=700 none "$TEST_HOME/data"'
    )
    done = host.run(tmp_path, "run", "--rootfs", "copy", rootfs, *TELL)
    assert (done.returncode, done.stdout) == (125, "")
    said, hint = done.stderr.splitlines()
    assert said.startswith(f"chrun: cannot run a copy of the image in {tmp_path}/data/containers/")
    assert said.endswith("/rootfs: the file system is mounted noexec")
    assert hint == ("hint: choose another place with --root or CHRUN_HOME, or use --rootfs overlay")


def test_a_file_system_without_overlays_is_copied_to(tmp_path, rootfs):
    host = Host(
        'cd "$TEST_HOME"; mkdir data on lower; mount -t tmpfs none on; mkdir on/upper on/work;'
        "mount -t overlay -o userxattr,lowerdir=lower,upperdir=on/upper,workdir=on/work none data"
    )
    done = host.run(tmp_path, "run", rootfs, *TELL)
    assert (done.stdout, done.returncode) == (SHUT_IN, 7)
    (said,) = done.stderr.splitlines()
    assert said.startswith(
        "chrun: copying the image, for lack of an overlay: overlayfs refuses the data directory's "
        "file system"
    )


READ_ONLY = 'mount --bind "$TEST_HOME" "$TEST_HOME"; mount -o remount,bind,ro "$TEST_HOME"'


def test_a_read_only_data_directory_is_told_and_the_machine_all_the_same(tmp_path, rootfs):
    Host("true").run(tmp_path, "info")  # makes the data directory
    host = Host(READ_ONLY)
    done = host.run(tmp_path, "run", rootfs, *TELL)
    assert_refuses(
        done,
        f"chrun: cannot make a container in {tmp_path}/data/containers: read-only file system",
        "hint: choose another place with --root or CHRUN_HOME",
    )
    told = facts(host.run(tmp_path, "info", "--format", "json"))
    assert told["data directory"]["why"] == "it cannot be written to"
    assert told["isolation"]["state"] == "confined"
    explained = host.run(tmp_path, "explain", rootfs, "true")
    assert explained.returncode == 0
    assert "pivot_root" in explained.stdout


def test_a_data_directory_that_cannot_be_made_is_told_and_the_machine_all_the_same(
    tmp_path, rootfs
):
    host = Host(READ_ONLY)
    refused = f"cannot make the store {tmp_path}/data: read-only file system"
    hint = "choose another place with --root or CHRUN_HOME"
    assert_refuses(host.run(tmp_path, "run", rootfs, *TELL), f"chrun: {refused}", f"hint: {hint}")
    told = facts(host.run(tmp_path, "info", "--format", "json"))
    assert told["data directory"] == {"state": "none", "why": refused, "hint": hint}
    assert told["isolation"]["state"] == "confined"
    explained = host.run(tmp_path, "explain", rootfs, "true")
    assert explained.returncode == 0
    assert explained.stderr == f"chrun: {refused}; what follows is said of a temporary one\n"
    assert "pivot_root" in explained.stdout


def test_a_read_only_root_file_system_is_no_hindrance(tmp_path, rootfs):
    host = Host(
        'mkdir -p "$TEST_HOME/data"; mount -t tmpfs -o mode=700 none "$TEST_HOME/data";'
        "mount -o remount,bind,ro /"
    )
    assert_runs(host.run(tmp_path, "run", rootfs, *TELL))


# processes and programs


@needs("root", "memfd_noexec")
def test_memfd_noexec_2_is_named(tmp_path, rootfs):
    host = Host("echo 2 > /proc/sys/vm/memfd_noexec", own_processes=True)
    for words in (("run", rootfs, *TELL), ("info",)):
        assert_refuses(
            host.run(tmp_path, *words),
            "chrun: cannot run chrun-init from memory: permission denied",
            "hint: ask for: sysctl vm.memfd_noexec=1, or a security policy that allows it",
        )


@needs("ordinary user")
def test_a_limit_of_processes_is_named(tmp_path, rootfs):
    assert_runs(Host("true").run(tmp_path, "run", rootfs, *TELL))
    done = subprocess.run(
        ["prlimit", "--nproc=1", CHRUN, "run", rootfs, *TELL],
        capture_output=True,
        text=True,
        env={**os.environ, "CHRUN_HOME": str(tmp_path / "data")},
    )
    assert (done.returncode, done.stdout) == (125, "")
    *_, said, hint = done.stderr.splitlines()
    assert said.endswith("this user, or the cgroup, may have no more processes")
    assert hint == "hint: see ulimit -u, and pids.max of the cgroup"


@pytest.mark.parametrize(
    ("call", "answer"),
    [
        *((call, errno.ENOSYS) for call in ("clone3", "openat2", "mount_setattr", "close_range")),
        # Old engines' answer. Not for clone3: the C library itself starts nothing then.
        *((call, errno.EPERM) for call in ("openat2", "mount_setattr", "close_range")),
    ],
)
def test_a_kernel_or_container_without_a_new_system_call_is_no_hindrance(
    chrun, box, monkeypatch, call, answer
):
    monkeypatch.setenv("CHRUN_HOME", str(chrun.home))
    done = run_init(without_call(call, answer, chrun.command("run", box, *TELL)))
    assert_runs(done)


# what the kernel answered is kept, for the place where it answered


def test_an_answer_is_not_believed_in_another_namespace(tmp_path, rootfs):
    assert_runs(Nested("true").run(tmp_path, "run", rootfs, *TELL))
    limited = Nested("echo 0 > /proc/sys/user/max_uts_namespaces")
    done = limited.run(tmp_path, "run", rootfs, *TELL)
    assert (done.stdout, done.returncode) == (SHUT_IN, 7)
    (said,) = done.stderr.splitlines()
    assert "the limit of uts namespaces is reached" in said


def test_an_answer_is_not_believed_under_another_filter(chrun, box, monkeypatch):
    monkeypatch.setenv("CHRUN_HOME", str(chrun.home))
    command = chrun.command("run", box, *TELL)
    assert_runs(run_init(without_call("openat2", errno.ENOSYS, command)))
    done = run_init(without_call("seccomp", errno.ENOSYS, command))
    assert (done.stdout, done.returncode) == (SHUT_IN, 7)
    assert "no system call is forbidden" in done.stderr
