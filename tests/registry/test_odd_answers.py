"""Answers that are no HTTP, or that no server gives: one error each, whatever they are."""

from __future__ import annotations

import pytest

from chrun.errors import ChrunError, ContentError, RegistryError
from chrun.oci.manifest import parse_document
from chrun.oci.reference import Reference
from tests.support.client import HASTE, client
from tests.support.images import image, layer
from tests.support.raw_server import RawServer, once
from tests.support.registry import Answer

_IMAGE = image([layer({"motd": "hi"})])
_LAYER = parse_document("x", _IMAGE.content).layers[0]
_BLOB = _IMAGE.blobs[1]
_OK = b"HTTP/1.1 200 OK\r\n"
_MANY = b"9" * 5000
_ONCE = HASTE.replace(attempts=1)

_ODD = {
    "nothing": b"",
    "no HTTP": b"\x15\x03\x03\x00\x02\x02\x50",
    "a status that is no number": b"HTTP/1.1 two OK\r\n\r\n",
    "a status of many digits": b"HTTP/1.1 " + _MANY + b" OK\r\n\r\n",
    "another HTTP": b"HTTP/9.9 200 OK\r\n\r\n",
    "headers without end": _OK + b"X: y\r\n" * 1000,
    "a line without end": _OK + b"X: " + b"y" * 100_000,
    "a chunk of negative size": _OK + b"Transfer-Encoding: chunked\r\n\r\n-1\r\nabc\r\n",
    "a chunk of no size": _OK + b"Transfer-Encoding: chunked\r\n\r\nx\r\nabc\r\n",
    "a chunk of many digits": _OK + b"Transfer-Encoding: chunked\r\n\r\n" + _MANY + b"\r\nabc",
    "a chunk size without end": _OK + b"Transfer-Encoding: chunked\r\n\r\n" + b"0" * 1_000_000,
    "a length of many digits": _OK + b"Content-Length: " + _MANY + b"\r\n\r\n",
    "two lengths": _OK + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n{}",
    "a negative length": _OK + b"Content-Length: -5\r\n\r\n{}",
    "a length that is no number": _OK + b"Content-Length: \xb2\r\n\r\n{}",
}


@pytest.mark.parametrize("what", _ODD)
@pytest.mark.parametrize("method", ["head_manifest", "fetch_manifest"])
def test_an_odd_answer_is_one_error(what, method):
    with RawServer(once(_ODD[what])) as server:
        with pytest.raises((RegistryError, ContentError)) as raised:
            getattr(client(patience=_ONCE), method)(Reference.parse(f"{server.host}/x"))
        assert str(raised.value).startswith("cannot ")
        assert "\n" not in str(raised.value)


@pytest.mark.parametrize("what", _ODD)
def test_an_odd_answer_for_a_blob_is_one_error(what):
    with RawServer(once(_ODD[what])) as server:
        reference = Reference.parse(f"{server.host}/x")
        with (
            pytest.raises(RegistryError, match=r"^cannot "),
            client(patience=_ONCE).open_blob(reference, _LAYER) as stream,
        ):
            list(stream)


@pytest.fixture
def reference(registry):
    registry.add(_IMAGE, "x", "latest")
    return Reference.parse(f"{registry.host}/x")


@pytest.mark.parametrize(
    "location",
    [
        "http://[", "http://[::1", "http://a:99999999999/", "http://127.0.0.1:70000/", "http://[v1.]/",
        "//[", "http://\xff\xfe/", "http://127.0.0.1:" + "9" * 5000 + "/", "http://%zz/",
    ],
)  # fmt: skip
def test_a_redirect_to_what_is_no_url_is_not_followed(registry, reference, location):
    registry.faults.answer = lambda _request: Answer(307, {"Location": location})
    with pytest.raises(RegistryError, match=r"^cannot (follow|reach) "):
        client(patience=_ONCE).fetch_manifest(reference)
    assert len(registry.log) == 1


@pytest.mark.parametrize("realm", ["http://[", "http://[::1", "", "http://a:99999999999/"])
def test_a_realm_that_is_no_url_is_not_asked(registry, reference, realm):
    registry.faults.bearer, registry.faults.realm = True, realm or "//["
    with pytest.raises(RegistryError, match=r"^cannot "):
        client(patience=_ONCE).fetch_manifest(reference)


@pytest.mark.parametrize(
    "start", ["9" * 5000, "-1", "\xb2", "1" * 19, "+0", " 0", "0x0", "1_0", "", "NaN"]
)
def test_a_range_that_begins_with_no_number_is_another_part(registry, reference, start):
    headers = {"Content-Range": f"bytes {start}-9/10"}
    registry.faults.answer = lambda _request: Answer(206, headers, b"x")
    with (
        pytest.raises(RegistryError, match=r"sent another part than the one asked for"),
        client(patience=_ONCE).open_blob(reference, _LAYER, 5),
    ):
        pass


@pytest.mark.parametrize("length", ["9" * 5000, "\xb2", "1e3", "-5"])
def test_a_head_whose_length_is_no_number_is_asked_again_by_get(length):
    kind = b"Content-Type: application/vnd.oci.image.manifest.v1+json\r\n"
    head = _OK + kind + b"Content-Length: " + length.encode("latin-1") + b"\r\n\r\n"
    with RawServer(once(head)) as server:
        with pytest.raises(ChrunError):
            client(patience=_ONCE).head_manifest(Reference.parse(f"{server.host}/x"))
        assert server.connections == 2


@pytest.mark.parametrize("retry_after", ["9" * 5000, "Fri, 01 Jan 99999 00:00:00 GMT", "1e999"])
def test_a_retry_after_that_nobody_would_wait_for_is_told(registry, reference, retry_after):
    registry.faults.rate_limits, registry.faults.retry_after = 9, retry_after
    with pytest.raises(RegistryError, match=r"slow down"):
        client(patience=HASTE.replace(attempts=2)).fetch_manifest(reference)
