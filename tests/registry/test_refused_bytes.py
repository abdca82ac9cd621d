"""Bytes that a registry sends beyond a layer: read in part only, and not kept."""

from __future__ import annotations

import os
import subprocess

import pytest

from chrun.engine.progress import Silent
from chrun.errors import ContentError, DigestMismatchError, RegistryError, StoreError
from chrun.oci.reference import Reference
from chrun.registry.client import Registry
from chrun.store.refs import load_refs
from chrun.store.store import open_store
from tests.support.images import image, layer
from tests.support.needs import needs
from tests.support.pulls import assert_sound, pulled, scratch_of

_MEGABYTE = 1 << 20


@pytest.fixture
def name(registry):
    return f"{registry.host}/greeter"


class Received(Silent):
    """Counts the bytes that arrive, and looks at the space that is left meanwhile."""

    def __init__(self, directory):
        self.bytes = 0
        self.least_free = 1 << 60
        self._directory = directory

    def advanced(self, part, amount):
        self.bytes += amount
        status = os.statvfs(self._directory)
        self.least_free = min(self.least_free, status.f_bavail * status.f_frsize)


def _add(registry, blob, **manifest):
    """Serve an image whose one layer is this blob, which its manifest describes as it is."""
    made = layer({"a": "1"}).replace(blob=blob)
    fields = {"layers": [{**made.descriptor.to_json(), **manifest}]} if manifest else None
    registry.add(image([made], manifest=fields), "greeter", "latest")
    return made


def _assert_nothing_is_left(store):
    assert scratch_of(store.layout) == []
    assert os.listdir(store.layout.layers_dir) == []
    assert os.listdir(f"{store.layout.blobs_dir}/sha256") == []
    assert load_refs(store.layout)[1] == ()


@pytest.mark.parametrize("compression", ["gzip", "zstd"])
@pytest.mark.parametrize("size", [1, 3_000_000])
def test_bytes_behind_the_end_of_a_layer_leave_nothing(store, registry, name, compression, size):
    """Digest and size are those of all bytes: only the content is wrong."""
    packed = layer({"a": "1"}, compression=compression).blob
    _add(registry, packed + b"x" * size)
    with pytest.raises(ContentError, match="other bytes follow the end of the"):
        pulled(store, name)
    _assert_nothing_is_left(store)


def test_no_more_than_a_little_is_read_behind_what_is_refused(store, registry, name):
    _add(registry, layer({"a": "1"}).blob + b"x" * (100 * _MEGABYTE))
    received = Received(store.layout.root)
    with pytest.raises(ContentError, match="other bytes follow"):
        pulled(store, name, progress=received)
    assert received.bytes < 70 * _MEGABYTE
    _assert_nothing_is_left(store)


def test_a_transfer_that_breaks_behind_what_is_refused_leaves_nothing(store, registry, name):
    _add(registry, layer({"a": "1"}).blob + b"x" * 3_000_000)
    registry.faults.truncate_at, registry.faults.truncations = 1_000_000, 100
    with pytest.raises(ContentError, match="other bytes follow"):
        pulled(store, name)
    _assert_nothing_is_left(store)


def test_what_a_killed_pull_left_of_refused_bytes_goes_at_the_next_one(store, registry, name):
    made = _add(registry, layer({"a": "1"}).blob + b"x" * 3_000_000)
    with open(store.layout.partial_path(made.digest), "wb") as file:
        file.write(made.blob[:2_000_000])
    with pytest.raises(ContentError, match="other bytes follow"):
        pulled(store, name)
    _assert_nothing_is_left(store)


def test_a_damaged_partial_file_of_a_large_layer_is_begun_again(store, registry, name):
    """What is wrong with it shows long before its digest would."""
    made = layer({"big": os.urandom(75 * _MEGABYTE)})
    registry.add(image([made]), "greeter", "latest")
    with open(store.layout.partial_path(made.digest), "wb") as file:
        file.write(b"\x1f\x8b\x08" + bytes([0x80]) + b"x" * 1000)
    pulled(store, name)
    assert_sound(store.layout)


def test_an_interrupted_transfer_is_what_stays(store, registry, name):
    made = _add(registry, layer({"a": os.urandom(300_000)}).blob)
    registry.faults.truncate_at, registry.faults.truncations = 100_000, 100
    registry.faults.ranges = False
    with pytest.raises(RegistryError):
        pulled(store, name)
    assert scratch_of(store.layout) == [f"sha256-{made.digest.hex}"]


@pytest.mark.parametrize("size", [0, 1, 1000, 70_000])
def test_a_blob_is_read_to_its_size_and_one_byte(registry, size):
    blob = os.urandom(300_000)
    made = layer({"a": "1"}).replace(blob=blob)
    registry.add(image([made]), "greeter", "latest")
    registry.faults.chunked = True
    reference = Reference.parse(f"{registry.host}/greeter")
    descriptor = made.descriptor.replace(size=size)
    for offset in (0, size // 2):
        with Registry().open_blob(reference, descriptor, offset) as stream:
            assert b"".join(stream) == blob[offset : size + 1]


@pytest.mark.parametrize("size", [0, 1000, 299_999])
def test_a_blob_that_is_announced_with_more_bytes_is_not_read(registry, size):
    made = layer({"a": "1"}).replace(blob=os.urandom(300_000))
    registry.add(image([made]), "greeter", "latest")
    reference = Reference.parse(f"{registry.host}/greeter")
    for offset in (0, size // 2):
        stream = Registry().open_blob(reference, made.descriptor.replace(size=size), offset)
        with (
            pytest.raises(DigestMismatchError, match=f"has 300000 bytes, expected {size}$"),
            stream,
        ):
            pytest.fail("it was opened")


def test_a_document_is_read_to_its_size_and_one_byte(registry, name):
    reference = Reference.parse(name)
    made = layer({"a": "1"}).replace(blob=b"{" + b" " * 3_000_000 + b"}")
    registry.add(image([made]), "greeter", "latest")
    for size in (0, 10):
        with pytest.raises(DigestMismatchError, match=f"expected {size} bytes|than the expected"):
            Registry().fetch_document(reference, made.descriptor.replace(size=size))


def test_a_layer_of_no_bytes_is_not_asked_for(store, registry, name):
    made = _add(registry, layer({"a": "1"}).blob, size=0)
    with pytest.raises(DigestMismatchError, match="content after 0 bytes"):
        pulled(store, name)
    assert [entry for entry in registry.log if str(made.digest) in entry] == []
    _assert_nothing_is_left(store)


@pytest.mark.parametrize("size", [None, -1, "12", 1.5, True])
def test_a_layer_without_a_size_is_refused(store, registry, name, size):
    _add(registry, layer({"a": "1"}).blob, size=size)
    with pytest.raises(ContentError, match="size"):
        pulled(store, name)
    _assert_nothing_is_left(store)


@pytest.mark.parametrize("chunked", [False, True])
def test_a_layer_of_more_bytes_than_were_told_leaves_nothing(store, registry, name, chunked):
    _add(registry, layer({"a": "1"}).blob, size=10)
    registry.faults.chunked = chunked
    with pytest.raises(DigestMismatchError):
        pulled(store, name)
    _assert_nothing_is_left(store)


@needs("root")
def test_bytes_that_unpack_to_nothing_do_not_take_the_reserve(registry, name, tmp_path):
    """NUL bytes may follow gzip data, and empty members: no piece of content comes any more."""
    blob = layer({"a": "1"}).blob + bytes(50 * _MEGABYTE)
    _add(registry, blob)
    subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=40m,mode=700", "none", tmp_path], check=True
    )
    try:
        store = open_store(str(tmp_path / "store"), create=True)
        received = Received(store.layout.root)
        with pytest.raises(StoreError, match="no space left on device") as caught:
            pulled(store, name, progress=received)
        assert "free some space" in caught.value.hint
        assert received.least_free > 512 << 10
        _assert_nothing_is_left(store)
    finally:
        subprocess.run(["umount", tmp_path], check=True)
