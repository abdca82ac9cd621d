"""The rungs of --isolation, seen from inside: what each one shuts out."""

from __future__ import annotations

from pathlib import Path

import pytest

from chrun.linux import caps
from tests.support.needs import needs

pytestmark = needs("busybox", "overlay")
PODMANS_CAPABILITIES = 0x800405FB  # the 11 that its documentation lists


def status_of(chrun, box, *options):
    """Give the lines of /proc/self/status inside, as a dictionary."""
    shown = chrun("run", *options, box, "cat", "/proc/self/status").stdout
    return dict(line.split(":\t", 1) for line in shown.splitlines())


def test_confined_leaves_the_capabilities_of_podmans_default_and_no_way_to_more(chrun, box):
    status = status_of(chrun, box)
    assert int(status["CapBnd"], 16) == PODMANS_CAPABILITIES
    assert int(status["CapEff"], 16) == PODMANS_CAPABILITIES
    assert int(status["CapAmb"], 16) == 0
    assert status["NoNewPrivs"] == "1"
    assert not caps.has(int(status["CapBnd"], 16), "CAP_SYS_ADMIN")


def test_confined_leaves_another_user_no_capability_to_use(chrun, box):
    status = status_of(chrun, box, "-u", "1234")
    assert int(status["CapEff"], 16) == int(status["CapPrm"], 16) == 0
    assert status["NoNewPrivs"] == "1"


def test_confined_hides_what_tells_of_the_whole_machine(chrun, box):
    there = [name for name in ("kcore", "keys", "interrupts") if Path("/proc", name).exists()]
    for name in there:
        assert chrun("run", box, "cat", f"/proc/{name}").stdout == "", name
    shown = chrun("run", "--isolation", "namespaces", box, "cat", "/proc/interrupts").stdout
    assert "CPU0" in shown  # so that an empty file is not the kernel's doing


def test_confined_locks_what_would_change_the_machine(chrun, box):
    names = ("sys/kernel/hostname", "sys/vm/drop_caches", "sysrq-trigger")
    for name in (name for name in names if Path("/proc", name).exists()):
        done = chrun("run", box, "sh", "-c", f": > /proc/{name}", status=1)
        assert "Read-only file system" in done.stderr


def test_confined_takes_no_mount_and_no_new_root(chrun, box):
    for words in (["mount", "-t", "tmpfs", "x", "/tmp"], ["umount", "/proc/sys"],
                  ["mount", "-o", "remount,rw", "/proc/sys"]):  # fmt: skip
        done = chrun("run", box, *words, status=None)
        assert done.returncode != 0
        assert "not permitted" in done.stderr or "denied" in done.stderr, done.stderr


def test_namespaces_alone_shut_out_the_processes_and_no_more(chrun, box):
    status = status_of(chrun, box, "--isolation", "namespaces")
    assert status["Pid"] == "1"
    assert caps.has(int(status["CapEff"], 16), "CAP_SYS_ADMIN")
    done = chrun("run", "--isolation", "namespaces", box, "mount", "-t", "tmpfs", "x", "/tmp")
    assert done.stderr == ""


def test_the_resolver_inside_is_the_hosts(chrun, box):
    inside = chrun("run", box, "cat", "/etc/resolv.conf").stdout
    assert inside == Path("/etc/resolv.conf").read_text()


@needs("root")
def test_chroot_changes_the_root_and_nothing_else(chrun, box):
    mounts = Path("/proc/self/mounts").read_text()
    script = "echo $$; ls -d /etc/passwd /bin/sh; echo x > /made; exit 7"
    done = chrun("run", "--isolation", "chroot", box, "sh", "-c", script, status=7)
    pid, *seen = done.stdout.split()
    assert pid != "1"  # among the host's processes
    assert seen == ["/bin/sh", "/etc/passwd"]
    assert Path("/proc/self/mounts").read_text() == mounts
    assert not Path("/made").exists()
    assert chrun.leftovers() == []


@needs("root")
def test_chroot_leaves_the_images_files_as_they_are(chrun, box):
    chrun("run", "--isolation", "chroot", box, "sh", "-c", "rm /etc/passwd; echo x > /etc/group")
    done = chrun("run", "--isolation", "chroot", box, "sh", "-c", "cat /etc/passwd /etc/group")
    assert "root:x:0:0" in done.stdout


@needs("root")
@pytest.mark.parametrize(
    "options", [("--rootfs", "overlay"), ("--hostname", "x"), ("--tmpfs", "/x"), ("--read-only",)]
)
def test_chroot_refuses_what_needs_a_mount_or_a_namespace(chrun, box, options):
    done = chrun("run", "--isolation", "chroot", *options, box, "true", status=125)
    assert options[0] in done.stderr
