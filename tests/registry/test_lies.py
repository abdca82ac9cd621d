"""Bytes that lie, and what is left of them: nothing."""

from __future__ import annotations

import os

import pytest

from chrun.errors import (
    ContentError,
    DigestMismatchError,
    UnsafeLayerError,
    UnsupportedMediaTypeError,
)
from chrun.store.refs import load_refs
from chrun.store.removal import empty_trash
from tests.support.images import image, layer
from tests.support.pulls import assert_sound, pulled, scratch_of


def _blob_requests(registry):
    return [entry for entry in registry.log if "/blobs/" in entry]


@pytest.fixture
def large(registry):
    """A layer that does not fit into one read, as the image large:latest."""
    made = layer({"big": os.urandom(2_500_000)})
    registry.add(image([made]), "large", "latest")
    return made


@pytest.fixture
def name(registry):
    return f"{registry.host}/greeter"


def _assert_nothing_is_left(store):
    empty_trash(store.layout)
    assert scratch_of(store.layout) == []
    assert os.listdir(store.layout.layers_dir) == []
    assert os.listdir(f"{store.layout.blobs_dir}/sha256") == []
    assert load_refs(store.layout)[1] == ()


def test_a_wrong_digest_leaves_nothing(store, registry, name):
    made = layer({"a": "1"}, compression="")
    registry.add(image([made]), "greeter", "latest")
    registry.blobs[str(made.digest)] = made.blob[:600] + b"x" + made.blob[601:]
    with pytest.raises(
        DigestMismatchError, match=rf"layer 1/1 of {name}:latest.*expected {made.digest}"
    ):
        pulled(store, name)
    _assert_nothing_is_left(store)


def test_damaged_compressed_bytes_are_told_as_a_wrong_digest(store, registry, large):
    blob = large.blob
    registry.blobs[str(large.digest)] = blob[:50_000] + b"\0" * 50 + blob[50_050:]
    with pytest.raises(DigestMismatchError, match=f"expected {large.digest}"):
        pulled(store, f"{registry.host}/large")
    _assert_nothing_is_left(store)


def test_a_body_without_end_is_cut_off_at_the_expected_size(store, registry, name):
    made = layer({"a": "1"})
    registry.add(image([made]), "greeter", "latest")
    registry.blobs[str(made.digest)] = made.blob + b"\0" * 50_000_000
    registry.faults.chunked = True
    with pytest.raises(DigestMismatchError, match="got more than the expected"):
        pulled(store, name)
    _assert_nothing_is_left(store)


def test_a_layer_with_another_diff_id_than_the_configuration_says_leaves_nothing(
    store, registry, name
):
    made = layer({"a": "1"}).replace(diff_id=layer({"b": "2"}).diff_id)
    registry.add(image([made]), "greeter", "latest")
    with pytest.raises(DigestMismatchError, match="has diff ID sha256:"):
        pulled(store, name)
    _assert_nothing_is_left(store)


@pytest.mark.parametrize("lie", ["too long", "too short", "another diff ID"])
def test_what_another_image_says_of_a_blob_does_not_harm_it(store, registry, name, lie):
    ours = layer({"motd": "hi\n"})
    registry.add(image([ours, layer({"big": os.urandom(3000)})]), "greeter", "latest")
    pulled(store, name)
    path = store.layout.blob_path(ours.digest)
    before = os.stat(path)
    size = len(ours.blob) + {"too long": 1, "too short": -1}.get(lie, 0)
    said = ours.descriptor.replace(size=size).to_json()
    other = ours.replace(diff_id=layer({"b": "2"}).diff_id)
    registry.add(image([other], manifest={"layers": [said]}), "evil", "latest")
    with pytest.raises(DigestMismatchError):
        pulled(store, f"{registry.host}/evil")
    after = os.stat(path)
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert scratch_of(store.layout) == []
    assert_sound(store.layout)


def test_a_layer_that_reaches_outside_itself_leaves_nothing(store, registry, name, tmp_path):
    registry.add(image([layer({"../../../flag": "x"})]), "greeter", "latest")
    with pytest.raises(UnsafeLayerError):
        pulled(store, name)
    _assert_nothing_is_left(store)
    assert os.listdir(tmp_path) == ["store"]


def test_as_many_diff_ids_as_layers_or_nothing(store, registry, name):
    made = layer({"a": "1"})
    config = {"rootfs": {"type": "layers", "diff_ids": []}}
    registry.add(image([made], config=config), "greeter", "latest")
    with pytest.raises(ContentError, match="its manifest has 1 layers, its configuration 0"):
        pulled(store, name)
    _assert_nothing_is_left(store)


def test_a_layer_that_is_there_twice_has_one_diff_id(store, registry, name):
    made = layer({"a": "1"})
    other = made.replace(diff_id=layer({"b": "2"}).diff_id)
    registry.add(image([other, made]), "greeter", "latest")
    with pytest.raises(ContentError, match=f"its layer {made.digest} has two diff IDs"):
        pulled(store, name)
    _assert_nothing_is_left(store)


def test_a_registrys_other_things_are_not_images(store, registry, name):
    chart = layer({"Chart.yaml": "x"}, media_type="application/vnd.cncf.helm.chart.content.v1.tar")
    registry.add(image([chart]), "greeter", "latest")
    with pytest.raises(UnsupportedMediaTypeError, match="it is not a container image, it has"):
        pulled(store, name)
    _assert_nothing_is_left(store)


def test_a_failure_of_one_layer_stops_the_others_and_is_the_one_told(store, registry, name):
    bad = layer({"../x": "1"})
    others = [layer({f"f{number}": os.urandom(400_000)}) for number in range(6)]
    registry.add(image([bad, *others]), "greeter", "latest")
    registry.faults.slow_seconds = 0.05
    with pytest.raises(UnsafeLayerError, match=f"layer 1/7 of {name}"):
        pulled(store, name)
    assert len(_blob_requests(registry)) < 6
    assert load_refs(store.layout)[1] == ()


def test_layers_urls_are_never_asked(store, registry, name):
    """CVE-2020-15157: what an image names is no place to take credentials to."""
    made = layer({"a": "1"})
    foreign = {**made.descriptor.to_json(), "urls": ["http://127.0.0.1:9/steal"]}
    registry.add(image([made], manifest={"layers": [foreign]}), "greeter", "latest")
    pulled(store, name)
    assert f"GET /v2/greeter/blobs/{made.digest}" in registry.log
