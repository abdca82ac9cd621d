"""Listing, removing and clearing up what was pulled."""

from __future__ import annotations

import json
import os

import pytest

from chrun.engine.images import list_images, remove_image
from chrun.engine.prune import prune
from chrun.errors import (
    ContentError,
    ImageInUseError,
    NoSuchImageError,
    StoreError,
    UsageError,
)
from chrun.store.blobs import load_document, save_document
from chrun.store.containers import create_container
from chrun.store.locks import try_hold_file
from chrun.store.refs import Ref, add_ref, load_refs
from tests.support.images import digest_of, image, layer
from tests.support.pulls import AMD64, assert_sound, pulled, scratch_of


@pytest.fixture
def base():
    return layer({"base": os.urandom(2000)})


@pytest.fixture
def one(registry, store, base):
    """The image one:7, of a shared layer and its own."""
    registry.add(image([base, layer({"one": "1"})], cmd=["/one"]), "one", "7", "latest")
    return pulled(store, f"{registry.host}/one:7")


@pytest.fixture
def two(registry, store, base):
    """The image two:latest, on the same base."""
    registry.add(image([base, layer({"two": "2"})], cmd=["/two"]), "two", "latest")
    return pulled(store, f"{registry.host}/two")


def _blobs(store):
    return os.listdir(f"{store.layout.blobs_dir}/sha256")


def _layers(store):
    return os.listdir(store.layout.layers_dir)


def test_images_are_listed_by_name(store, two, one):
    assert list_images(store) == (one, two)


def test_an_image_is_found_by_the_start_of_its_id(store, one, two):
    for text in (one.image_id.hex[:12], one.image_id.hex, str(one.image_id)):
        assert store.find_image(text, "linux/amd64") == one
    assert store.find_image(one.image_id.hex[:2] + "zz", "linux/amd64") is None


def test_an_image_is_found_by_the_digest_of_its_tag(store, registry, one):
    found = store.find_image(f"{registry.host}/one@{one.manifest_digest}", "linux/amd64")
    assert found == one
    assert store.find_image(f"{registry.host}/x@{one.manifest_digest}", "linux/amd64") is None


def test_an_image_of_another_platform_is_not_found(store, one):
    assert store.find_image(one.reference, "linux/arm64/v8") is None


def test_what_is_kept_of_a_lookup_never_outlives_the_index(store, registry, one):
    assert store.find_image(one.reference, "linux/amd64") == one
    moved = image([layer({"moved": "1"})])
    registry.add(moved, "one", "7")
    pulled(store, one.reference)
    assert store.find_image(one.reference, "linux/amd64").manifest_digest == moved.digest
    remove_image(store, one.reference)
    assert store.find_image(one.reference, "linux/amd64") is None


def test_a_kept_lookup_that_was_damaged_is_made_anew(store, one):
    for content in (b"", b"\0" * 100, b"no answer"):
        store.find_image(one.reference, "linux/amd64")
        (kept,) = os.scandir(f"{store.layout.cache_dir}/images")
        with open(kept.path, "wb") as file:
            file.write(content)
        assert store.find_image(one.reference, "linux/amd64") == one


def test_a_damaged_index_is_one_line(store, one):
    with open(store.layout.index_path, "w") as file:
        file.write("{")
    with pytest.raises(StoreError, match=": not JSON"):
        store.find_image(one.reference, "linux/amd64")


def test_a_removed_image_takes_what_only_it_had(store, one, two, base):
    removed = remove_image(store, one.reference)
    assert removed.untagged == (one.reference,)
    assert one.image_id in removed.deleted
    assert base.digest not in removed.deleted
    assert list_images(store) == (two,)
    assert len(_layers(store)) == 2
    assert_sound(store.layout)
    remove_image(store, two.reference)
    assert _blobs(store) == _layers(store) == scratch_of(store.layout) == []


def test_a_second_name_keeps_the_image(store, registry, one):
    pulled(store, f"{registry.host}/one")
    assert remove_image(store, one.reference).deleted == ()
    assert len(_layers(store)) == 2


def test_by_its_id_an_image_of_two_names_goes_only_by_force(store, registry, one):
    pulled(store, f"{registry.host}/one")
    with pytest.raises(UsageError, match="it has 2 names"):
        remove_image(store, one.image_id.short)
    assert len(remove_image(store, one.image_id.short, force=True).untagged) == 2
    assert _blobs(store) == []


def test_what_is_not_here_cannot_be_removed(store, one):
    with pytest.raises(NoSuchImageError, match="cannot remove nothing: no such image"):
        remove_image(store, "nothing")


@pytest.mark.parametrize("kept", [False, True])
def test_an_image_that_a_container_stands_on_stays(store, one, kept):
    container = create_container(store.layout, str(one.image_id), name="web", keep=kept)
    if kept:
        os.close(container.lock_fd)
    with pytest.raises(ImageInUseError, match="container web") as caught:
        remove_image(store, one.reference)
    assert "--force" in caught.value.hint
    assert list_images(store) == (one,)
    if not kept:
        os.close(container.lock_fd)


def test_by_force_it_loses_its_name_and_its_layers_stay_as_long_as_the_container(store, one):
    container = create_container(store.layout, str(one.image_id))
    remove_image(store, one.reference, force=True)
    assert list_images(store) == ()
    assert all(map(os.path.isdir, one.layers))
    prune(store)
    assert all(map(os.path.isdir, one.layers))
    os.close(container.lock_fd)
    pruned = prune(store)
    assert pruned.containers == 1
    assert len(pruned.layers) == 2
    assert _layers(store) == _blobs(store) == scratch_of(store.layout) == []


def test_what_a_pull_under_way_counts_on_stays(store, one, base):
    locks = (store.layout.blob_lock_path(base.digest), store.layout.layer_lock_path(base.diff_id))
    held = [try_hold_file(path, shared=True) for path in locks]
    remove_image(store, one.reference)
    assert _blobs(store) == [base.digest.hex]
    assert _layers(store) == [f"sha256-{base.diff_id.hex}"]
    for claim in held:
        claim.release()
    prune(store)
    assert _blobs(store) == _layers(store) == []


def test_pruning_removes_what_pulls_left_and_nothing_that_has_a_name(store, one, base):
    partial = store.layout.partial_path(layer({"x": "y"}).digest)
    with open(partial, "wb") as file:
        file.write(b"x" * 50_000)
    os.makedirs(f"{partial}.tree/a")
    pruned = prune(store)
    assert pruned.size >= 50_000
    assert scratch_of(store.layout) == []
    assert list_images(store) == (one,)
    assert_sound(store.layout)
    assert prune(store).blobs == ()


# --- damaged ones


def _cut(path):
    os.truncate(path, 10)


@pytest.fixture(params=["manifest_digest", "image_id"])
def document(request, two):
    """Which document of the image two is damaged."""
    return getattr(two, request.param)


@pytest.fixture(params=[_cut, os.unlink])
def damaged(request, store, two, document):
    """The image two, whose document is no JSON any more, or gone."""
    request.param(store.layout.blob_path(document))
    return two


def test_the_others_are_listed_found_and_removed_and_nothing_of_the_damaged_one_goes(
    store, one, damaged
):
    told = []
    assert list_images(store, told.append) == (one,)
    assert [str(error).startswith(f"cannot read {damaged.reference}: ") for error in told] == [True]
    assert store.find_image(one.image_id.hex[:12], "linux/amd64") == one
    remove_image(store, one.reference)
    prune(store)
    assert list_images(store) == ()
    assert all(map(os.path.isdir, damaged.layers))
    pulled(store, damaged.reference)
    assert list_images(store) == (damaged,)
    prune(store)
    assert len(_layers(store)) == 2
    assert_sound(store.layout)


def test_a_damaged_image_goes_by_force(store, damaged):
    with pytest.raises(StoreError, match="it is damaged") as caught:
        remove_image(store, damaged.reference)
    assert caught.value.hint == "pull it again, or remove it with --force"
    assert remove_image(store, damaged.reference, force=True).untagged == (damaged.reference,)
    assert _blobs(store) == _layers(store) == scratch_of(store.layout) == []


@pytest.fixture(params=["manifest", "configuration"])
def refused(request, store, two):
    """The name of an image that has the bytes its digests name, which this chrun refuses."""
    content = document = b"[]"
    if request.param == "configuration":
        manifest = json.loads(load_document(store.layout, two.manifest_digest))
        manifest["config"] |= {"digest": str(digest_of(document)), "size": len(document)}
        content = json.dumps(manifest).encode()
    for each in {content, document}:
        save_document(store.layout, digest_of(each), each)
    (ref,) = load_refs(store.layout)[1]
    descriptor = ref.descriptor.replace(digest=digest_of(content), size=len(content))
    with store.hold(shared=True):
        add_ref(store.layout, Ref.of(ref.name, descriptor, ref.resolved, AMD64, ref.wanted))
    return two.reference


def test_what_is_refused_is_not_to_be_pulled_again(store, refused):
    with pytest.raises(StoreError, match=f"^cannot read {refused}: ") as caught:
        store.find_image(refused, "linux/amd64")
    assert caught.value.hint == ""
    with pytest.raises(StoreError, match="what it has in it is refused") as caught:
        remove_image(store, refused)
    assert caught.value.hint == "remove it with --force"


def test_what_is_damaged_is_to_be_pulled_again(store, damaged):
    with pytest.raises(StoreError, match=f"^cannot read {damaged.reference}: ") as caught:
        store.find_image(damaged.reference, "linux/amd64")
    assert caught.value.hint == "pull it again"


@pytest.mark.parametrize("damage", [_cut, os.unlink])
def test_what_a_container_stands_on_stays_when_that_cannot_be_read_any_more(store, one, damage):
    container = create_container(store.layout, str(one.image_id))
    damage(store.layout.blob_path(one.image_id))
    remove_image(store, one.reference, force=True)
    assert all(map(os.path.isdir, one.layers))
    os.close(container.lock_fd)
    prune(store)
    assert _blobs(store) == _layers(store) == []


@pytest.mark.parametrize(
    "size", [10**4000, -1, 1 << 63, True, 1e300], ids=lambda size: str(size)[:9]
)
def test_a_size_that_no_blob_has_is_not_pulled_and_spoils_no_list(store, registry, size):
    made = layer({"motd": "hi"})
    registry.add(image([made]), "honest", "latest")
    honest = pulled(store, f"{registry.host}/honest")
    said = {**made.descriptor.to_json(), "size": size}  # of a layer that is here: none is fetched
    registry.add(image([made], manifest={"layers": [said]}), "evil", "latest")
    with pytest.raises(ContentError, match=r"^cannot read .*evil:latest@sha256:\w+: "):
        pulled(store, f"{registry.host}/evil")
    assert list_images(store) == (honest,)
