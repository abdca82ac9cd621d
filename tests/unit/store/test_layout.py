"""Where the data directory is."""

from __future__ import annotations

import pytest

from chrun.errors import StoreError
from chrun.oci.digest import Digest
from chrun.store.layout import Layout, default_root
from tests.support.needs import needs


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch):
    """Nothing says where data goes but who this is, and a home."""
    for name in ("CHRUN_HOME", "XDG_DATA_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", "/home/nobody")


def test_chrun_home_decides_for_everybody(monkeypatch):
    monkeypatch.setenv("CHRUN_HOME", "/data/../srv/chrun")
    assert default_root() == "/srv/chrun"


@needs("root")
def test_root_has_the_systems_directory(monkeypatch):
    monkeypatch.setenv("XDG_DATA_HOME", "/data")
    assert default_root() == "/var/lib/chrun"


@needs("ordinary user")
def test_a_user_has_one_below_home_or_where_xdg_says(monkeypatch):
    assert default_root() == "/home/nobody/.local/share/chrun"
    monkeypatch.setenv("XDG_DATA_HOME", "/data")
    assert default_root() == "/data/chrun"


@needs("ordinary user")
def test_a_relative_xdg_directory_is_ignored_as_its_specification_says(monkeypatch):
    monkeypatch.setenv("XDG_DATA_HOME", "data")
    assert default_root() == "/home/nobody/.local/share/chrun"


@needs("ordinary user")
def test_who_has_no_home_is_asked_for_a_directory(monkeypatch):
    monkeypatch.setenv("HOME", "nowhere")
    with pytest.raises(StoreError, match="has no home directory") as caught:
        default_root()
    assert "CHRUN_HOME" in caught.value.hint


def test_no_path_of_a_layer_has_a_colon_which_overlay_would_split_at():
    assert ":" not in Layout("/data").layer_dir(Digest("sha256", "0" * 64))
