"""The sealed program and the sealed plan."""

from __future__ import annotations

import os
import stat
import subprocess
import sys

import pytest

from chrun.runtime.launch import open_plan, open_sealed
from tests.support.needs import needs

_SWITCH = "/proc/sys/vm/memfd_noexec"  # since Linux 6.3
_OPEN = (
    "import os; from chrun.runtime.launch import open_init; "
    "print(os.access(f'/proc/self/fd/{open_init()}', os.X_OK))"
)


def open_where(noexec):
    """Open chrun-init in a PID namespace whose administrator forbids executable memfds so far."""
    script = f'echo {noexec} > {_SWITCH} && exec "$@"'
    return subprocess.run(
        ["unshare", "--pid", "--fork", "--mount-proc", "sh", "-c", script, "sh", sys.executable,
         "-c", _OPEN],
        capture_output=True,
        text=True,
    )  # fmt: skip


def test_what_is_sealed_keeps_its_content():
    sealed_fd = open_sealed("test", b"content")
    with open(sealed_fd, "r+b", buffering=0) as file:
        assert file.read() == b""
        assert os.pread(sealed_fd, 9, 0) == b"content"
        with pytest.raises(PermissionError):
            os.pwrite(sealed_fd, b"C", 0)


@needs("memfd_noexec")
def test_a_plan_is_nothing_to_execute():
    with open(open_plan(b"plan"), "rb") as file:
        assert stat.S_IMODE(os.fstat(file.fileno()).st_mode) & 0o111 == 0


@needs("root", "memfd_noexec")
def test_chrun_init_is_executable_where_memfds_are_not_unless_told():
    done = open_where(noexec=1)
    assert (done.stdout, done.stderr) == ("True\n", "")


@needs("root", "memfd_noexec")
def test_a_system_that_forbids_executable_memfds_is_told_with_the_way_out():
    told = open_where(noexec=2).stderr
    assert "SandboxError: cannot run chrun-init from memory: permission denied\n" in told
    assert told.endswith("vm.memfd_noexec=1, or a security policy that allows it\n")
