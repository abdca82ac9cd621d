"""Whole HTTP answers, on loopback: status lines, headers, chunks, trailers, redirects, bodies."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from chrun.oci.digest import Digest
from chrun.oci.manifest import Descriptor
from chrun.oci.media_types import OCI_LAYER
from chrun.oci.reference import Reference
from chrun.registry.patience import Patience
from tests.fuzz.documents import INDEX, MANIFEST
from tests.fuzz.harness import Quiet, fuzz
from tests.support.client import client
from tests.support.raw_server import RawServer

if TYPE_CHECKING:
    from tests.fuzz.inputs import Draw

_PATIENCE = Patience(
    connect_seconds=2, read_seconds=2, request_seconds=2, window_seconds=2, attempts=1,
    pause_seconds=0, longest_wait_seconds=0,
)  # fmt: skip
_STATUS = (
    "HTTP/1.1 200 OK", "HTTP/1.1 200 OK", "HTTP/1.1 206 Partial Content", "HTTP/1.1 307 Moved",
    "HTTP/1.1 401 Unauthorized", "HTTP/1.1 404 Not Found", "HTTP/1.1 429 Wait", "HTTP/1.0 200 OK",
    "HTTP/1.1 416 Range", "HTTP/1.1 204 No Content", "HTTP/1.1 100 Continue", "HTTP/9 200", "",
)  # fmt: skip
_HEADERS = (
    "Content-Length", "Transfer-Encoding", "Content-Type", "Content-Range", "Location",
    "Connection",
    "Retry-After", "Docker-Content-Digest", "WWW-Authenticate", "Content-Encoding", "Link",
    "Trailer",
)  # fmt: skip
_VALUES = (
    "chunked", "gzip", "close", "keep-alive", "bytes 5-9/10", "bytes 0-",
    "application/vnd.oci.image.manifest.v1+json",
    "sha256:" + "a" * 64, 'Bearer realm="http://127.0.0.1:9/t"', "Basic", "http://[", "/v2/other",
    "//[", "120",
)  # fmt: skip
_SIZES = (
    "5",
    "0",
    "-1",
    "-5",
    "+5",
    "0x5",
    "5;x=y",
    "ffffffffffffffffff",
    "",
    "g",
    "5 ",
    "5_0",
    " 5",
)
_DIGEST = Digest.of(b"hello")


def _answer(draw: Draw) -> bytes:
    """Make an answer, whose length or chunks are right half of the time."""
    body = draw.damaged(draw.of(MANIFEST, INDEX).encode(errors="surrogatepass"))
    headers = [(draw.one(_HEADERS), draw.one(_VALUES)) for _ in range(draw.integer(0, 3))]
    if draw.chance(4):
        headers.append((draw.one(_HEADERS), draw.of(type(draw).word, type(draw).number)))
    if draw.chance(3):
        headers.append(("Transfer-Encoding", "chunked"))
        size = draw.one(_SIZES) if draw.chance(2) else f"{len(body):x}"
        end = draw.one((b"0\r\n\r\n", b"0\r\nX: y\r\n\r\n", b"", b"0\r\n"))
        body = size.encode() + b"\r\n" + body + b"\r\n" + end
    elif draw.chance(2):
        headers.append(("Content-Length", str(len(body))))
    lines = [draw.one(_STATUS), *(f"{name}: {told}" for name, told in headers), "", ""]
    return draw.damaged("\r\n".join(lines).encode(errors="replace") + body)


def run(seconds: float, seed: int | None = None) -> None:
    """Ask a server on loopback for manifests and blobs, and read what it says."""
    served = b""
    with RawServer(lambda: (served,)) as server:
        registry, reference = client(patience=_PATIENCE), Reference.parse(f"{server.host}/x")
        descriptor = Descriptor(OCI_LAYER, _DIGEST, 5)

        def ask(content: bytes) -> None:
            nonlocal served
            served = content
            with Quiet():
                registry.head_manifest(reference)
            with Quiet():
                registry.fetch_document(reference, descriptor)
            with Quiet(), registry.open_blob(reference, descriptor, len(content) % 7) as stream:
                for chunk in stream:
                    assert chunk

        logging.disable()  # urllib3's warnings about odd headers
        try:
            fuzz(ask, _answer, seconds, seed)
        finally:
            logging.disable(logging.NOTSET)
