"""chrun-init, as what runs in a container sees it: its file and its memory."""

from __future__ import annotations

import base64
import errno
import os

import pytest

import chrun as api
from tests.support.box import run_init
from tests.support.filters import without_call
from tests.support.needs import needs

pytestmark = needs("busybox", "overlay")

EXE = "/proc/1/exe"
UNCONFINED = ("--security-opt", "seccomp=unconfined")
# All of PID 1's memory that can be read, and what /proc tells of it without a look into that
READ_MEMORY = """
while read -r range access rest; do
    case $access in r*) ;; *) continue ;; esac
    start=$((0x${range%-*} / 4096)) end=$((0x${range#*-} / 4096))
    dd if=/proc/1/mem bs=4096 skip=$start count=$((end - start)) 2>/dev/null
done </proc/1/maps >/tmp/memory
cat /proc/1/maps /proc/1/cmdline /proc/1/environ /proc/1/comm >>/tmp/memory
readlink /proc/1/exe >>/tmp/memory
base64 /tmp/memory
"""


@pytest.mark.parametrize("mode", [b"0", b"6111", b"6777"])
def test_one_container_changes_the_program_of_no_other(tmp_path, calls_dir, mode):
    """CVE-2019-5736: the seals keep its content, but neither mode, owner nor times."""

    def run(script):
        command = ["sh", "-c", script]
        root = tmp_path / "data"
        return api.run(str(calls_dir), command, root=root, init=True, capture_output=True).stdout

    change = f"chown 1:1 {EXE}; chmod {mode.decode()} {EXE}; touch -d 1980-01-01 {EXE}"
    assert run(f"{change}; stat -Lc %a {EXE}").split() == [mode]
    seen_mode, owner, seconds = run(f"stat -Lc '%a %u:%g %Y' {EXE}").split()
    assert (seen_mode, owner) == (b"777", b"0:0")
    assert int(seconds) > 1_000_000_000


@pytest.fixture
def volume(tmp_path):
    directory = tmp_path / "a-volume-of-the-host"
    directory.mkdir()
    return directory


def told_by(output, chrun, volume):
    """Return what the memory of PID 1 tells of where container, store and volume are."""
    memory = base64.b64decode(output)
    assert b"chrun-init" in memory
    assert len(memory) > 64 * 1024
    names = (chrun.home, chrun.home.parent, chrun.home.name + "/containers", volume, volume.name)
    return [name for name in map(os.fsencode, names) if name in memory]


@pytest.mark.parametrize(
    "flags",
    [(), UNCONFINED, (*UNCONFINED, "--cap-add", "SYS_PTRACE"), ("--timeout", "60s")],
    ids=["default", "unconfined", "tracer", "timed"],
)
def test_the_memory_of_pid_1_tells_nothing_of_the_host(chrun, box, volume, flags):
    words = ("--init", *flags, "--tmpfs", "/tmp", "-v", f"{volume}:/data", box)
    output = chrun("run", *words, "sh", "-c", READ_MEMORY).stdout
    assert told_by(output, chrun, volume) == []


def test_the_memory_of_pid_1_tells_nothing_of_the_hosts_mounts(chrun, box, volume, monkeypatch):
    """Before Linux 5.12 chrun-init reads the list of them, for volumes that are read-only."""
    monkeypatch.setenv("CHRUN_HOME", str(chrun.home))
    words = ("--init", "--tmpfs", "/tmp", "-v", f"{volume}:/data:ro", box)
    command = chrun.command("run", *words, "sh", "-c", READ_MEMORY)
    done = run_init(without_call("mount_setattr", errno.ENOSYS, command))
    assert told_by(done.stdout, chrun, volume) == []


def test_reaper_and_monitor_are_out_of_reach_where_they_can_be_seen(chrun, box):
    """With the host's pids they, who know the host's paths, are the command's parents."""
    script = """
        for pid in $PPID $(awk '/^PPid/ {print $2}' /proc/$PPID/status); do
            cd /proc/$pid; cat comm; cat mem environ maps; ls root/ cwd/ fd/0/; readlink exe
        done
    """
    done = chrun("run", "--pid", "host", box, "sh", "-c", script, status=None)
    assert len(done.stdout.splitlines()) == 2
    assert done.stderr.count("Permission denied") == 2 * 6
