"""Ranges of ids for root's containers: whose they are, and when they are free again."""

from __future__ import annotations

import os

import pytest

from chrun.engine import ranges
from chrun.engine.ranges import RangeClaim
from chrun.errors import StoreError, UnsupportedError
from chrun.oci.spec import IdMapping
from chrun.store.containers import create_container, remove_container
from chrun.store.store import open_store


@pytest.fixture
def layout(tmp_path):
    return open_store(str(tmp_path / "data"), create=True).layout


@pytest.fixture
def three(monkeypatch):
    """Three ranges, and no more."""
    monkeypatch.setattr(ranges, "_candidates", lambda: iter(((100, 1), (200, 2), (300, 3))))


def claim(directory, container=None):
    with RangeClaim(str(directory)) as claimed:
        if container:
            claimed.record(container.directory)
        return claimed.maps.uids[0].host_id


def test_a_range_is_taken_while_its_container_lives(layout, three, tmp_path):
    made = [create_container(layout, "") for _ in range(3)]
    taken = [claim(tmp_path / "r", container) for container in made]
    assert taken == [100, 200, 300]
    with pytest.raises(UnsupportedError, match="all are taken"):
        claim(tmp_path / "r")
    remove_container(layout, made[1])
    assert claim(tmp_path / "r") == 200
    assert sorted(os.listdir(tmp_path / "r")) == ["100-1", "300-3"]


def test_a_range_that_was_not_recorded_stays_free(layout, three, tmp_path):
    assert claim(tmp_path / "r") == claim(tmp_path / "r") == 100


def test_who_died_without_a_word_gives_the_range_back(layout, three, tmp_path):
    container = create_container(layout, "")
    assert claim(tmp_path / "r", container) == 100
    os.close(container.lock_fd)
    assert claim(tmp_path / "r") == 100


def test_a_kept_container_keeps_its_range(layout, three, tmp_path):
    container = create_container(layout, "", keep=True)
    assert claim(tmp_path / "r", container) == 100
    os.close(container.lock_fd)
    assert claim(tmp_path / "r") == 200


def test_a_range_maps_65536_users_and_groups(three, tmp_path):
    with RangeClaim(str(tmp_path / "r")) as claimed:
        assert claimed.maps.uids == (IdMapping(0, 100, 65536),)
        assert claimed.maps.gids == (IdMapping(0, 1, 65536),)


def test_what_is_given_to_containers_is_used_before_what_is_nobodys(tmp_path, monkeypatch):
    for name, path in (("SUBUID_PATH", "u"), ("SUBGID_PATH", "g")):
        (tmp_path / path).write_text(f"containers:{2000000 if path == 'u' else 3000000}:131072\n")
        monkeypatch.setattr(ranges, name, str(tmp_path / path))
    assert list(ranges._candidates()) == [(2000000, 3000000), (2065536, 3065536)]


def test_a_directory_that_cannot_be_made_is_an_error(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="which ids are taken"):
        RangeClaim(str(tmp_path / "file/r"))
