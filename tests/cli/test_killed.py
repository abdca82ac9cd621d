"""kill -9 at any moment of a run: the next command finds a sound store, and leaves one."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.support.needs import needs

pytestmark = needs("busybox", "overlay")
_LONGEST_START_SECONDS = 0.12
_MARK = "CHRUN_TEST_KILLED"


@pytest.mark.parametrize("seed", range(30))
def test_a_run_killed_at_a_random_moment_leaves_nothing(chrun, box, seed):
    delay = random.Random(seed).uniform(0, _LONGEST_START_SECONDS)
    mark = f"{_MARK}={os.getpid()}-{seed}"
    running = subprocess.Popen(
        chrun.command("run", "-q", "-e", mark, box, "sh", "-c", "echo x > /f; sleep 1000"),
        env=chrun.env,
        stdin=subprocess.DEVNULL,
    )
    time.sleep(delay)
    running.send_signal(signal.SIGKILL)
    running.wait()
    deadline = time.monotonic() + 5
    while processes_with(mark) and time.monotonic() < deadline:
        time.sleep(0.01)  # the kernel takes the container's processes down behind its monitor
    assert processes_with(mark) == []
    assert chrun("run", box, "cat", "/etc/hostname").stdout
    assert chrun.leftovers() == []
    assert str(chrun.home) not in Path("/proc/self/mounts").read_text()


def processes_with(mark):
    """Give the processes that have a variable in their environment."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                environment = (entry / "environ").read_bytes()
            except OSError:  # it ended, or is somebody else's
                continue
            if mark.encode() in environment.split(b"\0"):
                found.append(entry.name)
    return found
