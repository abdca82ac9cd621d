"""What the monitor does for a process in a user namespace: id maps, mounts, and removing."""

from __future__ import annotations

import errno
import os
import pwd
import subprocess
from pathlib import Path

import pytest

from chrun.runtime.plan import Clone, Exec, Plan, RemoveTree
from chrun.runtime.steps import Base, Directory, Mount, MountBase, PivotRoot, Propagation, Root
from chrun.runtime.users import OuterIdMap, OuterTree, plan_mapped_tree
from tests.support.box import MS_NODEV, MS_NOEXEC, MS_NOSUID, NAMESPACES, PATH, run_init
from tests.support.needs import needs

FIRST = 700_000
RANGE = f"0 {FIRST} 65536"
OUTER_MAP = OuterIdMap(RANGE, RANGE, "", "")


def in_range(tmp_path, busybox_dir, script, *, inside=(), cleanup=()):
    """Compose a container of root's whose ids are nobody's, on an overlay of mapped trees."""
    base = tmp_path / "closed/base"
    base.mkdir(parents=True)
    for name in ("upper", "work"):
        (tmp_path / "closed" / name).mkdir()
    base.chmod(0o700)
    (tmp_path / "closed").chmod(0o700)
    options = "lowerdir=0,upperdir=scratch/upper,workdir=scratch/work,userxattr"
    steps = (
        OUTER_MAP,
        Propagation(),
        Base(str(base), "mode=755,size=1m"),
        plan_mapped_tree(str(busybox_dir), "0"),
        plan_mapped_tree("%", "scratch"),
        Directory("root", 0o755),
        MountBase("overlay", "root", 0, options, "mount the overlay", "layers"),
        Root("root", False),
        Mount("proc", "/proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, ""),
        *inside,
        PivotRoot(),
    )
    command = Exec(("sh", "-c", script), (PATH,), False)
    return Plan(Clone(("user", *NAMESPACES)), steps, command, cleanup), f"scratch={tmp_path}/closed"


@needs("root", "busybox")
def test_the_monitor_writes_maps_and_the_first_process_is_root_of_them(tmp_path, busybox_dir):
    script = "cat /proc/self/uid_map /proc/self/gid_map; id; grep Groups /proc/self/status"
    plan, scratch = in_range(tmp_path, busybox_dir, script)
    done = run_init(plan, scratch, wrapper=("setpriv", "--groups", "4,5"))
    assert done.stderr == ""
    uids, gids, who, groups = done.stdout.splitlines()
    assert uids.split() == gids.split() == ["0", str(FIRST), "65536"]
    assert who.startswith("uid=0(root) gid=0(root)")
    assert groups.split() == ["Groups:"]


@needs("root", "busybox")
def test_mapped_trees_keep_their_owners_on_the_disk(tmp_path, busybox_dir):
    script = "echo x > /made; chown 5:6 /made; stat -c %u:%g /bin /made"
    plan, scratch = in_range(tmp_path, busybox_dir, script)
    assert run_init(plan, scratch).stdout.split() == ["0:0", "5:6"]
    made = tmp_path / "closed/upper/made"
    assert (made.lstat().st_uid, made.lstat().st_gid) == (5, 6)


@needs("root", "busybox")
def test_a_base_behind_a_closed_door_is_mounted_on_all_the_same(tmp_path, busybox_dir):
    plan, scratch = in_range(tmp_path, busybox_dir, "true")
    assert run_init(plan, scratch).returncode == 0
    listing = ["setpriv", f"--reuid={FIRST}", f"--regid={FIRST}", "--clear-groups", "ls",
               f"{tmp_path}/closed"]  # fmt: skip
    assert subprocess.run(listing, capture_output=True, check=False).returncode != 0
    assert list((tmp_path / "closed/base").iterdir()) == []


@needs("root", "busybox")
def test_a_tree_from_outside_goes_where_the_container_has_no_way(tmp_path, busybox_dir):
    secret = tmp_path / "secret"
    secret.mkdir(0o700)
    (secret / "file").write_text("seen\n")
    (secret / "file").chmod(0o644)
    for mapped, flags, script, expected in (
        (True, 0, "cat /in/file; stat -c %u /in", "seen\n0\n"),
        (False, 0, "stat -c %u /in; cat /in/file 2>&1", "65534\ncat: can't open '/in/file': "),
        (True, MS_NOEXEC | 1, "echo x 2>&1 > /in/x; mount | grep -o 'ro,noexec'", "sh: "),
    ):
        where = tmp_path / f"{mapped}{flags}"
        where.mkdir()
        tree = OuterTree(str(secret), "/in", True, flags, mapped, "a test")
        plan, scratch = in_range(where, busybox_dir, script, inside=(tree,))
        done = run_init(plan, scratch)
        assert done.stdout.startswith(expected) or done.stderr.startswith(expected), done


@needs("root", "busybox")
def test_what_is_mounted_outside_later_is_not_seen_in_a_tree(tmp_path, busybox_dir):
    plan, scratch = in_range(
        tmp_path, busybox_dir, "cat /proc/self/mountinfo",
        inside=(OuterTree("/", "/host", True, 0, False, "a test"),),
    )  # fmt: skip
    shared = ("unshare", "--mount", "--propagation", "shared")
    lines = run_init(plan, scratch, wrapper=shared).stdout.splitlines()
    assert len(lines) > 3
    assert not any("shared:" in line or "master:" in line for line in lines)


@needs("root")
def test_a_mapped_tree_without_a_map_is_refused(tmp_path):
    (tmp_path / "base").mkdir()
    steps = (Propagation(), Base(str(tmp_path / "base"), "mode=755"), plan_mapped_tree("/usr", "u"))
    done = run_init(Plan(Clone(("mount",)), steps))
    assert done.returncode == 125
    assert "cannot give /usr to u: this file system, or this kernel" in done.stderr


@needs("root")
@pytest.mark.parametrize("target", ["a/b", "..", ".", ""])
def test_a_tree_goes_to_a_new_name_in_the_base_only(tmp_path, target):
    (tmp_path / "base").mkdir()
    tree = OuterTree("/usr", target, False, 0, False, "a test")
    steps = (OUTER_MAP, Propagation(), Base(str(tmp_path / "base"), "mode=755"), tree)
    done = run_init(Plan(Clone(("user", "mount")), steps))
    assert done.returncode == 125
    assert "cannot give /usr" in done.stderr


@needs("root")
def test_a_relative_source_is_refused(tmp_path):
    (tmp_path / "base/usr").mkdir(parents=True)
    steps = (
        Propagation(),
        Base(str(tmp_path / "base"), "mode=755"),
        OuterTree("usr", "name", False, 0, False, "a test"),
    )
    done = run_init(Plan(Clone(("mount",)), steps))
    assert done.returncode == 125
    assert "cannot give usr to name: invalid argument" in done.stderr


def program(tmp_path, script):
    """Make a program in the place of newuidmap(1)."""
    path = tmp_path / "mapper"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return str(path)


def said_by(path, *words, **options):
    step = OuterIdMap("0 1 2\n3 4 5", "0 1 2", path, "/bin/true")
    return run_init(Plan(Clone(("user",)), (step,)), *words, **options)


@needs("userns")
def test_what_a_mapping_program_says_is_the_error(tmp_path):
    done = said_by(program(tmp_path, "echo 'mapper: \033[31mno' >&2; echo more >&2; exit 1"))
    assert done.returncode == 125
    assert done.stderr == (
        "chrun: cannot map user ids (0 1 2, 3 4 5) and group ids (0 1 2): mapper: ?[31mno\n"
    )


@needs("userns")
def test_a_mapping_program_gets_process_and_map_and_nothing_of_ours(tmp_path, monkeypatch):
    monkeypatch.setenv("LD_PRELOAD_TEST", "x")
    script = 'echo "$*" "$(env | grep -c TEST)" "$(ls /proc/self/fd | tr "\\n" " ")" >&2; exit 1'
    held_fd = os.open("/etc", os.O_RDONLY)
    try:
        done = said_by(program(tmp_path, script), f"hold={held_fd}", fds=(held_fd,))
    finally:
        os.close(held_fd)
    words = done.stderr.partition(": cannot ")[2].partition("): ")[2].split()
    assert int(words[0]) > 1
    assert words[1:7] == ["0", "1", "2", "3", "4", "5"]
    assert words[7:] == ["0", "0", "1", "2", "3"]  # 3 is that of ls


@needs("userns")
def test_a_mapping_program_that_is_not_there_is_named(tmp_path):
    done = said_by(str(tmp_path / "nothing"))
    assert f"{tmp_path}/nothing: No such file or directory" in done.stderr


@needs("userns")
def test_a_report_has_the_programs_words_behind_its_numbers(tmp_path):
    report_fd, report_end = os.pipe()
    path = program(tmp_path, "echo 'mapper: no' >&2; exit 1")
    done = said_by(path, f"report={report_end}", fds=(report_end,))
    os.close(report_end)
    report = os.read(report_fd, 512)
    os.close(report_fd)
    assert (done.returncode, done.stderr) == (125, "")
    assert report == (1).to_bytes(4, "little") + errno.EPERM.to_bytes(4, "little") + b"mapper: no"


@needs("userns")
def test_a_map_is_too_long_for_no_buffer(tmp_path):
    long = "\n".join(f"{number} {number} 1" for number in range(10, 60))
    step = OuterIdMap(long, "0 1 2", "/bin/true", "/bin/true")
    done = run_init(Plan(Clone(("user",)), (step,)))
    assert done.returncode == 125
    assert "argument list too long" in done.stderr.lower()


@needs("subordinate ids")
def test_what_belongs_to_subordinate_ids_is_cleaned_up_in_their_namespace(tmp_path):
    login = pwd.getpwuid(os.getuid()).pw_name
    lines = [line.split(":") for line in Path("/etc/subuid").read_text().splitlines()]
    first, count = next((start, size) for name, start, size in lines if name == login)
    maps = [f"0 {number} 1\n1 {first} {count}" for number in (os.getuid(), os.getgid())]
    step = OuterIdMap(*maps, "/usr/bin/newuidmap", "/usr/bin/newgidmap")
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    script = f"cd {scratch} && mkdir -p a/b && touch a/b/c && chown -R 33:44 a && chmod 0 a/b a"
    command = Exec(("/bin/sh", "-c", script), (PATH,), False)
    for cleanup in ((), (RemoveTree("%"),)):
        done = run_init(Plan(Clone(("user",)), (step,), command, cleanup), f"scratch={scratch}")
        assert (done.returncode, done.stderr) == (0, "")
        assert scratch.exists() == (not cleanup)
        if not cleanup:
            assert (scratch / "a").stat().st_uid == int(first) + 32
            command = Exec(("/bin/true",), (PATH,), False)


def test_a_tree_wants_a_base_or_a_root_to_go_to():
    done = run_init(Plan(Clone(()), (OuterTree("/usr", "x", False, 0, False, "a test"),)))
    assert done.returncode == 125
