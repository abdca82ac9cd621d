"""Where the data directory is."""

from __future__ import annotations

import os

import pytest

from chrun.errors import StoreError
from chrun.oci.digest import Digest
from chrun.store.layout import Layout, default_root


@pytest.fixture
def nobody(monkeypatch):
    """An ordinary user without any variable that says where data goes."""
    for name in ("CHRUN_HOME", "XDG_DATA_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", "/home/nobody")
    monkeypatch.setattr(os, "geteuid", lambda: 12345)


def test_chrun_home_decides_for_everybody(nobody, monkeypatch):
    monkeypatch.setenv("CHRUN_HOME", "/data/../srv/chrun")
    assert default_root() == "/srv/chrun"


def test_root_has_the_systems_directory(nobody, monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert default_root() == "/var/lib/chrun"


def test_a_user_has_one_below_home_or_where_xdg_says(nobody, monkeypatch):
    assert default_root() == "/home/nobody/.local/share/chrun"
    monkeypatch.setenv("XDG_DATA_HOME", "/data")
    assert default_root() == "/data/chrun"


def test_a_relative_xdg_directory_is_ignored_as_its_specification_says(nobody, monkeypatch):
    monkeypatch.setenv("XDG_DATA_HOME", "data")
    assert default_root() == "/home/nobody/.local/share/chrun"


def test_who_has_no_home_is_asked_for_a_directory(nobody, monkeypatch):
    monkeypatch.delenv("HOME")
    monkeypatch.setattr(os, "getuid", lambda: 4_000_000_000)
    with pytest.raises(StoreError, match="has no home directory") as caught:
        default_root()
    assert "CHRUN_HOME" in caught.value.hint


def test_no_path_of_a_layer_has_a_colon_which_overlay_would_split_at():
    assert ":" not in Layout("/data").layer_dir(Digest("sha256", "0" * 64))
