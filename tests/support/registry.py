"""A registry over real HTTP on loopback, that does what a healthy one never does.

    with FakeRegistry(Faults(truncate_at=1000, truncations=1)) as registry:
        registry.add(image([...]), "library/busybox", "latest")
        ... registry.host is "127.0.0.1:port", registry.requests what came in, in order

Faults may be changed while it runs. It serves; it does not take pushes.
"""

from __future__ import annotations

import base64
import http.server
import json
import socket
import ssl
import threading
import time
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

from tests.support.faults import Answer, Faults, Request, refusal
from tests.support.images import digest_of

if TYPE_CHECKING:
    from typing import Self

    from tests.support.images import Image

_CHUNK_BYTES = 1 << 16
_TLS_HANDSHAKE = b"\x16"  # the first byte of TLS, and of no HTTP


class FakeRegistry:
    """The server; a context manager. `url` is its base, `requests` its log."""

    def __init__(self, faults: Faults | None = None, *, tls: ssl.SSLContext | None = None) -> None:
        self.faults = faults or Faults()
        self.requests: list[Request] = []
        self.manifests: dict[tuple[str, str], tuple[str, bytes]] = {}
        self.blobs: dict[str, bytes] = {}
        self._tokens: dict[str, int] = {}
        self._lock = threading.Lock()
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.registry = self
        self._server.tls = tls
        self.port = int(self._server.server_address[1])
        self.host = f"127.0.0.1:{self.port}"
        self.url = f"{'https' if tls else 'http'}://{self.host}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def add(self, image: Image, repository: str, *tags: str) -> None:
        """Serve an image with all that belongs to it."""
        for child in image.children:
            self.add(child, repository)
        for blob in image.blobs:
            self.blobs[str(digest_of(blob))] = blob
        for name in (*tags, str(image.digest)):
            self.manifests[repository, name] = image.media_type, image.content

    @property
    def log(self) -> list[str]:
        """The requests as "GET /v2/...", without what is asked of /token."""
        return [str(request) for request in self.requests if request.path != "/token"]

    def respond(self, request: Request) -> Answer:
        """Decide on an answer."""
        self.requests.append(request)
        if answer := self.faults.answer(request):  # which may wait, so not under the lock
            return answer
        with self._lock:
            return (
                (self._token(request) if request.path == "/token" else None)
                or self._refused(request)
                or self._challenge(request)
                or self._content(request)
            )

    def _refused(self, request: Request) -> Answer | None:
        faults = self.faults
        if faults.failures:
            faults.failures -= 1
            return refusal(faults.failure_status, "UNAVAILABLE", "try again")
        if faults.rate_limits:
            faults.rate_limits -= 1
            headers = {"Retry-After": faults.retry_after} if faults.retry_after else {}
            return refusal(429, "TOOMANYREQUESTS", "slow down", headers)
        if request.method == "HEAD" and not faults.head:
            return refusal(405, "UNSUPPORTED", "no HEAD here")
        return None

    def _challenge(self, request: Request) -> Answer | None:
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        if self.faults.bearer and not (scheme == "Bearer" and self._accepts(given)):
            realm = self.faults.realm or f"{self.url}/token"
            repository = request.path.removeprefix("/v2/").rsplit("/", 2)[0]
            scope = f',scope="repository:{repository}:pull"' if repository else ""
            wanted = f'Bearer realm="{realm}",service="{self.host}"{scope}'
        elif self.faults.basic and not self._knows(request):
            wanted = 'Basic realm="test, with a comma"'
        else:
            return None
        return refusal(401, "UNAUTHORIZED", "log in", {"WWW-Authenticate": wanted})

    def _accepts(self, token: str) -> bool:
        uses = self._tokens.get(token, 0)
        self._tokens[token] = uses - 1
        return uses != 0

    def _knows(self, request: Request) -> bool:
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        known = {
            base64.b64encode(f"{user}:{password}".encode()).decode()
            for user, password in self.faults.users.items()
        }
        return scheme == "Basic" and given in known

    def _token(self, request: Request) -> Answer:
        form = parse_qs(request.body.decode())
        refresh = form.get("refresh_token", [""])[0]
        named = refresh in self.faults.identity_tokens or self._knows(request)
        if not named and (self.faults.users or refresh or "authorization" in request.headers):
            return refusal(401, "UNAUTHORIZED", "wrong password")
        token = f"token-{len(self._tokens)}"
        self._tokens[token] = self.faults.token_uses
        return Answer(200, {}, json.dumps({"token": token, "expires_in": 300}).encode())

    def _content(self, request: Request) -> Answer:
        repository, _, name = request.path.removeprefix("/v2/").rpartition("/")
        repository, _, kind = repository.rpartition("/")
        if kind == "blobs" and name in self.blobs:
            return self._blob(request, name)
        if kind == "manifests" and (repository, name) in self.manifests:
            media_type, content = self.manifests[repository, name]
            faults = self.faults
            headers = {
                "Content-Type": media_type if faults.content_type is None else faults.content_type,
                "Docker-Content-Digest": (
                    str(digest_of(content))
                    if faults.content_digest is None
                    else faults.content_digest
                ),
            }
            return Answer(200, {key: text for key, text in headers.items() if text}, content)
        if request.path == "/v2/":
            return Answer(200, {}, b"{}")
        return refusal(404, f"{kind[:-1].upper() or 'PAGE'}_UNKNOWN", f"no {name}")

    def _blob(self, request: Request, digest: str) -> Answer:
        faults, blob = self.faults, self.blobs[digest]
        if faults.redirect_blobs_to:
            return Answer(307, {"Location": f"{faults.redirect_blobs_to}{request.path}?sig=secret"})
        if faults.corrupt_blobs:
            blob = bytes([blob[0] ^ 1]) + blob[1:]
        start = int(request.headers.get("range", "bytes=0-")[6:-1]) if faults.ranges else 0
        if start >= len(blob) > 0:
            return refusal(416, "RANGE_INVALID", "nothing there")
        headers = {"Content-Range": f"bytes {start}-{len(blob) - 1}/{len(blob)}"} if start else {}
        stop_at = None
        if faults.truncations:
            faults.truncations -= 1
            stop_at = faults.truncate_at
        status = 206 if start else 200
        return Answer(status, headers, blob[start:], stop_at, stop_at is not None and faults.stalls)


class _Server(http.server.ThreadingHTTPServer):
    registry: FakeRegistry
    tls: ssl.SSLContext | None

    def get_request(self) -> tuple[socket.socket, object]:
        taken, address = super().get_request()
        if self.tls is None:
            return taken, address
        is_tls = taken.recv(1, socket.MSG_PEEK) == _TLS_HANDSHAKE
        if not is_tls and self.registry.faults.explains_tls:
            with taken:
                taken.recv(_CHUNK_BYTES)  # what is left unread would turn the answer into a reset
                taken.sendall(b"HTTP/1.0 400 Bad Request\r\n\r\nthis is an HTTPS server\n")
            raise ConnectionAbortedError
        return self.tls.wrap_socket(taken, server_side=True), address

    def handle_error(self, *_who: object) -> None:
        """Say nothing: clients that hang up or distrust a certificate are part of the tests."""


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        headers = {key.lower(): text for key, text in self.headers.items()}
        query = parse_qs(parts.query)
        request = Request(self.command, parts.path, query, headers, body, self.path)
        answer, faults = self.server.registry.respond(request), self.server.registry.faults
        if faults.hang_ups:
            faults.hang_ups -= 1
            self.close_connection = True
            return
        self.send_response(answer.status)
        for key, text in answer.headers.items():
            self.send_header(key, text)
        if faults.chunked:
            self.send_header("Transfer-Encoding", "chunked")
        else:
            self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        if self.command != "HEAD":
            self._send(answer, faults, is_blob="/blobs/" in parts.path)

    do_HEAD = do_POST = do_GET  # noqa: N815 - the names that http.server calls

    def _send(self, answer: Answer, faults: Faults, *, is_blob: bool) -> None:
        body = answer.body if answer.stop_at is None else answer.body[: answer.stop_at]
        for start in range(0, len(body), _CHUNK_BYTES):
            time.sleep(faults.slow_seconds if is_blob else 0)
            piece = body[start : start + _CHUNK_BYTES]
            self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece) if faults.chunked else piece)
        if answer.stop_at is not None:
            self.close_connection = True
            if answer.stalls:
                self.rfile.read(1)  # nothing comes but the end
        elif faults.chunked:
            self.wfile.write(b"0\r\n\r\n")

    def log_message(self, *_what: object) -> None:
        """Say nothing: `requests` is the log."""
