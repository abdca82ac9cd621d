"""Volumes in the store: made whole, found, locked, filled once."""

from __future__ import annotations

import os

import pytest

from chrun.errors import NoSuchVolumeError, StoreError, UsageError
from chrun.store.volumes import (
    adopt_content,
    check_volume_name,
    create_volume,
    has_volume,
    hold_volume,
    list_volumes,
    load_volume,
    remove_volume,
    stage_content,
)


def test_a_volume_is_made_once_and_keeps_its_labels(layout):
    assert create_volume(layout, "v", {"a": "b"}, time="2026-01-02T03:04:05Z") == "v"
    assert create_volume(layout, "v", {"other": "label"}) == "v"
    volume = load_volume(layout, "v")
    assert (volume.labels, volume.created) == ((("a", "b"),), "2026-01-02T03:04:05Z")
    assert os.stat(volume.data_dir).st_mode & 0o777 == 0o755
    assert os.listdir(layout.partial_dir) == []


def test_a_volume_without_a_name_gets_one_that_says_so(layout):
    name = create_volume(layout)
    assert len(name) == 64
    assert load_volume(layout, name).anonymous


@pytest.mark.parametrize("name", ["", ".", "..", "../x", "a/b", "-x", "a b", "a\n", "x" * 256, "ä"])
def test_what_could_lead_elsewhere_is_no_name(layout, name):
    with pytest.raises(UsageError):
        check_volume_name(name)


def test_there_are_no_volumes_until_one_is_made(layout):
    assert list_volumes(layout) == ()
    assert not has_volume(layout, "v")
    with pytest.raises(NoSuchVolumeError):
        load_volume(layout, "v")


def test_a_damaged_description_costs_no_volume(layout):
    create_volume(layout, "v")
    for text in ("", "[]", "{}", '{"created": 1}', "\xff"):
        with open(f"{layout.volume_dir('v')}/volume.json", "w", encoding="latin-1") as file:
            file.write(text)
        assert [volume.name for volume in list_volumes(layout)] == ["v"]


def test_only_an_empty_volume_that_nobody_uses_is_for_filling(layout):
    create_volume(layout, "v")
    first, alone = hold_volume(layout, "v")
    assert alone
    first.share()
    second, alone = hold_volume(layout, "v")
    assert not alone
    first.release()
    second.release()
    with open(f"{layout.volume_data_dir('v')}/file", "w", encoding="ascii"):
        held, alone = hold_volume(layout, "v")
    assert not alone
    held.release()


def test_a_volume_without_content_is_an_error_that_keeps_no_lock(layout):
    create_volume(layout, "v")
    os.rmdir(layout.volume_data_dir("v"))
    for attempt in (hold_volume, create_volume):
        with pytest.raises(StoreError, match="volume v"):
            attempt(layout, "v")
    os.mkdir(layout.volume_data_dir("v"))
    held, alone = hold_volume(layout, "v")
    held.release()
    assert alone


def test_content_never_takes_the_place_of_other_content(layout):
    # CVE-2020-1726
    create_volume(layout, "v")
    staged = stage_content(layout, "v")
    os.mkdir(staged)
    with open(f"{layout.volume_data_dir('v')}/mine", "w", encoding="ascii"):
        pass
    with pytest.raises(OSError, match="not empty"):
        adopt_content(layout, "v", staged)
    assert os.listdir(layout.volume_data_dir("v")) == ["mine"]


def test_a_removed_volume_is_out_of_sight_at_once(layout):
    create_volume(layout, "v")
    remove_volume(layout, "v")
    assert list_volumes(layout) == ()
    assert len(os.listdir(layout.trash_dir)) == 1


@pytest.mark.parametrize(
    "content",
    [b"[" * 100_000, b'{"labels": {"a": "\\ud800"}, "created": ""}', b"{}", b"\xff",
     b'{"created": 5, "labels": {}}', b'{"labels": []}'],
)  # fmt: skip
def test_a_volume_whose_description_is_damaged_is_a_volume(layout, content):
    create_volume(layout, "v")
    with open(f"{layout.volume_dir('v')}/volume.json", "wb") as file:
        file.write(content)
    assert load_volume(layout, "v").data_dir == layout.volume_data_dir("v")
