"""Moving bytes: connections, TLS, proxies, redirects by hand, and patience with busy servers."""

from __future__ import annotations

import os
import ssl
import time
from contextlib import suppress
from email.utils import parsedate_to_datetime
from random import SystemRandom
from threading import Lock
from urllib.parse import unquote, urljoin

import urllib3
from urllib3 import exceptions

from chrun.errors import RegistryError
from chrun.registry.proxies import proxy_for
from chrun.registry.trust import Trust, host_of, is_loopback, origin_of, parsed
from chrun.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from types import TracebackType
    from typing import Self

    from urllib3.util import Url

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
BUSY = frozenset({429, 500, 502, 503, 504})
_MAX_REDIRECTS = 10
_MAX_CONNECTIONS = 8  # to one host: what a pull of several layers at once needs
_CHUNK_BYTES = 1 << 18
# Where systems keep their CAs, for a Python that was built to look elsewhere.
_CA_BUNDLES = (
    "/etc/ssl/certs/ca-certificates.crt",  # Debian, Ubuntu, Arch, Gentoo, Alpine
    "/etc/pki/tls/certs/ca-bundle.crt",  # Fedora, RHEL
    "/etc/ssl/ca-bundle.pem",  # SUSE
    "/etc/ssl/cert.pem",  # Alpine, BSDs
)


class Patience(Value):
    """How long to wait, in seconds, and how often to ask."""

    connect_seconds: float = 10
    read_seconds: float = 60  # without a single byte
    attempts: int = 5
    pause_seconds: float = 0.25  # doubled each time, and jittered
    longest_wait_seconds: float = 60  # a longer Retry-After is not waited for


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

    def __init__(self, request: Request, response: urllib3.BaseHTTPResponse) -> None:
        self.request = request  # the last one, behind redirects
        self.url = parsed(request.url)
        self.status = response.status
        self.headers = {key.lower(): text for key, text in response.headers.items()}
        self._response = response

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
        """Give the body piece by piece; RegistryError where it breaks off."""
        got = 0
        try:
            for chunk in self._response.stream(_CHUNK_BYTES, decode_content=False):
                got += len(chunk)
                yield chunk
        except (exceptions.HTTPError, OSError) as error:
            raise _failure("read from", self.url, error, f" after {got} bytes") from error

    def answer(self, limit: int) -> Answer:
        """Read at most `limit` bytes of the body and let the connection go."""
        body = bytearray()
        with self:
            for chunk in self.chunks():
                body += chunk
                if len(body) >= limit:
                    break
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
        for _ in range(_MAX_REDIRECTS + 1):
            response = self._send(request)
            location = response.headers.get("location")
            if response.status not in _REDIRECTS or not location:
                return response
            response.discard()
            request = self._redirected(request, response.url, location)
        raise RegistryError(
            f"cannot reach {parsed(request.url).netloc}: more than {_MAX_REDIRECTS} redirects"
        )

    def _redirected(self, request: Request, origin: Url, location: str) -> Request:
        target = parsed(urljoin(request.url, location))
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

    def _send(self, request: Request) -> Response:
        url = parsed(request.url)
        timeout = urllib3.Timeout(
            connect=self.patience.connect_seconds, read=self.patience.read_seconds
        )
        # identity: a digest names the bytes as they are stored, not what a proxy makes of them
        headers = {"User-Agent": self._user_agent, "Accept-Encoding": "identity", **request.headers}
        try:
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
        except (exceptions.HTTPError, OSError) as error:
            raise _failure("reach", url, error) from error
        return Response(request, response)

    def _pool(self, url: Url) -> urllib3.PoolManager:
        proxy = proxy_for(url)
        security = url.scheme or ""
        if security == "https" and self.trust.is_insecure(url):
            security = "unverified"
        with self._lock:
            if (proxy, security) not in self._pools:
                self._pools[proxy, security] = _new_pool(proxy, _CONTEXTS[security]())
            return self._pools[proxy, security]


def address_of(url: Url) -> str:
    """Give a URL that may be shown: without a query, which may be a signature, and without user."""
    return url._replace(auth=None, query=None, fragment=None).url


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Read Retry-After, in seconds or as a date (RFC 9110, section 10.2.3); None without one."""
    text = headers.get("retry-after", "").strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - time.time())
    except ValueError:
        return None


def is_unconnected(error: RegistryError) -> bool:
    """Say whether no HTTP was to be had: nobody is there, or somebody who speaks otherwise.

    Not so where a certificate is not to be trusted or a redirect was not to be followed.
    """
    cause = error.__cause__
    if isinstance(cause, exceptions.SSLError):
        return _certificate_error(cause) is None
    return isinstance(cause, (exceptions.HTTPError, OSError))


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
        case exceptions.ReadTimeoutError():
            words = "it fell silent"
        case exceptions.SSLError() if certificate := _certificate_error(error):
            words = f"certificate verify failed: {certificate.verify_message}"
            hint = "SSL_CERT_FILE can name a file with the certificate authority to trust"
        case exceptions.SSLError() if "WRONG_VERSION_NUMBER" in str(error):
            words = "it does not speak HTTPS"
            hint = "pull --insecure or CHRUN_INSECURE_REGISTRIES ask it over plain HTTP"
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


def _new_pool(proxy: str, context: ssl.SSLContext | None) -> urllib3.PoolManager:
    if not proxy:
        return urllib3.PoolManager(maxsize=_MAX_CONNECTIONS, ssl_context=context)
    user = parsed(proxy).auth
    return urllib3.ProxyManager(
        parsed(proxy)._replace(auth=None).url,
        maxsize=_MAX_CONNECTIONS,
        ssl_context=context,
        proxy_headers=urllib3.make_headers(proxy_basic_auth=unquote(user)) if user else None,
    )


def _verified_context() -> ssl.SSLContext:
    """Trust the system's CAs, or those of SSL_CERT_FILE and SSL_CERT_DIR, which OpenSSL reads."""
    context = ssl.create_default_context()
    known = ssl.get_default_verify_paths()
    if not known.cafile and not (known.capath and os.listdir(known.capath)):
        for bundle in filter(os.path.exists, _CA_BUNDLES):
            context.load_verify_locations(bundle)
            break
    return context


def _unverified_context() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    urllib3.disable_warnings(exceptions.InsecureRequestWarning)  # the user listed the host
    return context


# Reading the system's CAs takes longer than asking a registry on loopback.
_CONTEXTS: dict[str, Callable[[], ssl.SSLContext | None]] = {
    "http": lambda: None,
    "https": _verified_context,
    "unverified": _unverified_context,
}
