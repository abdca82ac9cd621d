"""Older kernels: the same steps where openat2, clone3 and the new mount calls do not exist.

A first chrun-init installs a filter that answers ENOSYS, as an old kernel would, and then executes
a second one, which reads its plan from stdin.
"""

from __future__ import annotations

import errno
import os
import sys
from typing import TYPE_CHECKING

import pytest

from chrun.runtime.plan import Clone, Exec, Plan, RemoveTree
from chrun.runtime.steps import (
    Bind,
    File,
    Mask,
    Mount,
    NoNewPrivileges,
    Note,
    ReadOnly,
    Seccomp,
    WorkingDirectory,
)
from tests.support.box import CONTAINER_ID, INIT, MS_RDONLY, PATH, Box, open_plan, run_init
from tests.support.filters import KILL, Refusal, under_filter
from tests.support.needs import needs

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path
    from subprocess import CompletedProcess

    Old = Callable[..., CompletedProcess[str]]

pytestmark = needs("busybox", "overlay")

# open_tree move_mount clone3 close_range openat2 mount_setattr: the same numbers everywhere
_NEW_CALLS = (428, 429, 435, 436, 437, 442)
_LOAD, _JUMP_IF_EQUAL, _RETURN = 0x20, 0x15, 0x06
_ALLOW, _ERRNO = 0x7FFF0000, 0x00050000


def instruction(code, operand, if_true=0, if_false=0):
    head = code.to_bytes(2, "little") + bytes((if_true, if_false))
    return head + operand.to_bytes(4, "little")


def answer(number):
    """Give a filter that answers an errno to the new system calls and allows the others."""
    program = [instruction(_LOAD, 0)]
    for call in _NEW_CALLS:
        program += [
            instruction(_JUMP_IF_EQUAL, call, 0, 1),
            instruction(_RETURN, _ERRNO | number),
        ]
    return b"".join([*program, instruction(_RETURN, _ALLOW)])


@pytest.fixture(params=[errno.ENOSYS, errno.EPERM], ids=["ENOSYS", "EPERM"])
def old(request: pytest.FixtureRequest) -> Old:
    """Run a plan as on an old kernel (ENOSYS), or inside an old container engine (EPERM)."""
    filtered = Seccomp(answer(request.param), "forget the new calls", "")

    def run(plan: Plan, *words: str, wrapper: Sequence[str] = ()) -> CompletedProcess[str]:
        argv = (INIT, "plan=0", f"id={CONTAINER_ID}", *words)
        env = tuple(f"{key}={value}" for key, value in os.environ.items())
        outer = Plan(Clone(()), (NoNewPrivileges(), filtered), Exec(argv, env, False))
        plan_fd = open_plan(plan)
        try:
            return run_init(outer, stdin=plan_fd, wrapper=wrapper)
        finally:
            os.close(plan_fd)

    return run


def sh(old: Old, box: Box, script: str, **options: object) -> str:
    done = old(box.plan("sh", "-c", script, **options))
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_a_container_runs(old, box):
    assert sh(old, box, "echo $$; ls /proc/1/fd; :") == "1\n0\n1\n2\n"


def test_volumes_are_read_only_when_asked(old, box, tmp_path):
    inside = [Bind(str(tmp_path), "/data/new", True, MS_RDONLY)]
    assert "Read-only" in sh(old, box, "touch /data/new/x 2>&1; true", inside=inside)


@needs("root")
def test_what_is_mounted_below_a_volume_is_read_only_with_it(old, box, tmp_path):
    volume = tmp_path / "a volume"
    mounting = 'for at in "a b" "a b/deep"; do mkdir -p "$0/$at"; mount -t tmpfs x "$0/$at"; done'
    wrapper = ("unshare", "--mount", "sh", "-c", f'{mounting}; exec "$@"', str(volume))
    script = "cd /data/new; touch 'a b/x' 'a b/deep/x' 2>&1; grep -c ' /data/.* ro,' /proc/mounts"
    inside = [Bind(str(volume), "/data/new", True, MS_RDONLY)]
    done = old(box.plan("sh", "-c", script, inside=inside), wrapper=wrapper)
    refused = "".join(f"touch: a b/{name}: Read-only file system\n" for name in ("x", "deep/x"))
    assert done.stdout == f"{refused}3\n"


@pytest.mark.parametrize("flags", [0, MS_RDONLY])
def test_a_file_and_a_directory_are_told_apart(old, box, tmp_path, flags):
    (tmp_path / "file").touch()
    for source, target, number in (
        (tmp_path, "/etc/passwd", errno.EEXIST),
        (tmp_path / "file", "/etc", errno.EISDIR),
    ):
        note = Note(number, "that is what is there", "")
        files = [File("/etc/passwd", 0o644, b"", False, False, "")]
        inside = [*files, Bind(str(source), target, True, flags, explained=(note,))]
        assert "that is what is there" in old(box.plan("true", inside=inside)).stderr


def test_paths_are_masked_and_read_only(old, box):
    inside = [Mask("/proc/version"), Mask("/etc"), ReadOnly("/proc/sys"), ReadOnly("/")]
    shown = sh(old, box, "cat /proc/version; ls /etc; touch /x 2>&1; true", inside=inside)
    assert shown == "touch: /x: Read-only file system\n"


def test_files_and_working_directories_are_made(old, box):
    inside = [File("/etc/a/b", 0o644, b"text", False, False, "")]
    script = "cat /etc/a/b; pwd"
    shown = sh(old, box, script, inside=inside, after=[WorkingDirectory("/srv/x")])
    assert shown == "text/srv/x\n"


@pytest.mark.parametrize("link", ["../" * 30, "/", "a/../../../.."])
def test_links_do_not_lead_out(old, busybox_dir, tmp_path, link):
    layer, secret = tmp_path / "hostile", tmp_path / "host"
    for directory in (layer / "a", secret):
        directory.mkdir(parents=True)
    (layer / "out").symlink_to(f"{link}{secret}")
    box = Box(tmp_path, layer, busybox_dir)
    inside = [File("/out/new", 0o644, b"inside", False, False, "")]
    assert sh(old, box, f"cat {secret}/new", inside=inside) == "inside"
    assert os.listdir(secret) == []


def test_a_system_mount_follows_no_link(old, busybox_dir, tmp_path):
    layer = tmp_path / "hostile"
    layer.mkdir()
    (layer / "proc").symlink_to("/etc")
    assert old(Box(tmp_path, layer, busybox_dir).plan("true")).returncode == 125


def test_links_in_a_circle_end(old, busybox_dir, tmp_path):
    layer = tmp_path / "hostile"
    layer.mkdir()
    (layer / "a").symlink_to("b")
    (layer / "b").symlink_to("a")
    box = Box(tmp_path, layer, busybox_dir)
    assert old(box.plan("true", inside=[Bind("/", "/a/x", True, 0)])).returncode == 125


@pytest.mark.parametrize("number", range(8))
def test_descriptors_are_no_working_directories(old, box, number):
    done = old(box.plan("pwd", after=[WorkingDirectory(f"/proc/self/fd/{number}")]))
    assert (done.returncode, done.stdout) == (125, "")


def test_a_name_that_is_too_long_is_an_error(old, box):
    for name in ("/" + "x" * 300, "/" + "x/" * 3000, "/." * 3000):
        done = old(box.plan("true", inside=[Mount("tmpfs", name, 0, "")]))
        assert done.returncode == 125
        assert done.stderr.count("\n") == 1


def test_a_scratch_directory_is_removed(old, tmp_path: Path):
    scratch = tmp_path / "scratch"
    (scratch / "a" / "b" / "c").mkdir(parents=True)
    (scratch / "a" / "b").chmod(0)
    done = old(Plan(Clone(()), (), None, (RemoveTree("%"),)), f"scratch={scratch}")
    assert (done.returncode, done.stderr) == (0, "")
    assert not scratch.exists()


NO_CLOSE_RANGE = Refusal("close_range", errno.ENOSYS)
FAR_FD = 900
# Open one descriptor far behind the limit, and go on as another program
OPEN_FAR = f"""
import os, resource, sys
fd = os.open("/", os.O_RDONLY)
os.dup2(fd, {FAR_FD}, inheritable=True)
_, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (64, hard))
os.execvp(sys.argv[1], sys.argv[1:])
"""
INNER = (INIT, "plan=0", f"id={CONTAINER_ID}")
SHOW = ("sh", "-c", "ls /proc/1/fd; :")


def run_under(
    plan: Plan, argv: Sequence[str], *refusals: Refusal, wrapper: Sequence[str] = ()
) -> CompletedProcess[str]:
    """Run a plan, which is standard input, by a command for which system calls are refused."""
    plan_fd = open_plan(plan)
    try:
        return run_init(under_filter(argv, *refusals), stdin=plan_fd, wrapper=wrapper)
    finally:
        os.close(plan_fd)


@pytest.mark.parametrize("refusals", [(), (NO_CLOSE_RANGE,)], ids=["new kernel", "old kernel"])
def test_a_descriptor_behind_a_lowered_limit_is_closed(box, refusals):
    """CVE-2024-21626: the host's root directory, open where no limit leads to."""
    listed = (sys.executable, "-c", OPEN_FAR, "ls", "/proc/self/fd")
    outside = run_under(box.plan(*SHOW), listed, *refusals)
    assert str(FAR_FD) in outside.stdout.split()
    done = run_under(box.plan(*SHOW), (sys.executable, "-c", OPEN_FAR, *INNER), *refusals)
    assert (done.stdout, done.stderr) == ("0\n1\n2\n", "")


def test_closing_does_not_walk_to_the_limit_of_descriptors(box):
    """Docker's limit is a thousand million: what is not open is not closed either."""
    walks = Refusal("close", KILL, argument=0, at_least=1000)
    done = run_under(box.plan(*SHOW), INNER, NO_CLOSE_RANGE, walks)
    assert (done.returncode, done.stdout) == (0, "0\n1\n2\n")


def without_proc() -> list[str]:
    """Return the words before a command for which /proc is empty."""
    hiding = 'mount -t tmpfs x /proc && exec "$@"'
    identity = () if os.geteuid() == 0 else ("--user", "--map-root-user")
    return ["unshare", *identity, "--mount", "sh", "-c", hiding, "sh"]


@needs("no sanitizer")  # which needs /proc for itself
def test_a_container_does_not_start_when_what_is_open_cannot_be_listed():
    plan = Plan(Clone(()), (), Exec(("echo", "started"), (PATH,), False))
    assert run_under(plan, INNER, NO_CLOSE_RANGE).stdout == "started\n"
    done = run_under(plan, INNER, NO_CLOSE_RANGE, wrapper=without_proc())
    assert (done.returncode, done.stdout) == (125, "")


@needs("no sanitizer")
def test_processes_that_cannot_be_listed_are_not_left_in_silence():
    script = "trap '' HUP; exec >/dev/null 2>&1; sleep 3 & exit 7"
    plan = Plan(Clone(()), (), Exec(("sh", "-c", script), (PATH,), False))
    assert (run_init(plan).returncode, run_init(plan).stderr) == (7, "")
    done = run_init(plan, wrapper=without_proc())
    assert done.returncode == 7
    assert done.stderr == (
        "chrun: cannot end all processes of the container: "
        "/proc does not list those that are left\n"
    )


@needs("root", "no sanitizer")  # which reads large pieces of files for itself
def test_a_list_of_mounts_that_cannot_be_read_leaves_none_writable(box, tmp_path):
    volume = tmp_path / "volume"
    mounting = 'mkdir -p "$0/below"; mount -t tmpfs x "$0/below"; exec "$@"'
    wrapper = ("unshare", "--mount", "sh", "-c", mounting, str(volume))
    inside = [Bind(str(volume), "/data", True, MS_RDONLY)]
    plan = box.plan("touch", "/data/below/x", inside=inside)
    old_kernel = (Refusal("mount_setattr", errno.ENOSYS),)
    done = run_under(plan, INNER, *old_kernel, wrapper=wrapper)
    assert "Read-only" in done.stderr
    large_reads = Refusal("read", errno.EIO, argument=2, at_least=8000)
    done = run_under(plan, INNER, *old_kernel, large_reads, wrapper=wrapper)
    assert done.returncode == 125
    assert done.stderr.startswith("chrun: cannot ")
