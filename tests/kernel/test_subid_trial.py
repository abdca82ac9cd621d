"""Trying whether the programs that map subordinate ids work, by running them."""

from __future__ import annotations

import pytest

from chrun.engine import subid_trial, subordinate
from chrun.store.store import open_store
from tests.support.needs import needs


@pytest.fixture
def layout(tmp_path):
    return open_store(str(tmp_path / "data"), create=True).layout


@pytest.fixture
def files(tmp_path, monkeypatch):
    """Files in the place of /etc/subuid and /etc/subgid."""
    for name in ("SUBUID_PATH", "SUBGID_PATH"):
        path = tmp_path / name
        for module in (subordinate, subid_trial):
            monkeypatch.setattr(module, name, str(path))
    return tmp_path / "SUBUID_PATH", tmp_path / "SUBGID_PATH"


@needs("userns")
def test_programs_that_fail_are_told_with_what_they_say(layout, files, monkeypatch, tmp_path):
    monkeypatch.setattr(subid_trial, "login_name", lambda: "alice")
    monkeypatch.setenv("PATH", str(tmp_path))
    for path in files:
        path.write_text("alice:100000:65536\n")
    for name in ("newuidmap", "newgidmap"):
        (tmp_path / name).write_text("#!/bin/sh\necho 'write to uid_map failed' >&2\nexit 1\n")
        (tmp_path / name).chmod(0o755)
    found = subid_trial.ask(layout)
    assert found.why == "write to uid_map failed"
    assert "setuid bit" in found.hint
