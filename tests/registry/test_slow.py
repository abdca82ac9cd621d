"""Registries that are slow on purpose: no request and no blob keeps a pull for ever."""

from __future__ import annotations

import os

import pytest

from chrun.errors import RegistryError
from chrun.oci.manifest import parse_document
from chrun.oci.reference import Reference
from chrun.store.removal import empty_trash
from tests.registry.test_pull import Told
from tests.support.client import HASTE, client
from tests.support.images import image, layer
from tests.support.pulls import assert_sound, pulled, scratch_of
from tests.support.raw_server import RawServer, endless, once

_IMAGE = image([layer({"motd": "hi"})])
_LAYER = parse_document("x", _IMAGE.content).layers[0].replace(size=9_999_999)
_OK = b"HTTP/1.1 200 OK\r\n"
_CHUNKED = _OK + b"Transfer-Encoding: chunked\r\n\r\n"
_IMPATIENT = HASTE.replace(request_seconds=0.2, window_seconds=0.2, window_bytes=1 << 20)
_BIG = b"x" * 4096
_SLOWLY = 0.01


def _long(beginning, again):
    """Return an answer that ends, but long after anybody should have waited for it."""
    return once(beginning, *[again] * 1000)


_ENDLESS = {
    "a header that goes on": (_long(_OK + b"X: ", b"y"), _SLOWLY),
    "interim answers": (endless(b"", b"HTTP/1.1 100 Continue\r\n\r\n"), 0),
    "interim answers with headers": (endless(b"", b"HTTP/1.1 100 Continue\r\nX: y\r\n\r\n"), 0),
    "an interim answer, slowly": (_long(b"HTTP/1.1 100 Continue\r\nX: ", b"y"), _SLOWLY),
}
_ENDLESS_BODIES = {
    "a body, slowly": (_long(_OK + b"Content-Length: 99999\r\n\r\n", b"{"), _SLOWLY),
    "a body without a length": (_long(_OK + b"\r\n", b"{"), _SLOWLY),
    "chunks, slowly": (_long(_CHUNKED, b"1\r\n{\r\n"), _SLOWLY),
    "trailers": (endless(_CHUNKED + b"1\r\n{\r\n0\r\n", b"X: y\r\n" * 100), 0),
    "a chunk's size": (_long(_CHUNKED, b"0"), _SLOWLY),
    "a chunk's extension": (_long(_CHUNKED + b"1;", b"x"), _SLOWLY),
}


@pytest.mark.parametrize("what", _ENDLESS | _ENDLESS_BODIES)
def test_a_document_must_come_in_time(what):
    pieces, pause = (_ENDLESS | _ENDLESS_BODIES)[what]
    with RawServer(pieces, pause_seconds=pause) as server:
        with pytest.raises(RegistryError, match=r"no whole answer in 0\.2 seconds") as raised:
            client(patience=_IMPATIENT).fetch_manifest(Reference.parse(f"{server.host}/x"))
        assert "CHRUN_REGISTRY_TIMEOUT" in raised.value.hint
        assert server.connections == 1  # what was slow once is not asked again


def test_redirects_take_their_time_from_that_of_the_request():
    """Each answer comes in time, all of them together do not."""
    headers = b"Location: /v2/x/manifests/latest\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
    with RawServer(once(b"HTTP/1.1 307 Moved\r\n", headers), pause_seconds=0.1) as server:
        patience = _IMPATIENT.replace(request_seconds=0.35)
        with pytest.raises(RegistryError, match=r"no whole answer in 0\.35 seconds"):
            client(patience=patience).fetch_manifest(Reference.parse(f"{server.host}/x"))
        assert server.connections > 1


@pytest.mark.parametrize("what", _ENDLESS)
def test_a_blobs_headers_must_come_in_time(what):
    pieces, pause = _ENDLESS[what]
    with (
        RawServer(pieces, pause_seconds=pause) as server,
        pytest.raises(RegistryError, match=r"no whole answer in 0\.2 seconds"),
        client(patience=_IMPATIENT).open_blob(Reference.parse(f"{server.host}/x"), _LAYER),
    ):
        pass


@pytest.mark.parametrize("what", _ENDLESS_BODIES)
def test_a_blob_must_come_at_the_lowest_speed(what):
    pieces, pause = _ENDLESS_BODIES[what]
    with RawServer(pieces, pause_seconds=pause) as server:
        reference = Reference.parse(f"{server.host}/x")
        with (
            client(patience=_IMPATIENT).open_blob(reference, _LAYER) as stream,
            pytest.raises(
                RegistryError, match=r"it sends too slowly: .* in 0\.2 seconds"
            ) as raised,
        ):
            list(stream)
    assert "CHRUN_LOWEST_SPEED" in raised.value.hint


def test_a_blob_may_take_longer_than_a_document_if_it_keeps_its_pace():
    body = once(_OK + b"Content-Length: 40960\r\n\r\n", *[_BIG] * 10)
    patience = _IMPATIENT.replace(window_seconds=30)
    with RawServer(body, pause_seconds=0.03) as server:
        reference = Reference.parse(f"{server.host}/x")
        with client(patience=patience).open_blob(reference, _LAYER.replace(size=40960)) as stream:
            assert b"".join(stream) == _BIG * 10


def test_a_blob_may_begin_late():
    """As behind a cache that first has to fetch it: silence has a limit of its own."""
    body = once(_OK + b"Content-Length: 4096\r\n\r\n", _BIG)
    with RawServer(body, pause_seconds=3 * _IMPATIENT.window_seconds) as server:
        reference = Reference.parse(f"{server.host}/x")
        with client(patience=_IMPATIENT).open_blob(reference, _LAYER.replace(size=4096)) as stream:
            assert b"".join(stream) == _BIG


@pytest.mark.parametrize("beginning", [b"", b"1", b"1;", b"1\r\n"])
def test_a_blob_may_not_begin_never(beginning):
    with RawServer(endless(_CHUNKED + beginning, b""), pause_seconds=60) as server:
        reference = Reference.parse(f"{server.host}/x")
        patience = _IMPATIENT.replace(read_seconds=0.4, window_seconds=30)
        with (
            client(patience=patience).open_blob(reference, _LAYER) as stream,
            pytest.raises(RegistryError, match="it fell silent after 0 bytes"),
        ):
            list(stream)


def test_without_a_lowest_speed_a_blob_may_be_slow():
    body = once(_OK + b"Content-Length: 100\r\n\r\n", *[b"x" * 5] * 20)
    patience = _IMPATIENT.replace(window_bytes=0, window_seconds=0.02)
    with RawServer(body, pause_seconds=0.03) as server:
        reference = Reference.parse(f"{server.host}/x")
        with client(patience=patience).open_blob(reference, _LAYER.replace(size=100)) as stream:
            assert b"".join(stream) == b"x" * 100


def test_all_that_arrived_before_a_blob_was_too_slow_is_given_first():
    pieces = endless(_OK + b"Content-Length: 9999999\r\n\r\n" + _BIG, b"x")
    arrived: list[bytes] = []
    with RawServer(pieces, pause_seconds=_SLOWLY) as server:
        reference = Reference.parse(f"{server.host}/x")
        with (
            client(patience=_IMPATIENT).open_blob(reference, _LAYER) as stream,
            pytest.raises(RegistryError) as raised,
        ):
            arrived.extend(stream)
    got = b"".join(arrived)
    assert f"after {len(got)} bytes" in str(raised.value)
    assert got.startswith(_BIG)
    assert len(got) > len(_BIG)


@pytest.fixture
def large(registry):
    """A layer that does not fit into one read, as the image large:latest."""
    made = layer({"big": os.urandom(2_500_000)})
    registry.add(image([made]), "large", "latest")
    return made


def _stall(registry, size, times):
    registry.faults.truncate_at, registry.faults.truncations = size, times + 1
    registry.faults.stalls = True


_STALLS = {"window_seconds": 0.2, "window_bytes": 4 << 20}


def test_a_blob_that_is_too_slow_is_resumed_where_it_stood(store, registry, large):
    _stall(registry, 1_000_000, 2)
    told = Told()
    pulled(store, f"{registry.host}/large", progress=told, **_STALLS)
    ranges = [
        request.headers.get("range", "")
        for request in registry.requests
        if str(large.digest) in request.path
    ]
    assert ranges == ["", "bytes=1000000-", "bytes=2000000-"]
    assert told.bytes == len(large.blob)
    assert "it sends too slowly" in told.words[1][1]
    assert_sound(store.layout)


def test_a_server_that_is_always_too_slow_is_given_up_and_what_came_is_kept(store, registry, large):
    _stall(registry, 1_000, 99)
    with pytest.raises(RegistryError, match=r"it sends too slowly"):
        pulled(store, f"{registry.host}/large", **_STALLS)
    asked = sum(str(large.digest) in request.path for request in registry.requests)
    assert asked == 5
    empty_trash(store.layout)
    (left,) = scratch_of(store.layout)
    assert os.stat(f"{store.layout.partial_dir}/{left}").st_size == 5_000
