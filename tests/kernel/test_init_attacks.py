"""What hostile images and neighbours try, and what chrun-init makes of it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from chrun.runtime.launch import open_sealed
from chrun.runtime.plan import Clone, Exec, Plan
from chrun.runtime.steps import (
    Bind,
    Chroot,
    File,
    Link,
    Mask,
    Mount,
    Node,
    Propagation,
    Root,
    Terminal,
    WorkingDirectory,
)
from tests.support.box import INIT, PATH, Box, run_init, start_init
from tests.support.needs import needs

pytestmark = needs("busybox", "overlay")


@pytest.fixture
def hostile(tmp_path, busybox_dir):
    """A box whose top layer a test fills as an attacker would: (box, layer)."""
    layer = tmp_path / "hostile"
    layer.mkdir()
    return Box(tmp_path, layer, busybox_dir), layer


@pytest.fixture
def secret(tmp_path):
    """A directory of the host's that nothing may reach, with a file in it."""
    directory = tmp_path / "host"
    directory.mkdir()
    (directory / "secret").write_text("the host's")
    return directory


@pytest.mark.parametrize("name", ["proc", "dev"])
def test_an_image_cannot_have_system_mounts_elsewhere(hostile, name):
    # CVE-2019-19921, CVE-2023-27561, CVE-2026-41579
    box, layer = hostile
    (layer / name).symlink_to("/etc")
    done = box.run("true")
    assert done.returncode == 125
    assert f"on /{name}: " in done.stderr


def test_an_image_cannot_have_pts_elsewhere(hostile):
    box, layer = hostile
    (layer / "sys").symlink_to("../../../../../../sys")
    done = box.run("true", inside=[Mount("tmpfs", "/sys/fs", 0, "")])
    assert done.returncode == 125


def test_a_link_to_the_host_leads_to_the_images_own_path(hostile, secret, tmp_path):
    # CVE-2025-24965: /etc/hosts in the image is a link to a file of the host's
    box, layer = hostile
    (layer / "etc").mkdir()
    (layer / "etc" / "hosts").symlink_to(secret / "secret")
    text = File("/etc/hosts", 0o644, b"ours", False, False, "")
    assert box.sh(f"cat {secret}/secret", inside=[text]) == "ours"
    assert (secret / "secret").read_text() == "the host's"


@pytest.mark.parametrize("link", ["../" * 30, "/", "a/../../../.."])
def test_a_volumes_target_stays_inside_whatever_its_links_say(hostile, secret, tmp_path, link):
    box, layer = hostile
    (layer / "a").mkdir()
    (layer / "out").symlink_to(f"{link}{secret}")
    volume = tmp_path / "volume"
    volume.mkdir()
    box.sh(f"touch {secret}/new/here", inside=[Bind(str(volume), "/out/new", True, 0)])
    assert os.listdir(secret) == ["secret"]
    assert os.listdir(volume) == ["here"]


@pytest.mark.parametrize("link", ["/", "..", "a/.."])
def test_no_link_has_a_volume_hide_the_root(hostile, tmp_path, link):
    # Rules and requirements for its path would be about the whole root
    box, layer = hostile
    (layer / "a").mkdir()
    (layer / "data").symlink_to(link)
    for inside in (Bind(str(tmp_path), "/data", True, 0), Mount("tmpfs", "/data", 0, "", (), True)):
        assert box.run("true", inside=[inside]).returncode == 125


def test_links_in_a_circle_are_an_error_and_not_a_loop(hostile):
    box, layer = hostile
    (layer / "a").symlink_to("b")
    (layer / "b").symlink_to("a")
    for inside in (Bind("/", "/a/new", True, 0), Mask("/a")):
        assert box.run("true", inside=[inside]).returncode == 125


@pytest.mark.parametrize("number", range(12))
def test_no_descriptor_is_a_working_directory_on_the_host(hostile, number):
    # CVE-2024-21626
    box, layer = hostile
    (layer / "x").symlink_to(f"/proc/self/fd/{number}")
    for target in (f"/proc/self/fd/{number}", "/x"):
        host = os.open("/", os.O_RDONLY)
        try:
            done = run_init(
                box.plan("pwd", after=[WorkingDirectory(target)]), fds=(host,), stdin=host
            )
        finally:
            os.close(host)
        assert done.returncode == 125
        assert done.stdout == ""


@needs("root")
@pytest.mark.parametrize("number", range(3))
def test_no_descriptor_is_a_way_out_of_a_plain_chroot(busybox_dir, tmp_path, number):
    command = Exec(("pwd",), (PATH,), False)
    steps = (
        Propagation(),
        Root(str(busybox_dir), False),
        Mount("proc", "/proc", 0, ""),
        Chroot(),
        WorkingDirectory(f"/proc/self/fd/{number}"),
    )
    host = os.open("/", os.O_RDONLY)
    try:
        done = run_init(Plan(Clone(("mount",)), steps, command), stdin=host)
    finally:
        os.close(host)
    assert (done.returncode, done.stdout) == (125, "")


def test_nothing_is_open_in_the_container_but_stdio(box, tmp_path):
    fds = [os.open(tmp_path, os.O_RDONLY) for _ in range(20)]
    lock = os.open(tmp_path, os.O_RDONLY)
    reader, writer = os.pipe()
    try:
        done = run_init(
            box.plan("sh", "-c", "ls /proc/1/fd; :"),
            f"hold={lock}",
            f"lifeline={reader}",
            fds=(*fds, lock, reader),
        )
    finally:
        for each in (*fds, lock, reader, writer):
            os.close(each)
    assert done.stdout == "0\n1\n2\n"


def test_what_the_caller_gave_the_number_of_a_stream_is_no_stream_inside(box, tmp_path):
    show = box.plan("sh", "-c", "readlink /proc/self/fd/0; ls /proc/self/fd/0/")
    hold_fd = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        done = run_init(show, "hold=0", stdin=hold_fd)
    finally:
        os.close(hold_fd)
    assert done.stdout == "/dev/null\n"
    assert "Not a directory" in done.stderr


def test_nothing_is_open_in_an_init_but_stdio(box):
    done = box.run("ls", "/proc/1/fd", init=True)
    assert done.stdout == "0\n1\n2\n"


@pytest.mark.parametrize("points_to", ["zero", "/etc/passwd", "/proc/sys/kernel/core_pattern"])
def test_the_source_of_masks_must_not_be_a_link(box, points_to):
    # CVE-2025-31133: a neighbour turns /dev/null into a link while masks are made from it
    mounts = [Mount("tmpfs", "/dev", 0, "mode=755"), Link(points_to, "/dev/null")]
    plan = Plan(box.plan().clone, (*box.build(), *mounts, Mask("/etc/passwd")))
    done = run_init(plan)
    assert done.returncode == 125
    assert done.stderr.startswith("chrun: cannot hide /etc/passwd: ")


@needs("root")
def test_another_device_in_the_place_of_null_is_refused(box):
    mounts = [Mount("tmpfs", "/dev", 0, "mode=755"), Node("/dev/null", 0o666, 1, 5)]
    plan = Plan(box.plan().clone, (*box.build(), *mounts, Mask("/etc/passwd")))
    done = run_init(plan)
    assert done.stderr == "chrun: cannot hide /etc/passwd: no such device\n"


def test_a_terminal_is_only_taken_from_a_devpts(box):
    # CVE-2025-52565
    devices = [step for step in box.system() if getattr(step, "target", "") != "/dev/pts"]
    fake = [Mount("tmpfs", "/dev/pts", 0, ""), File("/dev/pts/ptmx", 0o666, b"", False, False, "")]
    plan = Plan(box.plan().clone, (*box.build(), *devices, *fake, Terminal()))
    done = run_init(plan)
    assert done.stderr == "chrun: cannot open a terminal in /dev/pts: no such device\n"


def test_a_link_in_the_place_of_the_console_is_not_followed(hostile):
    box, _layer = hostile
    inside = [Link("/etc/passwd", "/dev/console"), Terminal()]
    assert box.run("true", inside=inside).returncode == 125


def open_from_inside(box, sealed_fd):
    """Run from a descriptor; give one of it, for reading, that was opened inside.

    A container can send its descriptors to another one, which outlives it: nothing runs from the
    program then any more, and that alone would keep it from being written.
    """
    script = "exec 9</proc/$PPID/exe; echo $$; read -r end"
    plan = box.plan("sh", "-c", script, init=True, leave_out=["pid"])
    executable = f"/proc/self/fd/{sealed_fd}"
    with start_init(plan, fds=(sealed_fd,), executable=executable, stdin=-1) as process:
        inside = process.stdout.readline().strip()
        got_fd = os.open(f"/proc/{inside}/fd/9", os.O_RDONLY)
        process.communicate("end\n", timeout=20)
    assert process.returncode == 0
    return got_fd


@needs("root")  # in the machine's pid namespace nobody else may mount a /proc
def test_the_program_cannot_be_overwritten_from_inside(box):
    # CVE-2019-5736
    program = Path(INIT).read_bytes()
    sealed_fd = open_sealed("chrun-init", program)
    got_fd = open_from_inside(box, sealed_fd)
    with open(f"/proc/self/fd/{got_fd}", "r+b", buffering=0) as again:
        with pytest.raises(PermissionError):
            again.write(b"PWNED")
        with pytest.raises(PermissionError):
            again.truncate(0)
        assert again.read() == program
    os.close(got_fd)
    os.close(sealed_fd)


def test_the_callers_terminal_cannot_be_typed_into(box):
    # TIOCSTI (CVE-2017-5226) needs the controlling terminal: session 1 has none
    assert box.sh("cut -d' ' -f6,7 /proc/1/stat") == "1 0\n"


def test_a_command_that_is_chruns_own_program_has_no_plan_to_carry_out(hostile):
    box, layer = hostile
    (layer / "evil").symlink_to("/proc/self/exe")
    done = box.run("/evil", "plan=0")
    assert done.returncode in {125, 127}  # 127: the sanitized program wants libraries
    assert done.stdout == ""
