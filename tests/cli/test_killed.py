"""kill -9 at any moment of a run: the next command finds a sound store, and leaves one."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from pathlib import Path

from tests.support.needs import needs
from tests.support.waiting import processes_with, wait_until

pytestmark = needs("busybox", "overlay")
_MARK = "CHRUN_TEST_KILLED"
_KILLS = 30
_SCRIPT = "echo x > /f; echo up; sleep 1000"


def test_a_run_killed_at_a_random_moment_leaves_nothing(chrun, box):
    window = 2 * max(seconds_to_start(chrun, box) for _ in range(3))
    phases = [
        phase_of_kill(chrun, box, seed, window * (seed + random.Random(seed).random()) / _KILLS)
        for seed in range(_KILLS)
    ]
    for seed in range(_KILLS, 2 * _KILLS):
        if "in its command" in phases:
            break
        window *= 2  # this machine has become busier
        phases.append(phase_of_kill(chrun, box, seed, window))
    # kills that all fall into one phase would show nothing of the others
    assert "before its directory" in phases, phases
    assert "in its command" in phases, phases


def seconds_to_start(chrun, box):
    """Measure how long a command takes to run its first words here and now."""
    began = time.monotonic()
    with chrun.start("run", "-q", box, "sh", "-c", _SCRIPT) as running:
        assert running.stdout.readline() == "up\n"
        return time.monotonic() - began


def phase_of_kill(chrun, box, seed, delay):
    """Kill a run, check that the next one finds and leaves all in order; say what was reached."""
    mark = f"{_MARK}={os.getpid()}-{seed}"
    command = ("run", "-q", "-e", mark, box, "sh", "-c", _SCRIPT)
    with chrun.start(*command, stdin=subprocess.DEVNULL) as running:
        time.sleep(delay)
        running.send_signal(signal.SIGKILL)
        running.wait()
    # the kernel takes the container's processes down behind its monitor
    wait_until(lambda: processes_with(mark) == [])
    phase = phase_of(chrun)
    assert chrun("run", box, "cat", "/etc/hostname").stdout
    assert chrun.leftovers() == [], (seed, delay, phase)
    assert str(chrun.home) not in Path("/proc/self/mounts").read_text()
    return phase


def phase_of(chrun):
    """Say how far the killed run got, by what lies in the store."""
    left = list((chrun.home / "containers").iterdir())
    if not left:
        return "before its directory"
    return "in its command" if (left[0] / "upper" / "f").exists() else "before its command"
