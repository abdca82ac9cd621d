"""Pulling: what is asked of the registry, and what is in the store afterwards."""

from __future__ import annotations

import os
import resource
import shutil

import pytest

from chrun.engine.fetch import LayerFetch, LayerFetcher
from chrun.engine.parallel import Cancellation
from chrun.engine.progress import Part, Silent
from chrun.errors import (
    ImageNotFoundError,
    RegistryError,
    StoreError,
)
from chrun.oci.platform import Platform
from chrun.oci.reference import Reference
from chrun.registry.client import Registry
from chrun.store.locks import try_hold_file
from chrun.store.refs import load_refs
from tests.support.images import digest_of, file, image, index, layer
from tests.support.needs import needs
from tests.support.pulls import assert_sound, pulled, scratch_of
from tests.support.registry import Answer


def _blob_requests(registry):
    return [entry for entry in registry.log if "/blobs/" in entry]


def _noise(size):
    """Bytes that no compression makes fewer."""
    return os.urandom(size)


@pytest.fixture
def greeter(registry):
    """An image of two layers under greeter:latest."""
    made = image([layer({"motd": "hi\n"}), layer({"big": _noise(300_000)})], cmd=["/bin/cat"])
    registry.add(made, "greeter", "latest")
    return made


@pytest.fixture
def name(registry):
    return f"{registry.host}/greeter"


def test_an_image_is_found_as_it_was_pulled(store, registry, greeter, name):
    record = pulled(store, name)
    assert record.reference == f"{name}:latest"
    assert record.manifest_digest == record.resolved_digest == greeter.digest
    assert record.image_id == digest_of(greeter.blobs[0])
    assert record.config.command == ("/bin/cat",)
    assert record.size == sum(map(len, greeter.blobs))
    with open(f"{record.layers[0]}/motd") as motd:
        assert motd.read() == "hi\n"
    assert store.find_image(name, "linux/amd64") == record
    assert_sound(store.layout)
    assert scratch_of(store.layout) == []


def test_an_unchanged_tag_costs_one_head_request(store, registry, greeter, name):
    record = pulled(store, name)
    registry.requests.clear()
    assert pulled(store, name) == record
    assert registry.log == ["HEAD /v2/greeter/manifests/latest"]


def test_an_unchanged_tag_of_an_index_costs_one_head_request(store, registry, name):
    both = index([image([layer({"a": "1"})]), image([layer({"b": "2"})], platform="linux/arm64")])
    registry.add(both, "greeter", "latest")
    assert pulled(store, name).resolved_digest == both.digest
    registry.requests.clear()
    pulled(store, name)
    assert registry.log == ["HEAD /v2/greeter/manifests/latest"]


def test_a_digest_that_is_here_costs_no_request_at_all(store, registry, greeter, name):
    record = pulled(store, f"{name}@{greeter.digest}")
    registry.requests.clear()
    assert pulled(store, f"{name}@{greeter.digest}") == record
    assert registry.log == []


def test_a_tag_that_moved_brings_only_what_is_new(store, registry, greeter, name):
    pulled(store, name)
    base, fresh = layer({"motd": "hi\n"}), layer({"new": "1"})
    moved = image([base, fresh])
    registry.add(moved, "greeter", "latest")
    registry.requests.clear()
    assert pulled(store, name).manifest_digest == moved.digest
    assert f"GET /v2/greeter/blobs/{base.digest}" not in registry.log
    assert f"GET /v2/greeter/blobs/{fresh.digest}" in registry.log
    _signature, refs = load_refs(store.layout)
    assert [ref.descriptor.digest for ref in refs] == [moved.digest]


def test_a_layer_that_two_images_share_is_fetched_and_kept_once(store, registry):
    base = layer({"base": _noise(1000)})
    registry.add(image([base, layer({"one": "1"})]), "one", "latest")
    registry.add(image([base, layer({"two": "2"})]), "two", "latest")
    one, two = (pulled(store, f"{registry.host}/{name}") for name in ("one", "two"))
    assert one.layers[0] == two.layers[0]
    assert len([entry for entry in registry.log if str(base.digest) in entry]) == 1


def test_a_layer_that_an_image_has_twice_is_fetched_once(store, registry, name):
    same = layer({"a": "1"})
    registry.add(image([same, same]), "greeter", "latest")
    record = pulled(store, name)
    assert len(record.layers) == 2
    assert len([entry for entry in registry.log if str(same.digest) in entry]) == 1


def test_one_layer_in_two_compressions_is_unpacked_once(store, registry):
    tree = {"a": _noise(5000)}
    for compression in ("gzip", "zstd", ""):
        made = image([layer(tree, compression=compression)])
        registry.add(made, f"x{compression}", "latest")
    records = [pulled(store, f"{registry.host}/x{kind}") for kind in ("gzip", "zstd", "")]
    assert len({record.layers for record in records}) == 1
    assert len(os.listdir(store.layout.layers_dir)) == 1
    assert_sound(store.layout)


def test_several_platforms_of_a_tag_are_here_together(store, registry, name):
    arm = image([layer({"arch": "arm"})], platform="linux/arm64/v8")
    amd = image([layer({"arch": "amd"})], platform="linux/amd64")
    registry.add(index([arm, amd]), "greeter", "latest")
    arm64 = Platform("linux", "arm64", "v8")
    assert pulled(store, name).manifest_digest == amd.digest
    assert pulled(store, name, arm64).manifest_digest == arm.digest
    assert store.find_image(name, "linux/amd64").manifest_digest == amd.digest
    assert store.find_image(name, "linux/arm64/v8").manifest_digest == arm.digest


def test_a_machine_that_runs_older_programs_too_asks_only_once(store, registry, name):
    registry.add(image([layer({"a": "1"})], platform="linux/arm/v6"), "greeter", "latest")
    v7 = Platform("linux", "arm", "v7")
    record = pulled(store, name, v7)
    registry.requests.clear()
    assert pulled(store, name, v7) == record == store.find_image(name, "linux/arm/v7")
    assert len(registry.log) == 1


def test_an_image_for_other_machines_is_an_error_that_says_for_which(store, registry, name):
    registry.add(image([layer({"a": "1"})], platform="linux/riscv64"), "greeter", "latest")
    with pytest.raises(ImageNotFoundError, match="no image for linux/amd64") as caught:
        pulled(store, name)
    assert "linux/riscv64" in caught.value.hint


def test_a_missing_layer_is_unpacked_again_from_its_blob(store, registry, greeter, name):
    record = pulled(store, name)
    shutil.rmtree(record.layers[0])
    registry.requests.clear()
    pulled(store, name)
    assert os.path.exists(f"{record.layers[0]}/motd")
    assert [entry for entry in _blob_requests(registry) if str(record.image_id) not in entry] == []


def test_a_missing_blob_is_fetched_again(store, registry, greeter, name):
    pulled(store, name)
    os.unlink(store.layout.blob_path(digest_of(greeter.blobs[1])))
    pulled(store, name)
    assert_sound(store.layout)


def test_a_damaged_manifest_is_fetched_again(store, registry, greeter, name):
    record = pulled(store, name)
    with open(store.layout.blob_path(record.manifest_digest), "r+b") as file:
        file.truncate(10)
    assert pulled(store, name) == record
    assert_sound(store.layout)


# --- broken transfers


class Told(Silent):
    """Remembers what was told."""

    def __init__(self):
        self.words = []
        self.bytes = 0

    def started(self, part, done):
        self.words.append(("started", done))

    def advanced(self, part, amount):
        self.bytes += amount

    def resuming(self, part, why):
        self.words.append(("resuming", why))

    def finished(self, part):
        self.words.append(("finished", part.size))


@pytest.fixture
def large(registry):
    """A layer that does not fit into one read, as the image large:latest."""
    made = layer({"big": _noise(2_500_000)})
    registry.add(image([made]), "large", "latest")
    return made


def _break_transfers(registry, size, times):
    """Break the connection after so many bytes; the configuration, a blob too, is shorter."""
    registry.faults.truncate_at, registry.faults.truncations = size, times + 1


def _blob_ranges(registry, made):
    return [
        request.headers.get("range", "")
        for request in registry.requests
        if str(made.digest) in request.path
    ]


def test_a_broken_transfer_is_gone_on_with_where_it_broke(store, registry, large):
    _break_transfers(registry, 1_000_000, 2)
    told = Told()
    pulled(store, f"{registry.host}/large", progress=told)
    assert _blob_ranges(registry, large) == ["", "bytes=1000000-", "bytes=2000000-"]
    assert told.bytes == len(large.blob)
    assert [word for word, _ in told.words] == ["started", "resuming", "resuming", "finished"]
    assert_sound(store.layout)


def test_a_server_without_ranges_is_asked_for_all_and_no_byte_is_kept_twice(store, registry, large):
    _break_transfers(registry, 1_000_000, 1)
    registry.faults.ranges = False
    told = Told()
    pulled(store, f"{registry.host}/large", progress=told)
    assert told.bytes == len(large.blob)
    assert_sound(store.layout)


def test_what_arrived_before_a_pull_was_given_up_is_there_for_the_next(store, registry, large):
    _break_transfers(registry, 1_200_000, 1)
    registry.faults.answer = _only_the_first_brings_something(registry, large)
    with pytest.raises(RegistryError):
        pulled(store, f"{registry.host}/large")
    (left,) = scratch_of(store.layout)
    assert left == f"sha256-{large.digest.hex}"
    registry.faults.answer = lambda _request: None
    registry.requests.clear()
    told = Told()
    pulled(store, f"{registry.host}/large", progress=told)
    assert _blob_ranges(registry, large) == ["bytes=1200000-"]
    assert told.words[0] == ("started", 1_200_000)
    assert scratch_of(store.layout) == []
    assert_sound(store.layout)


def _only_the_first_brings_something(registry, made):
    def answer(_request):
        brought = len(_blob_ranges(registry, made)) > 1
        return Answer(200, body=made.blob, stop_at=0) if brought else None

    return answer


def test_a_partial_file_that_is_not_the_blobs_beginning_is_begun_again(store, registry, large):
    path = store.layout.partial_path(large.digest)
    with open(path, "wb") as file:
        file.write(b"x" * 1000)
    pulled(store, f"{registry.host}/large")
    assert _blob_ranges(registry, large) == ["bytes=1000-", ""]
    assert scratch_of(store.layout) == []
    assert_sound(store.layout)


def test_a_damaged_blob_is_fetched_again_when_its_layer_is_missing(store, registry, large):
    record = pulled(store, f"{registry.host}/large")
    for damage in (large.blob[:-1], large.blob[:-1] + b"x", large.blob + b"x"):
        with open(store.layout.blob_path(large.digest), "wb") as file:
            file.write(damage)
        shutil.rmtree(record.layers[0])
        pulled(store, f"{registry.host}/large")
        assert_sound(store.layout)


def test_a_partial_file_that_is_too_long_is_begun_again(store, registry, large):
    path = store.layout.partial_path(large.digest)
    with open(path, "wb") as file:
        file.write(b"x" * (len(large.blob) + 1))
    pulled(store, f"{registry.host}/large")
    assert_sound(store.layout)


def test_a_complete_partial_file_needs_no_request(store, registry, large):
    """Killed between the last byte and the rename."""
    with open(store.layout.partial_path(large.digest), "wb") as file:
        file.write(large.blob)
    pulled(store, f"{registry.host}/large")
    assert _blob_ranges(registry, large) == []
    assert_sound(store.layout)


def test_a_tree_that_was_left_behind_is_not_built_upon(store, registry, large):
    tree = f"{store.layout.partial_path(large.digest)}.tree"
    os.makedirs(f"{tree}/stranger")
    record = pulled(store, f"{registry.host}/large")
    assert os.listdir(record.layers[0]) == ["big"]


def test_bytes_that_do_not_fit_are_told_even_when_there_is_room_again(store, registry):
    made = layer({"a": _noise(40_000), "b": _noise(40_000)}, compression="")
    registry.add(image([made]), "large", "latest")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)

    def make_room(request):
        if "range" in request.headers:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)

    registry.faults.answer = make_room
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(made.blob) - 100, before[1]))
    try:
        with pytest.raises(StoreError, match="file too large"):
            pulled(store, f"{registry.host}/large")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    pulled(store, f"{registry.host}/large")
    assert_sound(store.layout)


def test_a_claim_that_comes_after_the_end_is_not_kept(store, registry, large):
    pulled(store, f"{registry.host}/large")
    reference = Reference.parse(f"{registry.host}/large")
    fetcher = LayerFetcher(store.layout, Registry(), reference, Silent(), Cancellation())
    part = Part("large", 1, 1, large.digest, len(large.blob))
    fetcher.release()
    fetcher.ensure(LayerFetch(part, large.descriptor, large.diff_id))
    for path in (
        store.layout.blob_lock_path(large.digest),
        store.layout.layer_lock_path(large.diff_id),
    ):
        with try_hold_file(path) as held:
            assert held


_NO_SPACE = "no space left on device|more than the"


@needs("root")
def test_a_full_disk_is_one_line_and_leaves_no_image(registry, tmp_path):
    import subprocess

    from chrun.store.store import open_store

    registry.add(image([layer({"big": file(b"\0" * 8_000_000)}, compression="")]), "big", "latest")
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=6m,mode=700", "none", tmp_path], check=True)
    try:
        store = open_store(str(tmp_path / "store"), create=True)
        with pytest.raises(StoreError, match=_NO_SPACE) as caught:
            pulled(store, f"{registry.host}/big")
        assert "\n" not in str(caught.value)
        assert load_refs(store.layout)[1] == ()
        assert [name for name in scratch_of(store.layout) if name.endswith(".tree")] == []
    finally:
        subprocess.run(["umount", tmp_path], check=True)
