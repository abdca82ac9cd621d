"""An ordinary user under systemd: in a session, where no cgroup is theirs to change."""

from __future__ import annotations

import os
from pathlib import Path

from tests.support.needs import needs

pytestmark = needs("systemd", "ordinary user")


def test_nobody_but_root_may_change_the_session():
    group = Path("/proc/self/cgroup").read_text().strip().removeprefix("0::")
    assert not os.access(f"/sys/fs/cgroup{group}/cgroup.procs", os.W_OK)


def test_without_a_way_to_the_users_systemd_a_limit_is_an_error_that_says_how(chrun, box):
    nowhere = {
        "XDG_RUNTIME_DIR": "/nonexistent",
        "DBUS_SESSION_BUS_ADDRESS": "unix:path=/nonexistent",
    }
    done = chrun("run", "--memory", "64m", box, "true", status=125, **nowhere)
    said, hint = done.stderr.splitlines()
    assert said.startswith("chrun: cannot ")
    assert "XDG_RUNTIME_DIR" in hint
