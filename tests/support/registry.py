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
import ssl
import threading
import time
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

from chrun.values import Value
from tests.support.images import digest_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Self

    from tests.support.images import Image

_CHUNK_BYTES = 1 << 16


class Request(Value):
    """One request as it came in; header names are in lower case."""

    method: str
    path: str
    query: Mapping[str, list[str]]
    headers: Mapping[str, str]
    body: bytes = b""

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


class Answer(Value):
    """What goes out; the Content-Length is added, unless `chunked`."""

    status: int
    headers: Mapping[str, str] = {}
    body: bytes = b""
    stop_at: int | None = None  # the connection breaks after so many bytes of the body


class Faults:
    """What goes wrong, or is at least unusual; counts are counted down."""

    def __init__(self, **given: object) -> None:
        # who is let in
        self.bearer = False  # the token dance; with users, the token needs their password
        self.basic = False
        self.users: dict[str, str] = {}
        self.identity_tokens: dict[str, str] = {}  # what POST /token takes as refresh tokens
        self.realm = ""  # instead of this registry's own /token
        self.token_uses = -1  # a token is forgotten after so many requests
        # what is refused
        self.failures, self.failure_status = 0, 503
        self.rate_limits, self.retry_after = 0, "1"
        self.head = True
        # what is wrong with blobs
        self.redirect_blobs_to = ""  # the base URL of another FakeRegistry
        self.truncate_at, self.truncations = 0, 0
        self.corrupt_blobs = False
        self.chunked = False
        self.ranges = True
        self.slow_seconds = 0.0  # before each 64 KiB of a blob
        # what is wrong with manifests
        self.content_type: str | None = None  # "" leaves it out
        self.content_digest: str | None = None
        # anything else: the first answer of this that is not None goes out instead
        self.answer: Callable[[Request], Answer | None] = lambda _request: None
        for name, content in given.items():
            if not hasattr(self, name):
                raise TypeError(f"there is no fault {name!r}")
            setattr(self, name, content)


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
        if tls:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
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
                or self._refusal(request)
                or self._challenge(request)
                or self._content(request)
            )

    def _refusal(self, request: Request) -> Answer | None:
        faults = self.faults
        if faults.failures:
            faults.failures -= 1
            return _error(faults.failure_status, "UNAVAILABLE", "try again")
        if faults.rate_limits:
            faults.rate_limits -= 1
            headers = {"Retry-After": faults.retry_after} if faults.retry_after else {}
            return _error(429, "TOOMANYREQUESTS", "slow down", headers)
        if request.method == "HEAD" and not faults.head:
            return _error(405, "UNSUPPORTED", "no HEAD here")
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
        return _error(401, "UNAUTHORIZED", "log in", {"WWW-Authenticate": wanted})

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
            return _error(401, "UNAUTHORIZED", "wrong password")
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
        return _error(404, f"{kind[:-1].upper() or 'PAGE'}_UNKNOWN", f"no {name}")

    def _blob(self, request: Request, digest: str) -> Answer:
        faults, blob = self.faults, self.blobs[digest]
        if faults.redirect_blobs_to:
            return Answer(307, {"Location": f"{faults.redirect_blobs_to}{request.path}?sig=secret"})
        if faults.corrupt_blobs:
            blob = bytes([blob[0] ^ 1]) + blob[1:]
        start = int(request.headers.get("range", "bytes=0-")[6:-1]) if faults.ranges else 0
        if start >= len(blob) > 0:
            return _error(416, "RANGE_INVALID", "nothing there")
        headers = {"Content-Range": f"bytes {start}-{len(blob) - 1}/{len(blob)}"} if start else {}
        stop_at = None
        if faults.truncations:
            faults.truncations -= 1
            stop_at = faults.truncate_at
        return Answer(206 if start else 200, headers, blob[start:], stop_at)


class _Server(http.server.ThreadingHTTPServer):
    registry: FakeRegistry

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
        request = Request(self.command, parts.path, parse_qs(parts.query), headers, body)
        answer, faults = self.server.registry.respond(request), self.server.registry.faults
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
        elif faults.chunked:
            self.wfile.write(b"0\r\n\r\n")

    def log_message(self, *_what: object) -> None:
        """Say nothing: `requests` is the log."""


def _error(
    status: int, code: str, message: str, headers: Mapping[str, str] | None = None
) -> Answer:
    body = json.dumps({"errors": [{"code": code, "message": message}]}).encode()
    return Answer(status, {"Content-Type": "application/json", **(headers or {})}, body)
