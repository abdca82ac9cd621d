"""Connections to servers: TLS, proxies, and sockets that are read from for a limited time.

urllib3 limits how long one read takes. A server that sends a byte now and then, headers, interim
answers or trailers without end, keeps a reader for ever all the same. So every read of a socket
asks how long it may take.
"""

from __future__ import annotations

import http.client
import io
import os
import ssl
import threading
from contextlib import contextmanager
from time import monotonic
from urllib.parse import unquote

import urllib3
from urllib3 import exceptions
from urllib3.connection import HTTPConnection, HTTPSConnection

from chrun.registry.trust import parsed

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Generator

    from chrun.registry.patience import Limit

_LEAST_SECONDS = 0.001  # a timeout of 0 would not block
_IDLE_SECONDS = 60.0  # where urllib3 was told none
_MAX_CONNECTIONS = 8  # to one host: what a pull of several layers at once needs
# Where systems keep their CAs, for a Python that was built to look elsewhere.
_CA_BUNDLES = (
    "/etc/ssl/certs/ca-certificates.crt",  # Debian, Ubuntu, Arch, Gentoo, Alpine
    "/etc/pki/tls/certs/ca-bundle.crt",  # Fedora, RHEL
    "/etc/ssl/ca-bundle.pem",  # SUSE
    "/etc/ssl/cert.pem",  # Alpine, BSDs
)


class Watch:
    """The limit of the reads of one response; `limit` may be replaced between two."""

    def __init__(self, limit: Limit) -> None:
        self.limit = limit


class _Watches(threading.local):
    """The watch of the request that a thread makes: urllib3 passes nothing on to connections."""

    current: Watch | None = None


_watches = _Watches()


@contextmanager
def watched(watch: Watch) -> Generator[None]:
    """Limit the responses that this thread waits for in the block, also when they are read later.

    Only those of pools that `new_pool` made.
    """
    _watches.current = watch
    try:
        yield
    finally:
        _watches.current = None


class _WatchedSocket(io.RawIOBase):
    """A socket's bytes, read under a watch; holds on to the socket as its own file does."""

    def __init__(self, file: io.RawIOBase, source: socket.socket, watch: Watch) -> None:
        self._file = file
        self._source = source
        self._watch = watch
        self._idle_seconds = source.gettimeout() or _IDLE_SECONDS

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override] # of typeshed's Buffer
        """Read what comes next; TooSlowError or TimeoutError when nothing comes in time."""
        idle_end = monotonic() + self._idle_seconds
        left = self._watch.limit.seconds_left()
        timeout = self._source.gettimeout()
        if timeout is None or timeout > left:
            # To change it costs system calls. Half of it fits for many reads, though `left` falls.
            self._limit(min(left, self._idle_seconds) / 2)
        while True:
            try:
                size = self._source.recv_into(buffer)
            except TimeoutError:
                if monotonic() >= idle_end:
                    raise
                left = self._watch.limit.seconds_left()
                self._limit(min(left, idle_end - monotonic()))
            else:
                self._watch.limit.note_arrival()
                return size

    def _limit(self, seconds: float) -> None:
        """Set the socket's timeout, which urllib3 sets anew for its next request."""
        self._source.settimeout(max(_LEAST_SECONDS, seconds))

    def close(self) -> None:
        """Let go of the socket."""
        self._file.close()
        super().close()


class _WatchedResponse(http.client.HTTPResponse):
    """A response that is read under the watch of the request it answers, from its first byte on."""

    def __init__(
        self,
        sock: socket.socket,
        debuglevel: int = 0,
        method: str | None = None,
        url: str | None = None,
    ) -> None:
        super().__init__(sock, debuglevel, method, url)
        if watch := _watches.current:
            self.fp = io.BufferedReader(_WatchedSocket(self.fp.detach(), sock, watch))


class _Connection(HTTPConnection):
    response_class = _WatchedResponse


class _TlsConnection(HTTPSConnection):
    response_class = _WatchedResponse


# urllib3 declares its own connections for these, which are not quite what it declares they must be
class _Pool(urllib3.HTTPConnectionPool):
    ConnectionCls = _Connection  # pyright: ignore[reportAssignmentType]


class _TlsPool(urllib3.HTTPSConnectionPool):
    ConnectionCls = _TlsConnection  # pyright: ignore[reportAssignmentType]


_POOLS: dict[str, type[urllib3.HTTPConnectionPool] | type[urllib3.HTTPSConnectionPool]] = {
    "http": _Pool,
    "https": _TlsPool,
}


def new_pool(proxy: str, security: str) -> urllib3.PoolManager:
    """Make connections for one proxy, "" for none, and "http", "https" or "unverified" TLS."""
    pool = _manager(proxy, _CONTEXTS[security]())
    pool.pool_classes_by_scheme = _POOLS
    return pool


def _manager(proxy: str, context: ssl.SSLContext | None) -> urllib3.PoolManager:
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
