"""Trying whether the programs that map subordinate ids work, by running them; keeping the answer.

The programs are a test's own, and count how often they are asked.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from chrun.engine import subid_trial
from chrun.engine.subordinate import find_subordinate
from chrun.oci.spec import IdMapping
from chrun.store.store import open_store
from tests.support.needs import needs

NAMES = ("newuidmap", "newgidmap")
# What root may write without help: newuidmap PID INSIDE OUTSIDE COUNT...
MAP = """
case $0 in *newuidmap) map=/proc/$1/uid_map ;; *) map=/proc/$1/gid_map ;; esac
shift
printf '%s %s %s\\n' "$@" > $map
"""
FAIL = "echo 'write to uid_map failed' >&2; exit 1"


@pytest.fixture
def layout(tmp_path):
    return open_store(str(tmp_path / "data"), create=True).layout


@pytest.fixture
def files(tmp_path):
    """The paths of files in the place of /etc/subuid and /etc/subgid, which give enough."""
    for name in ("subuid", "subgid"):
        (tmp_path / name).write_text(f"{os.geteuid()}:100000:65536\n")
    return str(tmp_path / "subuid"), str(tmp_path / "subgid")


@pytest.fixture
def programs(tmp_path, monkeypatch):
    """Give a function that puts programs that do something first in PATH."""
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:{os.environ['PATH']}")
    (tmp_path / "bin").mkdir()

    def install(script):
        for name in NAMES:
            path = tmp_path / "bin" / name
            path.write_text(f"#!/bin/sh\necho asked >> {tmp_path}/asked\n{script}\n")
            path.chmod(0o755)
        return tuple(f"{tmp_path}/bin/{name}" for name in NAMES)

    return install


@pytest.fixture
def count(tmp_path):
    """Give a function that says how often the programs were run since it was last asked."""
    asked = tmp_path / "asked"

    def since():
        lines = asked.read_text().splitlines() if asked.exists() else []
        asked.unlink(missing_ok=True)
        return len(lines)

    return since


@needs("userns")
def test_programs_that_fail_are_told_with_what_they_say(layout, files, programs):
    programs(FAIL)
    found = subid_trial.ask(layout, files)
    assert found.why == "write to uid_map failed"
    assert "setuid bit" in found.hint


@needs("userns")
def test_what_does_not_work_is_tried_each_time(layout, files, programs, count):
    programs(FAIL)
    for _ in range(2):
        assert find_subordinate(layout, files).why == "write to uid_map failed"
        assert count() > 0
    assert not os.path.exists(layout.subids_answer_path)


@needs("root")
def test_an_answer_is_kept_while_files_and_programs_are_the_same(layout, files, programs, count):
    paths = programs(MAP)
    found = find_subordinate(layout, files)
    assert (found.programs, count()) == (paths, 2)
    assert found.maps.uids == (IdMapping(0, 0, 1), IdMapping(1, 100000, 65536))
    assert find_subordinate(layout, files) == found
    assert count() == 0
    for changed in (*files, *paths):
        with Path(changed).open("a") as file:
            file.write("# changed\n")
        assert find_subordinate(layout, files) == find_subordinate(layout, files) == found
        assert count() == 2
