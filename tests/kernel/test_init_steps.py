"""Every step of a plan, carried out by chrun-init and looked at from inside."""

from __future__ import annotations

import errno
import os
import resource
import subprocess

import pytest

from chrun.runtime.plan import Clone, Exec, Plan
from chrun.runtime.steps import (
    Bind,
    Capabilities,
    Chroot,
    Directory,
    File,
    Hostname,
    Link,
    Mask,
    Mount,
    MountBase,
    Node,
    NoNewPrivileges,
    Note,
    PivotRoot,
    Propagation,
    ReadOnly,
    Rlimit,
    Root,
    Seccomp,
    User,
    WorkingDirectory,
)
from tests.support.box import CONTAINER_ID, INIT, MS_NOEXEC, MS_NOSUID, MS_RDONLY, run_init
from tests.support.needs import needs

pytestmark = needs("busybox", "overlay")

DOCKER_CAPABILITIES = 0xA80425FB


def status_lines(text):
    return dict(line.split(":\t", 1) for line in text.splitlines() if ":\t" in line)


def write(target, text, *, mode=0o644, expanded=False, optional=False):
    return File(target, mode, text, expanded, optional, "a test wants it")


def test_the_command_gets_its_words_its_environment_and_nothing_else(box):
    done = box.run("env", env=("PATH=/bin", "A=b c", "EMPTY="))
    assert (done.returncode, done.stdout) == (0, "PATH=/bin\nA=b c\nEMPTY=\n")


def test_words_behind_the_dashes_end_the_command_line(box):
    done = run_init(box.plan("echo", "a"), "--", "b c", "--", "")
    assert done.stdout == "a b c -- \n"


def test_a_plan_without_a_command_ends_with_success(box):
    assert box.run().returncode == 0


def test_a_plan_of_nothing_but_a_clone_ends_with_success():
    assert run_init(Plan(Clone(()), ())).returncode == 0


@pytest.mark.parametrize("status", [0, 1, 42, 255])
def test_the_exit_status_is_the_commands(box, status):
    assert box.run("sh", "-c", f"exit {status}").returncode == status


def test_the_process_is_the_first_of_its_namespace(box):
    assert box.sh("echo $$") == "1\n"


def test_the_root_is_the_overlay_and_the_machines_mounts_are_gone(box):
    mounts = [line.split()[1] for line in box.sh("cat /proc/mounts").splitlines()]
    assert mounts == sorted(set(mounts), key=mounts.index)
    assert mounts[0] == "/"
    assert all(mount == "/" or mount.startswith(("/proc", "/dev")) for mount in mounts)


def test_what_is_written_inside_does_not_reach_the_layers(box, busybox_dir):
    before = sorted(os.listdir(busybox_dir))
    assert box.sh("echo hi > /new; rm -r /home; cat /new") == "hi\n"
    assert sorted(os.listdir(busybox_dir)) == before


def test_the_host_name_is_given_or_the_short_id(box):
    assert box.sh("hostname", after=[Hostname("box")]) == "box\n"
    assert box.sh("hostname", after=[Hostname("")]) == CONTAINER_ID[:12] + "\n"


def test_a_file_is_written_and_bound_where_the_image_has_another(box):
    text = b"127.0.0.1\tlocalhost\n"
    assert box.sh("cat /etc/hosts", inside=[write("/etc/hosts", text)]) == text.decode()


def test_a_file_appears_where_the_image_has_none_with_its_parents(box):
    shown = box.sh("stat -c %a /new/deep/file", inside=[write("/new/deep/file", b"x", mode=0o600)])
    assert shown == "600\n"


def test_a_file_is_expanded_with_the_host_name(box):
    text = b"%h 100%% %h%"
    steps = {"inside": [write("/etc/x", text, expanded=True)], "after": [Hostname("box")]}
    assert box.sh("cat /etc/x", **steps) == "box 100% box%"


def test_a_file_that_is_not_expanded_keeps_its_signs(box):
    assert box.sh("cat /etc/x", inside=[write("/etc/x", b"%h\0%%")]) == "%h\0%%"


def test_an_optional_file_is_left_out_without_its_directory(box):
    inside = [write("/missing/file", b"x", optional=True), write("/etc/x", b"y", optional=True)]
    assert box.sh("ls /missing 2>&1; cat /etc/x", inside=inside).endswith("\ny")


def test_masked_files_are_empty_and_masked_directories_too(box):
    inside = [Mask("/proc/version"), Mask("/etc"), Mask("/missing"), Mask("/etc/none/below")]
    shown = box.sh("cat /proc/version; ls -A /etc; touch /etc/x 2>&1 || true", inside=inside)
    assert shown == "touch: /etc/x: Read-only file system\n"


def test_a_read_only_path_cannot_be_written_and_a_missing_one_is_skipped(box):
    inside = [ReadOnly("/etc"), ReadOnly("/missing")]
    shown = box.sh("touch /etc/x 2>&1; touch /x && echo fine", inside=inside)
    assert shown == "touch: /etc/x: Read-only file system\nfine\n"


def test_a_read_only_path_keeps_its_other_flags(box):
    shown = box.sh("grep ' /proc/sys ' /proc/mounts", inside=[ReadOnly("/proc/sys")])
    assert shown.split()[3].startswith("ro,nosuid,nodev,noexec")


def test_the_root_itself_can_be_read_only_while_dev_is_not(box):
    shown = box.sh("touch /x 2>&1; touch /dev/x && echo fine", inside=[ReadOnly("/")])
    assert shown == "touch: /x: Read-only file system\nfine\n"


def test_a_volume_is_the_hosts_directory(box, tmp_path):
    volume = tmp_path / "volume"
    volume.mkdir()
    box.sh("echo hi > /data/file", inside=[Bind(str(volume), "/data", True, 0)])
    assert (volume / "file").read_text() == "hi\n"


def test_a_read_only_volume_is_read_only_with_all_that_is_mounted_below(box, tmp_path):
    outer, inner = tmp_path / "outer", tmp_path / "inner"
    (outer / "inner").mkdir(parents=True)
    inner.mkdir()
    gathered = [
        Bind(str(outer), "/outer", False, 0),
        Bind(str(inner), "/outer/inner", False, 0),
        ReadOnly("/outer"),
    ]
    script = "touch /outer/x 2>&1; touch /outer/inner/x 2>&1; true"
    shown = box.sh(script, inside=gathered)
    assert shown.count("Read-only file system") == 2


def test_the_flags_of_a_volume_are_those_asked_for(box, tmp_path):
    inside = [Bind(str(tmp_path), "/data", True, MS_RDONLY | MS_NOSUID | MS_NOEXEC)]
    options = box.sh("grep ' /data ' /proc/mounts", inside=inside).split()[3].split(",")
    assert {"ro", "nosuid", "noexec"} <= set(options)


def test_a_volume_can_be_a_file(box, tmp_path):
    source = tmp_path / "file"
    source.write_text("content")
    inside = [Bind(str(source), "/etc/new/file", False, MS_RDONLY)]
    done = box.run("sh", "-c", "cat /etc/new/file; echo x >> /etc/new/file", inside=inside)
    assert done.stdout == "content"
    assert "Read-only" in done.stderr


def test_a_missing_volume_is_an_error_in_the_steps_words(box):
    done = box.run("true", inside=[Bind("/nonexistent/volume", "/data", True, 0)])
    assert done.returncode == 125
    assert done.stderr == (
        "chrun: cannot bind /nonexistent/volume to /data: no such file or directory\n"
    )


@needs("root")
def test_a_node_has_its_type_mode_and_numbers(box):
    inside = [Node("/dev/tty", 0o620, 5, 0)]
    assert box.sh("stat -c '%F %a %t %T' /dev/tty", inside=inside) == (
        "character special file 620 5 0\n"
    )


def test_a_link_points_where_it_is_told(box):
    assert box.sh("readlink /dev/x", inside=[Link("a/b", "/dev/x")]) == "a/b\n"


def test_a_mount_follows_links_only_when_allowed(box, busybox_dir):
    assert (busybox_dir / "lib64").is_symlink()
    # nothing dynamic would start under an empty /lib: these plans end before a command
    assert box.run(inside=[Mount("tmpfs", "/lib64", 0, "mode=755", (), True)]).returncode == 0
    done = box.run(inside=[Mount("tmpfs", "/lib64", 0, "mode=755")])
    assert done.returncode == 125
    assert done.stderr.startswith("chrun: cannot mount tmpfs on /lib64: ")


@needs("root")
def test_the_user_has_the_ids_and_groups_it_was_given(box):
    after = [User(1000, 1001, (5, 6), False)]
    assert box.sh("id -u; id -g; id -G", after=after) == "1000\n1001\n1001 5 6\n"


@needs("root")
@pytest.mark.parametrize("ids", [(2**32 - 1, 0), (0, 2**32 - 1), (2**32, 0), (0, 2**32)])
def test_ids_that_would_leave_root_what_it_is_are_refused(box, ids):
    """CVE-2024-40635: -1 is no change for setresuid(2), and 2^32 would be cut to 0."""
    done = run_init(box.plan("id", after=[User(*ids, (), False)]))
    assert (done.returncode, done.stdout) == (125, "")


@needs("root")
def test_no_groups_means_no_groups(box):
    assert box.sh("id -G", after=[User(1000, 1000, (), False)]) == "1000\n"


def test_capabilities_are_those_and_no_others(box):
    sets = (DOCKER_CAPABILITIES, DOCKER_CAPABILITIES, DOCKER_CAPABILITIES, 0, 0)
    shown = status_lines(box.sh("cat /proc/self/status", after=[Capabilities(*sets)]))
    expected = f"{DOCKER_CAPABILITIES:016x}"
    assert (shown["CapBnd"], shown["CapPrm"], shown["CapEff"]) == (expected,) * 3
    assert (shown["CapInh"], shown["CapAmb"]) == ("0" * 16, "0" * 16)


@needs("root")
def test_an_ambient_capability_survives_a_change_of_user(box):
    bind = 1 << 10  # CAP_NET_BIND_SERVICE
    after = [User(1000, 1000, (), False), Capabilities(bind, bind, bind, bind, bind)]
    shown = status_lines(box.sh("cat /proc/self/status", after=after))
    assert shown["CapEff"] == f"{bind:016x}"


@needs("root")
def test_another_user_has_no_capabilities_without_ambient_ones(box):
    kept = DOCKER_CAPABILITIES
    after = [User(1000, 1000, (), False), Capabilities(kept, kept, kept, 0, 0)]
    shown = status_lines(box.sh("cat /proc/self/status", after=after))
    assert (shown["CapPrm"], shown["CapEff"]) == ("0" * 16, "0" * 16)


def test_no_new_privs_is_set(box):
    shown = status_lines(box.sh("cat /proc/self/status", after=[NoNewPrivileges()]))
    assert shown["NoNewPrivs"] == "1"


def test_a_filter_is_installed(box):
    allow = (6).to_bytes(2, "little") + bytes(2) + (0x7FFF0000).to_bytes(4, "little")
    after = [NoNewPrivileges(), Seccomp(allow, "filter", "a test")]
    assert status_lines(box.sh("cat /proc/self/status", after=after))["Seccomp"] == "2"


@pytest.mark.parametrize("program", [b"", b"1234567", bytes(8 * 4097)])
def test_a_filter_that_is_none_is_refused(box, program):
    done = box.run("true", after=[NoNewPrivileges(), Seccomp(program, "set a filter", "a test")])
    assert done.stderr == "chrun: cannot set a filter: invalid argument\n"


def test_a_limit_is_set(box):
    after = [Rlimit(resource.RLIMIT_NOFILE, 100, 200, "NOFILE")]
    assert box.sh("ulimit -Sn; ulimit -Hn", after=after) == "100\n200\n"


def test_a_limit_that_may_not_be_raised_is_an_error(box):
    cap_sys_resource = ~(1 << 24) & 0xFFFFFFFF
    after = [
        Capabilities(*(cap_sys_resource,) * 3, 0, 0),
        Rlimit(resource.RLIMIT_NOFILE, 100, 100, "NOFILE"),
        Rlimit(resource.RLIMIT_NOFILE, 1000, 2000, "NOFILE"),
    ]
    done = box.run("sh", "-c", "ulimit -Hn", after=after)
    assert (done.returncode, done.stderr) == (
        125,
        "chrun: cannot set the limit NOFILE to 1000:2000: operation not permitted\n",
    )


def test_the_working_directory_is_made_when_it_is_missing(box):
    assert box.sh("pwd", after=[WorkingDirectory("/srv/new/dir")]) == "/srv/new/dir\n"


def test_the_working_directory_must_be_one(box):
    done = box.run("true", after=[WorkingDirectory("/bin/sh")])
    assert (done.returncode, done.stderr) == (
        125,
        "chrun: cannot change to /bin/sh: not a directory\n",
    )


@needs("root")
def test_chroot_alone_changes_the_root_and_nothing_else(busybox_dir, tmp_path):
    command = Exec(("sh", "-c", "pwd; ls /; ls /proc"), ("PATH=/bin",), False)
    plan = Plan(Clone(()), (Root(str(busybox_dir), False), Chroot()), command)
    done = run_init(plan)
    assert done.stdout.startswith("/\n")
    assert "busybox" not in done.stdout
    assert "self" not in done.stdout


@needs("root")
def test_a_root_may_lie_in_the_scratch_directory_and_be_bound_on_itself(busybox_dir, tmp_path):
    (tmp_path / "rootfs").symlink_to(busybox_dir)
    steps = (Propagation(), Root("%/rootfs", True), PivotRoot())
    plan = Plan(Clone(("mount",)), steps, Exec(("echo", "hi"), ("PATH=/bin",), False))
    assert run_init(plan, f"scratch={tmp_path}").stdout == "hi\n"


@needs("root")
def test_steps_that_need_a_root_or_a_base_are_refused_without(tmp_path):
    for step in (
        Mask("/etc"),
        Bind("/", "/mnt", True, 0),
        Directory("x", 0o755),
        MountBase("tmpfs", "x", 0, "", "mount x", ""),
        Chroot(),
    ):
        done = run_init(Plan(Clone(("mount",)), (Propagation(), step)), cwd=tmp_path)
        assert (done.returncode, os.listdir(tmp_path)) == (125, [])
        assert done.stderr.endswith(": invalid argument\n")


def test_umask_and_signals_are_those_of_a_new_program(box):
    assert box.sh("umask") == "0022\n"
    # without a shell, which has signal handling of its own
    lines = status_lines(box.run("grep", "Sig", "/proc/self/status").stdout)
    assert (lines["SigIgn"], lines["SigBlk"]) == ("0" * 16, "0" * 16)


def test_an_error_is_explained_by_the_steps_note(box):
    note = Note(errno.ENODEV, "there is no such file system", "load it")
    done = box.run("true", inside=[Mount("nosuchfs", "/mnt", 0, "", (note,))])
    assert (done.returncode, done.stderr) == (
        125,
        "chrun: cannot mount nosuchfs on /mnt: there is no such file system\nhint: load it\n",
    )


def test_control_bytes_of_a_name_do_not_reach_the_terminal(box):
    done = box.run("true", inside=[Bind("/nonexistent\x1b[2J\n", "/x", True, 0)])
    assert "\x1b" not in done.stderr
    assert done.stderr.count("\n") == 1


def test_with_a_report_nothing_is_printed(box, tmp_path):
    reader, writer = os.pipe()
    plan = box.plan("true", inside=[Mask("/etc"), Bind("/nonexistent", "/x", True, 0)])
    done = run_init(plan, f"report={writer}", fds=(writer,))
    os.close(writer)
    with open(reader, "rb") as pipe:
        report = pipe.read()
    position = int.from_bytes(report[:4], "little")
    assert plan.records[position].describe() == "bind /nonexistent to /x"
    assert int.from_bytes(report[4:], "little") == errno.ENOENT
    assert (done.returncode, done.stderr) == (125, "")


def test_a_report_closes_without_a_byte_when_the_command_runs(box):
    reader, writer = os.pipe()
    done = run_init(box.plan("true"), f"report={writer}", fds=(writer,))
    os.close(writer)
    with open(reader, "rb") as pipe:
        assert pipe.read() == b""
    assert done.returncode == 0


def test_a_closed_stdin_does_not_become_something_of_chruns(box, tmp_path):
    plan = tmp_path / "plan"
    plan.write_bytes(box.plan("ls", "-l", "/proc/self/fd").encode())
    script = 'exec "$0" plan=9 9<"$1" <&-'
    done = subprocess.run(["sh", "-c", script, INIT, plan], capture_output=True, text=True)
    assert "0 -> /dev/null" in done.stdout
    assert "socket" not in done.stdout
