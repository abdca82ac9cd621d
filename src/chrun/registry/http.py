"""Moving bytes: requests, redirects by hand, and patience with busy servers."""

from __future__ import annotations

import ssl
import time
from contextlib import suppress
from random import SystemRandom
from threading import Lock

import urllib3
from urllib3 import exceptions

from chrun.errors import RegistryError
from chrun.registry.connections import Watch, new_pool, watched
from chrun.registry.headers import retry_after
from chrun.registry.patience import Deadline, Pace, Patience, TooSlowError
from chrun.registry.proxies import proxy_for
from chrun.registry.trust import Trust, host_of, is_loopback, joined, origin_of, parsed
from chrun.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from types import TracebackType
    from typing import Self

    from urllib3.util import Url

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
BUSY = frozenset({429, 500, 502, 503, 504})
_MAX_REDIRECTS = 10
_CHUNK_BYTES = 1 << 18
_LONGEST_GATHERED_SECONDS = 1.0  # what arrives slowly is passed on in smaller pieces
# What urllib3 and the standard library below it raise for an answer that they cannot make sense of
_BROKEN = (exceptions.HTTPError, OSError, ValueError)
_SLOW_HINT = "CHRUN_REGISTRY_TIMEOUT and CHRUN_LOWEST_SPEED say how slow a registry may be"


class Request(Value):
    """What to ask; the URL is whole."""

    method: str
    url: str
    headers: Mapping[str, str] = {}
    body: bytes = b""

    def __repr__(self) -> str:
        return f"Request({self.method!r}, {address_of(parsed(self.url))!r}, ...)"  # no secrets

    def authorized(self, authorization: str) -> Request:
        """Give the request with that Authorization header, as it is for ""."""
        if not authorization:
            return self
        return self.replace(headers={**self.headers, "Authorization": authorization})


class Answer(Value):
    """A small response that was read to its end; header names in lower case."""

    status: int
    headers: Mapping[str, str] = {}
    body: bytes = b""


class Response:
    """A response whose body is still to be read; a context manager."""

    def __init__(
        self,
        request: Request,
        response: urllib3.BaseHTTPResponse,
        watch: Watch,
        patience: Patience,
    ) -> None:
        self.request = request  # the last one, behind redirects
        self.url = parsed(request.url)
        self.status = response.status
        self.headers = {key.lower(): text for key, text in response.headers.items()}
        self._response = response
        self._watch = watch
        self._patience = patience

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._response.close()

    def chunks(self) -> Iterator[bytes]:
        """Return a body that may be long, piece by piece; RegistryError where it breaks off.

        What had arrived until then is given first. It may take any time, at the slowest pace that
        patience allows.
        """
        pace = Pace(self._patience.window_seconds, self._patience.window_bytes)
        self._watch.limit = pace
        gathered: list[bytes] = []
        got = size = 0
        began = time.monotonic()
        try:
            while piece := self._read(pace):
                gathered.append(piece)
                size += len(piece)
                if size >= _CHUNK_BYTES or time.monotonic() - began > _LONGEST_GATHERED_SECONDS:
                    got += size
                    yield b"".join(gathered)
                    gathered, size, began = [], 0, time.monotonic()
        except _BROKEN as error:
            if gathered:
                yield b"".join(gathered)
            raise _failure("read from", self.url, error, f" after {got + size} bytes") from error
        if gathered:
            yield b"".join(gathered)

    def _read(self, pace: Pace) -> bytes:
        pace.begin_read()
        piece = self._response.read1(_CHUNK_BYTES, decode_content=False)
        pace.end_read(len(piece))
        return piece

    def answer(self, limit: int) -> Answer:
        """Read at most `limit` bytes of the body and let the connection go.

        RegistryError where it breaks off, or takes longer than the whole request may.
        """
        body = bytearray()
        with self:
            try:
                while len(body) < limit and (
                    piece := self._response.read1(_CHUNK_BYTES, decode_content=False)
                ):
                    body += piece
            except _BROKEN as error:
                when = f" after {len(body)} bytes"
                raise _failure("read from", self.url, error, when) from error
        return Answer(self.status, self.headers, bytes(body[:limit]))

    def discard(self) -> None:
        """Let the connection go, for others to use if the body is short."""
        with suppress(RegistryError):  # nothing of it is wanted
            self.answer(_CHUNK_BYTES)


class Transport:
    """Sends requests; one instance serves many threads."""

    def __init__(
        self, *, trust: Trust | None = None, patience: Patience | None = None, user_agent: str
    ) -> None:
        self.trust = trust or Trust()
        self.patience = patience or Patience()
        self._user_agent = user_agent
        self._pools: dict[tuple[str, str], urllib3.PoolManager] = {}
        self._lock = Lock()

    def open(self, request: Request, *, probe: bool = False) -> Response:
        """Send a request and follow redirects; the caller closes the response.

        What a busy server refuses is asked again, as is what a broken connection lost; the last
        answer is returned whatever its status. RegistryError when there is none. A `probe` gives
        up at the first connection that fails.
        """
        attempt = 1
        while True:
            is_last = attempt >= self.patience.attempts
            try:
                response = self._follow(request)
            except RegistryError as error:
                if probe or is_last or _is_final(error):
                    raise
                wait = None
            else:
                if is_last or response.status not in BUSY:
                    return response
                wait = retry_after(response.headers)
                if wait is not None and wait > self.patience.longest_wait_seconds:
                    return response
                response.discard()
            time.sleep(self._pause(attempt) if wait is None else wait)
            attempt += 1

    def _pause(self, attempt: int) -> float:
        pause = self.patience.pause_seconds * (1 << (attempt - 1))
        return pause * SystemRandom().uniform(0.5, 1)

    def _follow(self, request: Request) -> Response:
        deadline = Deadline(self.patience.request_seconds)
        for _ in range(_MAX_REDIRECTS + 1):
            response = self._send(request, deadline)
            location = response.headers.get("location")
            if response.status not in _REDIRECTS or not location:
                return response
            response.discard()
            request = self._redirected(request, response.url, location)
        raise RegistryError(
            f"cannot reach {parsed(request.url).netloc}: more than {_MAX_REDIRECTS} redirects"
        )

    def _redirected(self, request: Request, origin: Url, location: str) -> Request:
        target = joined(request.url, location)
        reason = self.trust.refusal(origin, target)
        if request.method not in ("GET", "HEAD"):
            reason = f"a {request.method} is not repeated elsewhere"  # its body is a secret
        if reason:
            raise RegistryError(
                f"cannot follow {origin.netloc} to {address_of(target)}: {reason}",
                url=address_of(origin),
            )
        headers = request.headers
        if origin_of(target) != origin_of(origin):
            headers = {key: text for key, text in headers.items() if key.lower() != "authorization"}
        return request.replace(url=target.url, headers=headers)

    def _send(self, request: Request, deadline: Deadline) -> Response:
        url, watch = parsed(request.url), Watch(deadline)
        timeout = urllib3.Timeout(
            connect=self.patience.connect_seconds, read=self.patience.read_seconds
        )
        # identity: a digest names the bytes as they are stored, not what a proxy makes of them
        headers = {"User-Agent": self._user_agent, "Accept-Encoding": "identity", **request.headers}
        try:
            with watched(watch):
                response = self._pool(url).request(
                    request.method,
                    url.url,
                    body=request.body or None,
                    headers=headers,
                    redirect=False,
                    retries=False,
                    timeout=timeout,
                    preload_content=False,
                    decode_content=False,
                )
        except _BROKEN as error:
            raise _failure("reach", url, error) from error
        return Response(request, response, watch, self.patience)

    def _pool(self, url: Url) -> urllib3.PoolManager:
        proxy = proxy_for(url)
        security = url.scheme or ""
        if security == "https" and self.trust.is_insecure(url):
            security = "unverified"
        with self._lock:
            if (proxy, security) not in self._pools:
                self._pools[proxy, security] = new_pool(proxy, security)
            return self._pools[proxy, security]


def address_of(url: Url) -> str:
    """Give a URL that may be shown: without a query, which may be a signature, and without user."""
    return url._replace(auth=None, query=None, fragment=None).url


def is_unconnected(error: RegistryError) -> bool:
    """Say whether no HTTP was to be had: nobody is there, or somebody who speaks otherwise.

    Not so where a certificate is not to be trusted, a redirect was not to be followed, or the whole
    time that a request may take is over.
    """
    cause = error.__cause__
    if cause is not None and isinstance(cause.__cause__, TooSlowError):
        return False
    if isinstance(cause, exceptions.SSLError):
        return _certificate_error(cause) is None
    return isinstance(cause, _BROKEN)


def _is_final(error: RegistryError) -> bool:
    """Say whether asking again cannot help."""
    cause = error.__cause__
    if not is_unconnected(error) or isinstance(cause, exceptions.NameResolutionError):
        return True
    # On loopback nothing can be lost on the way: nobody listens.
    is_refusal = cause is not None and isinstance(cause.__cause__, ConnectionRefusedError)
    return is_refusal and is_loopback(host_of(parsed(error.url)))


def _failure(verb: str, url: Url, error: Exception, when: str = "") -> RegistryError:
    """Turn a failure of the connection into words."""
    reason, hint = _reason(error)
    return RegistryError(
        f"cannot {verb} {url.netloc}: {reason}{when}", hint=hint, url=address_of(url)
    )


def _reason(error: Exception) -> tuple[str, str]:
    """Give what happened, and a hint where one helps."""
    hint = ""
    match error:
        case exceptions.ProxyError():
            words, _ = _reason(error.original_error)
            return f"the proxy failed: {words}", "HTTP_PROXY, HTTPS_PROXY and NO_PROXY name it"
        case exceptions.NameResolutionError():
            words = _system_words(error)
            hint = "is this machine online? HTTPS_PROXY can name a proxy"
        case exceptions.ConnectTimeoutError() if not isinstance(
            error, exceptions.NewConnectionError
        ):
            words = "no connection in time"
        case exceptions.ReadTimeoutError() if isinstance(error.__cause__, TooSlowError):
            words, hint = str(error.__cause__), _SLOW_HINT
        case exceptions.ReadTimeoutError():
            words = "it fell silent"
        case exceptions.SSLError() if certificate := _certificate_error(error):
            words = f"certificate verify failed: {certificate.verify_message}"
            hint = "SSL_CERT_FILE can name a file with the certificate authority to trust"
        case exceptions.SSLError() if "WRONG_VERSION_NUMBER" in str(error):
            words = "it does not speak HTTPS"
            hint = "pull --insecure or CHRUN_INSECURE_REGISTRIES ask it over plain HTTP"
        case ValueError() if not isinstance(error, exceptions.HTTPError):
            words = "its answer is no HTTP"
        case _:
            words = _system_words(error)
    return words, hint


def _certificate_error(error: exceptions.SSLError) -> ssl.SSLCertVerificationError | None:
    inner = error.args[0] if error.args else None
    return inner if isinstance(inner, ssl.SSLCertVerificationError) else None


def _system_words(error: BaseException) -> str:
    """Give the operating system's words, which urllib3 wraps in its own."""
    inner: object = error
    while isinstance(inner, BaseException):
        if isinstance(inner, OSError) and inner.strerror:
            return inner.strerror[:1].lower() + inner.strerror[1:]
        inner = inner.__cause__ or next(
            (held for held in inner.args if isinstance(held, BaseException)), None
        )
    return "the connection broke"
