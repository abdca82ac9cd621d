"""Ranges of ids for root's containers: whose they are, and when they are free again."""

from __future__ import annotations

import os
from grp import getgrall
from pathlib import Path
from pwd import getpwall

import pytest

from chrun.engine.ranges import RangeClaim
from chrun.errors import StoreError, UnsupportedError
from chrun.oci.spec import IdMapping
from chrun.store.containers import create_container, remove_container
from chrun.store.store import open_store
from tests.support.needs import needs


@pytest.fixture
def layout(tmp_path):
    return open_store(str(tmp_path / "data"), create=True).layout


@pytest.fixture
def given(tmp_path):
    """Files that give containers three ranges, and no more."""
    for name, first in (("subuid", 1 << 20), ("subgid", 1 << 21)):
        (tmp_path / name).write_text(f"other:1:65536\ncontainers:{first}:196608\n")
    return str(tmp_path / "subuid"), str(tmp_path / "subgid")


FIRST, SECOND, THIRD = (((1 << 20) + 65536 * n, (1 << 21) + 65536 * n) for n in range(3))


def claim(given, container=None):
    with RangeClaim(taken_dir(given), given) as claimed:
        if container:
            claimed.record(container.directory)
        return claimed.maps.uids[0].host_id, claimed.maps.gids[0].host_id


def taken_dir(given):
    return f"{os.path.dirname(given[0])}/taken"


def test_a_range_is_taken_while_its_container_lives(layout, given):
    made = [create_container(layout, "") for _ in range(3)]
    taken = [claim(given, container) for container in made]
    assert taken == [FIRST, SECOND, THIRD]
    with pytest.raises(UnsupportedError, match="all are taken"):
        claim(given)
    remove_container(layout, made[1])
    assert claim(given) == SECOND
    assert sorted(os.listdir(taken_dir(given))) == [f"{uid}-{gid}" for uid, gid in (FIRST, THIRD)]


def test_a_range_that_was_not_recorded_stays_free(layout, given):
    assert claim(given) == claim(given) == FIRST


def test_who_died_without_a_word_gives_the_range_back(layout, given):
    container = create_container(layout, "")
    assert claim(given, container) == FIRST
    os.close(container.lock_fd)
    assert claim(given) == FIRST


def test_a_kept_container_keeps_its_range(layout, given):
    container = create_container(layout, "", keep=True)
    assert claim(given, container) == FIRST
    os.close(container.lock_fd)
    assert claim(given) == SECOND


@pytest.mark.parametrize("changed", [0, 1], ids=["users", "groups"])
def test_no_id_is_given_twice_where_what_is_given_was_changed_meanwhile(layout, given, changed):
    taken = claim(given, create_container(layout, ""))[changed]
    first = taken + 65536 - 1  # one id is left of those that are taken
    Path(given[changed]).write_text(f"containers:{first}:131072\n")
    assert claim(given)[changed] == first + 65536


def test_a_range_maps_65536_users_and_groups(given):
    with RangeClaim(taken_dir(given), given) as claimed:
        assert claimed.maps.uids == (IdMapping(0, FIRST[0], 65536),)
        assert claimed.maps.gids == (IdMapping(0, FIRST[1], 65536),)


def test_where_nothing_is_given_to_containers_ids_are_used_that_are_nobodys(given):
    for path in given:
        Path(path).write_text("other:524288:65536\n")
    uid, gid = claim(given)
    assert uid == gid
    assert uid >= 524288 + 65536
    accounts = (*(user.pw_uid for user in getpwall()), *(group.gr_gid for group in getgrall()))
    assert not any(uid <= number < uid + 65536 for number in accounts)


def test_a_directory_that_cannot_be_made_is_an_error(tmp_path):
    (tmp_path / "file").touch()
    claimed = RangeClaim(str(tmp_path / "file/r"))
    with pytest.raises(StoreError, match="which ids are taken"), claimed:
        pass


@pytest.mark.parametrize("container_dir", ["{file}/x", "/nonexistent"])
def test_the_record_of_a_container_that_is_gone_is_forgotten(given, container_dir):
    assert claim(given) == FIRST  # which makes the directory
    record = Path(taken_dir(given), f"{FIRST[0]}-{FIRST[1]}")
    record.symlink_to(container_dir.format(file=given[0]))
    assert claim(given) == FIRST
    assert not record.is_symlink()


@pytest.mark.parametrize("name", ["notes", "1-x"])
def test_what_is_no_record_is_left_alone(given, name):
    assert claim(given) == FIRST
    Path(taken_dir(given), name).touch()
    assert claim(given) == FIRST
    assert Path(taken_dir(given), name).exists()


@needs("root")
def test_a_list_of_ids_that_another_user_could_replace_is_not_believed(given):
    """Such a user could have a container share the ids of another."""
    above = f"{os.path.dirname(given[0])}/above"
    before = os.umask(0)
    try:
        with RangeClaim(f"{above}/taken", given):
            pass
    finally:
        os.umask(before)
    for path in (above, f"{above}/taken"):
        assert os.stat(path).st_mode & 0o777 == 0o700
        os.chown(path, 1234, 1234)
        with (
            pytest.raises(StoreError, match=f"cannot use the list of ids {above}/taken: "),
            RangeClaim(f"{above}/taken", given),
        ):
            pass
        os.chown(path, 0, 0)
