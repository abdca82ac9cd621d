"""Attacks on the gate: a command that would notice that it is looked at, or get past it."""

from __future__ import annotations

import os

import pytest

from tests.support.needs import needs

pytestmark = needs("busybox", "overlay")


@pytest.mark.parametrize("init", [(), ("--init",)], ids=["alone", "behind PID 1"])
def test_the_gate_and_its_inspector_leave_no_descriptor_inside(chrun, box, tmp_path, init):
    """CVE-2024-21626: what is open when the command starts is open for it."""
    options = ("--receipt", str(tmp_path / "receipt.json"), "--require", "fds")
    script = "ls /proc/self/fd; ls -l /proc/[0-9]*/fd | grep -c socket"
    done = chrun("run", *init, *options, box, "sh", "-c", script, status=1)
    assert done.stdout.split() == ["0", "1", "2", "3", "0"]  # 3 is the listing's own


@pytest.mark.parametrize("init", [(), ("--init",)], ids=["alone", "behind PID 1"])
def test_a_command_cannot_see_that_it_was_looked_at(chrun, box, tmp_path, init):
    """No tracer, no stop, no signal and no second of processor time that others have not."""
    script = "cat /proc/self/status; cat /proc/self/wchan; ls /proc"
    plain = chrun("run", *init, box, "sh", "-c", script).stdout
    options = ("--receipt", str(tmp_path / "receipt.json"))
    seen = chrun("run", *init, *options, box, "sh", "-c", script).stdout
    keys = ("TracerPid", "SigPnd", "ShdPnd", "SigBlk", "SigIgn", "SigCgt", "NSpid", "Seccomp")
    of_interest = [
        [line for line in text.splitlines() if line.startswith(keys) or line.isdigit()]
        for text in (plain, seen)
    ]
    assert of_interest[0] == of_interest[1]
    assert "TracerPid:\t0" in of_interest[1]


def test_a_container_cannot_open_its_gate_itself(chrun, box, tmp_path):
    """Nothing of it has run when the answer comes: an interpreter or loader of its own neither."""
    made = tmp_path / "out"
    made.mkdir()
    script = tmp_path / "script"
    script.write_text("#!/bin/touch /out/interpreted\n")
    script.chmod(0o755)
    chrun("run", "-v", f"{made}:/out", "-v", f"{script}:/script:ro", "--require", "net=none",
          box, "/script", status=125)  # fmt: skip
    assert os.listdir(made) == []
