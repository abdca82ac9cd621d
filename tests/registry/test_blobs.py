"""Streams of blobs: from anywhere, and told where they break."""

from __future__ import annotations

import os

import pytest

from chrun.errors import RegistryError
from chrun.oci.reference import Reference
from tests.support.client import HASTE, client
from tests.support.docker_registry import docker_registry
from tests.support.images import file, image, layer
from tests.support.needs import needs
from tests.support.registry import Answer, FakeRegistry, Faults

_SIZE = 700_000


@pytest.fixture
def noise():
    """A layer that no compression makes smaller."""
    return layer({"noise": file(os.urandom(_SIZE))}, compression="")


@pytest.fixture
def reference(registry, noise):
    registry.add(image([noise]), "noise", "latest")
    return Reference.parse(f"{registry.host}/noise")


def _read(reference, noise, offset=0, **options):
    with client(**options).open_blob(reference, noise.descriptor, offset) as stream:
        return stream.offset, b"".join(stream)


def _read_until_it_breaks(reference, noise, **options):
    """Give what came before the error, and the error."""
    got = []
    with client(**options).open_blob(reference, noise.descriptor) as stream:
        with pytest.raises(RegistryError) as raised:
            got.extend(iter(stream))
        return b"".join(got), raised.value


@pytest.mark.parametrize("chunked", [False, True])
def test_a_blob_comes_whole_in_small_pieces(registry, reference, noise, chunked):
    registry.faults.chunked = chunked
    with client().open_blob(reference, noise.descriptor) as stream:
        chunks = list(stream)
    assert b"".join(chunks) == noise.blob
    assert max(map(len, chunks)) <= 1 << 20
    assert registry.requests[0].headers["accept-encoding"] == "identity"


def test_a_blob_is_gone_on_with_from_an_offset(registry, reference, noise):
    assert _read(reference, noise, 1234) == (1234, noise.blob[1234:])
    assert registry.requests[0].headers["range"] == "bytes=1234-"


def test_a_server_that_ignores_ranges_starts_at_the_start(registry, reference, noise):
    registry.faults.ranges = False
    assert _read(reference, noise, 1234) == (0, noise.blob)


def test_an_offset_behind_the_end_starts_at_the_start(registry, reference, noise):
    assert _read(reference, noise, len(noise.blob)) == (0, noise.blob)
    assert len(registry.log) == 2


def test_an_earlier_start_than_the_one_asked_for_is_told(registry, reference, noise):
    size = len(noise.blob)
    headers = {"Content-Range": f"bytes 1000-{size - 1}/{size}"}
    registry.faults.answer = lambda _request: Answer(206, headers, noise.blob[1000:])
    assert _read(reference, noise, 1234) == (1000, noise.blob[1000:])


@pytest.mark.parametrize("header", ["bytes 1235-9/10", "bytes */10", "lines 0-1/2", ""])
def test_another_part_than_the_one_asked_for_is_an_error(registry, reference, noise, header):
    registry.faults.answer = lambda _request: Answer(206, {"Content-Range": header}, b"x")
    with pytest.raises(RegistryError, match="sent another part than the one asked for"):
        _read(reference, noise, 1234)


def test_a_body_that_breaks_off_keeps_what_came_and_is_an_error(registry, reference, noise):
    registry.faults = Faults(truncate_at=300_000, truncations=1)
    got, error = _read_until_it_breaks(reference, noise)
    assert got == noise.blob[:300_000]
    assert (
        str(error) == f"cannot read from {registry.host}: the connection broke after 300000 bytes"
    )


def test_a_chunked_body_that_breaks_off_is_an_error_too(registry, reference, noise):
    registry.faults = Faults(truncate_at=300_000, truncations=1, chunked=True)
    got, _ = _read_until_it_breaks(reference, noise)
    assert noise.blob.startswith(got)


def test_a_body_that_ends_early_without_saying_so_is_an_error(registry, reference, noise):
    registry.faults.answer = lambda _request: Answer(200, {}, noise.blob[:10])
    got, error = _read_until_it_breaks(reference, noise)
    assert got == noise.blob[:10]
    assert f"the connection ended after 10 of {len(noise.blob)} bytes" in str(error)


def test_a_server_that_falls_silent_is_given_up(registry, reference, noise):
    registry.faults.slow_seconds = 1.0
    patience = HASTE.replace(read_seconds=0.1)
    _, error = _read_until_it_breaks(reference, noise, patience=patience)
    assert str(error) == f"cannot read from {registry.host}: it fell silent after 0 bytes"


def test_a_stream_that_is_left_early_does_not_spoil_the_next(reference, noise):
    one = client()
    with one.open_blob(reference, noise.descriptor) as stream:
        assert next(iter(stream))
    with one.open_blob(reference, noise.descriptor) as stream:
        assert b"".join(stream) == noise.blob


def test_blobs_may_lie_elsewhere(registry, reference, noise):
    with FakeRegistry() as elsewhere:
        elsewhere.add(image([noise]), "noise")
        registry.faults.redirect_blobs_to = elsewhere.url
        assert _read(reference, noise, 7) == (7, noise.blob[7:])
        assert elsewhere.requests[0].headers["range"] == "bytes=7-"


@needs("docker-registry")
def test_the_real_registry_does_ranges(noise):
    with docker_registry() as real:
        image([noise]).push(real.url, "noise", "latest")
        reference = Reference.parse(f"{real.host}/noise")
        assert _read(reference, noise) == (0, noise.blob)
        assert _read(reference, noise, 5) == (5, noise.blob[5:])
        assert _read(reference, noise, len(noise.blob)) == (0, noise.blob)
