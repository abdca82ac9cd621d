"""A layer is an image's only when the image's own blob was read and has that layer in it."""

from __future__ import annotations

import gzip
import os
import shutil
import signal
import subprocess
import threading

import pytest

from chrun.engine.images import remove_image
from chrun.engine.prune import prune
from chrun.errors import ContentError, DigestMismatchError, UnsafeLayerError
from chrun.store.contents import has_content
from chrun.store.layers import rooms_of
from chrun.store.refs import load_refs
from chrun.store.store import open_store
from tests.support.images import digest_of, image, layer
from tests.support.needs import needs
from tests.support.pulls import assert_sound, chrun, pulled, scratch_of
from tests.support.waiting import wait_until

SECRET = {"etc/key": "private\n", "noise": os.urandom(5000)}


@pytest.fixture
def private(registry, store):
    """A layer that the image private:latest brought."""
    made = layer(SECRET)
    registry.add(image([made]), "private", "latest")
    pulled(store, f"{registry.host}/private")
    return made


@pytest.fixture
def evil(registry):
    return f"{registry.host}/evil"


def _contents(store):
    try:
        return os.listdir(store.layout.contents_dir)
    except FileNotFoundError:
        return []


def _assert_refused(store, name, error=DigestMismatchError):
    before = sorted(os.listdir(f"{store.layout.blobs_dir}/sha256"))
    with pytest.raises(error):
        pulled(store, name)
    assert [ref.name for ref in load_refs(store.layout)[1] if "evil" in ref.name] == []
    assert sorted(os.listdir(f"{store.layout.blobs_dir}/sha256")) == before
    assert scratch_of(store.layout) == []
    assert_sound(store.layout)


DECOYS = {
    "another tar": layer({"decoy": "x"}).blob,
    "an uncompressed tar": layer({"decoy": "x"}, compression="").blob,
    "a zstd tar": layer({"decoy": "x"}, compression="zstd").blob,
    "no tar": b"decoy",
    "nothing": b"",
    "damaged": layer({"decoy": "x"}).blob[:-5],
}


@pytest.mark.parametrize("decoy", DECOYS.values(), ids=DECOYS)
def test_a_diff_id_beside_a_decoy_is_refused(store, registry, private, evil, decoy):
    fake = private.replace(blob=decoy)
    registry.add(image([layer({"base": "1"}), fake]), "evil", "latest")
    registry.add(image([layer({"base": "1"})]), "base", "latest")
    pulled(store, f"{registry.host}/base")
    _assert_refused(store, evil, ContentError)
    _assert_refused(store, evil, ContentError)  # nothing was remembered


@needs("root")
def test_a_bomb_beside_a_diff_id_is_not_read_to_its_end(registry, evil, tmp_path):
    """It is not unpacked, so no disk that gets full would end it."""
    made = layer(SECRET)
    registry.add(image([made]), "private", "latest")
    bomb = made.replace(blob=gzip.compress(bytes(100 << 20)))
    registry.add(image([bomb]), "evil", "latest")
    subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=20m,mode=700", "none", tmp_path], check=True
    )
    try:
        store = open_store(str(tmp_path / "store"), create=True)
        pulled(store, f"{registry.host}/private")
        with pytest.raises(UnsafeLayerError, match=f"unpacks to more than {20 << 20} bytes"):
            pulled(store, evil)
        assert scratch_of(store.layout) == []
        assert_sound(store.layout)
    finally:
        subprocess.run(["umount", tmp_path], check=True)


def test_a_decoy_that_another_image_brought_is_refused_too(store, registry, private, evil):
    decoy = layer({"decoy": "x"})
    registry.add(image([decoy]), "decoy", "latest")
    pulled(store, f"{registry.host}/decoy")
    registry.add(image([decoy.replace(diff_id=private.diff_id)]), "evil", "latest")
    registry.requests.clear()
    _assert_refused(store, evil)
    assert [entry for entry in registry.log if str(decoy.digest) in entry] == []


def test_a_decoy_is_refused_in_every_room(store, registry, private, evil):
    registry.add(image([private.replace(blob=layer({"decoy": "x"}).blob)]), "evil", "latest")
    other = store.with_room("owned/100000x65536,100000x65536")
    pulled(other, f"{registry.host}/private")
    _assert_refused(other, evil)


def test_a_decoy_is_refused_while_the_layer_arrives(store, registry, evil):
    """The two pulls have different blobs, and so nothing to wait for."""
    made = layer(SECRET)
    registry.add(image([made]), "private", "latest")
    registry.add(image([made.replace(blob=layer({"decoy": "x"}).blob)]), "evil", "latest")
    registry.faults.slow_seconds = 0.05
    said = []

    def pull_evil():
        try:
            pulled(store, evil)
        except DigestMismatchError as error:
            said.append(str(error))

    thread = threading.Thread(target=pull_evil)
    thread.start()
    pulled(store, f"{registry.host}/private")
    thread.join()
    assert len(said) == 1
    assert [ref.name for ref in load_refs(store.layout)[1]] == [f"{registry.host}/private:latest"]


def test_a_layer_without_its_proof_is_read_again_and_not_fetched(store, registry, private):
    shutil.rmtree(store.layout.contents_dir)
    registry.requests.clear()
    record = pulled(store, f"{registry.host}/private")
    blobs = [entry for entry in registry.log if "/blobs/" in entry]
    assert blobs == [f"GET /v2/private/blobs/{record.image_id}"]
    assert has_content(store.layout, private.digest, private.diff_id)
    registry.requests.clear()
    assert pulled(store, f"{registry.host}/private") == record
    assert registry.log == ["HEAD /v2/private/manifests/latest"]


def test_a_decoy_image_of_a_store_without_proofs_is_found_out(store, registry, private, evil):
    """As if an earlier version had taken it."""
    fake = private.replace(blob=layer({"decoy": "x"}).blob)
    registry.add(image([fake]), "evil", "latest")
    os.symlink(str(private.diff_id), store.layout.content_path(fake.digest))
    with open(store.layout.blob_path(fake.digest), "wb") as file:
        file.write(fake.blob)
    pulled(store, evil)
    shutil.rmtree(store.layout.contents_dir)
    with pytest.raises(DigestMismatchError, match="has diff ID"):
        pulled(store, evil)


def test_a_proof_is_of_one_pair(store, registry, private):
    decoy = layer({"decoy": "x"})
    assert has_content(store.layout, private.digest, private.diff_id)
    assert not has_content(store.layout, private.digest, decoy.diff_id)
    assert not has_content(store.layout, decoy.digest, private.diff_id)


@pytest.mark.parametrize("compression", ["gzip", "zstd", ""])
def test_another_blob_with_the_same_layer_is_read_and_shares_it(store, registry, compression):
    first, second = layer(SECRET), layer(SECRET, compression=compression)
    for number, made in enumerate((first, second)):
        registry.add(image([made]), f"image{number}", "latest")
    records = [pulled(store, f"{registry.host}/image{number}") for number in range(2)]
    assert records[0].layers == records[1].layers
    assert has_content(store.layout, first.digest, first.diff_id)
    assert has_content(store.layout, second.digest, first.diff_id)


def test_proofs_go_with_their_blobs_and_no_layer_is_believed_afterwards(
    store, registry, private, evil
):
    other = image([layer({"a": "1"})])
    registry.add(other, "other", "latest")
    pulled(store, f"{registry.host}/other")
    assert len(_contents(store)) == 2
    remove_image(store, f"{registry.host}/private:latest")
    assert _contents(store) == [f"sha256-{digest_of(other.blobs[1]).hex}"]
    registry.add(image([private.replace(blob=DECOYS["another tar"])]), "evil", "latest")
    _assert_refused(store, evil)
    remove_image(store, f"{registry.host}/other:latest")
    assert _contents(store) == []


def test_a_proof_whose_blob_was_lost_goes_at_the_next_removal(store, registry, private):
    os.symlink(str(private.diff_id), store.layout.content_path(digest_of(b"lost")))
    left = store.layout.partial_path(digest_of(b"lost")) + ".0123.content"
    os.symlink(str(private.diff_id), left)  # of one who was killed
    prune(store)
    assert _contents(store) == [f"sha256-{private.digest.hex}"]
    assert scratch_of(store.layout) == []


@pytest.mark.parametrize("damage", ["", "nonsense", "a file"])
def test_a_damaged_proof_proves_nothing(store, registry, private, damage):
    path = store.layout.content_path(private.digest)
    os.unlink(path)
    if damage == "a file":
        with open(path, "w") as file:
            file.write(str(private.diff_id))
    elif damage:
        os.symlink(damage, path)
    pulled(store, f"{registry.host}/private")
    assert os.readlink(path) == str(private.diff_id)


@pytest.mark.parametrize("step", ["layer", "blob"])
def test_killed_between_layer_and_proof_a_pull_goes_on_without_the_registry(
    store, registry, private, step
):
    os.unlink(store.layout.content_path(private.digest))
    if step == "layer":
        blob_path = store.layout.blob_path(private.digest)
        os.rename(blob_path, store.layout.partial_path(private.digest))
    registry.requests.clear()
    pulled(store, f"{registry.host}/private")
    assert [entry for entry in registry.log if str(private.digest) in entry] == []
    assert has_content(store.layout, private.digest, private.diff_id)
    assert scratch_of(store.layout) == []
    assert_sound(store.layout)


def test_killed_as_soon_as_a_layer_is_there_a_pull_proves_it_the_next_time(store, registry):
    made = layer({"big": os.urandom(600_000)})
    registry.add(image([made, layer({"slow": os.urandom(900_000)})]), "app", "latest")
    registry.faults.slow_seconds = 0.2
    process = chrun(store.layout.root, "pull", "-q", f"{registry.host}/app")
    wait_until(lambda: any(os.listdir(room.layers_dir) for room in rooms_of(store.layout)))
    process.send_signal(signal.SIGKILL)
    process.communicate()
    registry.faults.slow_seconds = 0
    pulled(store, f"{registry.host}/app")
    assert has_content(store.layout, made.digest, made.diff_id)
    assert len(_contents(store)) == 2
    assert_sound(store.layout)
