"""Layers in several rooms: the same ones, with files that belong to others on the disk."""

from __future__ import annotations

import os

import pytest

from chrun.oci.digest import Digest
from chrun.store.gc import collect
from chrun.store.layers import adopt_layer, has_layer, rooms_of
from chrun.store.locks import try_hold_file

LAYER = Digest("sha256", "1" * 64)
ROOM = "owned/100000x65536,100000x65536"


@pytest.fixture
def owned(layout):
    return layout.replace(room=ROOM)


def add(layout):
    tree = f"{layout.partial_dir}/new.tree"
    os.mkdir(tree)
    adopt_layer(layout, LAYER, tree)


def test_a_room_is_made_when_it_is_first_needed(layout, owned):
    assert rooms_of(layout) == (layout,)
    assert not has_layer(owned, LAYER)
    add(owned)
    assert has_layer(owned, LAYER)
    assert not has_layer(layout, LAYER)
    assert rooms_of(layout) == (layout, owned)
    assert os.listdir(layout.owned_dir) == ["100000x65536,100000x65536"]


def test_what_nothing_refers_to_goes_from_every_room(layout, owned):
    add(layout)
    add(owned)
    assert collect(layout).layers == (LAYER, LAYER)
    assert not has_layer(layout, LAYER)
    assert not has_layer(owned, LAYER)


def test_what_somebody_counts_on_stays_in_every_room(layout, owned):
    add(layout)
    add(owned)
    with try_hold_file(layout.layer_lock_path(LAYER), shared=True):
        assert collect(layout).layers == ()
    assert has_layer(layout, LAYER)
    assert has_layer(owned, LAYER)


def test_the_layer_of_an_archive_stays_though_it_is_in_another_room_only(layout, owned):
    add(owned)
    os.symlink(str(LAYER), f"{layout.archives_dir}/key")
    collect(layout)
    assert has_layer(owned, LAYER)
    collect(layout, archives=True)
    assert not has_layer(owned, LAYER)


def test_what_an_archive_became_has_rooms_of_its_own(layout, owned):
    for room in (layout, owned):
        add(room.archived)
        assert not has_layer(room, LAYER)
    assert set(rooms_of(layout)) == {layout, owned.archived, layout.archived}
    os.symlink(str(LAYER), f"{layout.archives_dir}/key")
    assert collect(layout).layers == ()
    assert collect(layout, archives=True).layers == (LAYER, LAYER)


def test_an_image_lies_in_the_room_that_its_store_has(store):
    other = store.with_room(ROOM)
    assert other.layout.layer_dir(LAYER).startswith(f"{store.layout.root}/{ROOM}/")
    assert other.layout.layer_lock_path(LAYER) == store.layout.layer_lock_path(LAYER)
