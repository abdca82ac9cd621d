"""Subordinate ids that an ordinary user was given and cannot use where chrun is run: one id is
mapped, and the reason told; no answer that was kept elsewhere is believed.
"""

from __future__ import annotations

import os
import subprocess

import pytest

from tests.support.chrun import Chrun
from tests.support.hosts import TELL, Host, Nested, assert_runs, make_rootfs
from tests.support.needs import needs

pytestmark = needs("busybox", "overlay", "userns", "subordinate ids")

MAPS = ("cat", "/proc/self/uid_map")


@pytest.fixture(scope="module")
def rootfs(tmp_path_factory):
    return make_rootfs(tmp_path_factory.mktemp("rootfs") / "busybox")


@pytest.fixture
def fresh(tmp_path):
    """The command with a store of its own."""
    return Chrun(tmp_path / "data")


def test_ids_without_the_programs_are_told_with_their_package(tmp_path, rootfs):
    hidden = "for name in newuidmap newgidmap; do mount --bind /dev/null $(command -v $name); done"
    assert_runs(
        Host(hidden).run(tmp_path, "run", rootfs, *TELL),
        "chrun: only one id is mapped: newuidmap and newgidmap are not installed; "
        "ask for: apt install uidmap (or the package shadow-utils of other systems)\n",
    )


def test_what_is_kept_for_one_user_is_not_believed_by_another(fresh, rootfs):
    """Root of a user namespace has the user's data directory and none of the user's ids."""
    own, _others = fresh("run", rootfs, *MAPS).stdout.splitlines()
    assert own.split() == ["0", str(os.getuid()), "1"]
    done = Nested("true").run(fresh.home.parent, "run", rootfs, *MAPS)
    assert (done.stdout.split(), done.stderr) == (["0", "0", "1"], "")
    assert len(fresh("run", rootfs, *MAPS).stdout.splitlines()) == 2


def test_where_setuid_has_no_effect_one_id_is_mapped_and_the_reason_told(fresh, box):
    fresh("run", "-q", box, "true")  # keeps the answer that it works
    command = ["setpriv", "--no-new-privs", *fresh.command("run", box, *MAPS)]
    done = subprocess.run(command, capture_output=True, text=True, env=fresh.env, check=True)
    assert done.stdout.split() == ["0", str(os.getuid()), "1"]
    assert "only one id is mapped: " in done.stderr
    assert "no_new_privs" in done.stderr
    assert len(fresh("run", "-q", box, *MAPS).stdout.splitlines()) == 2
