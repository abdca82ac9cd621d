"""A server that sends bytes which no HTTP server would send, for as long as anybody reads them.

with RawServer(endless(b"HTTP/1.1 200 OK\\r\\n", b"X: y\\r\\n")) as server:
    ... server.host is "127.0.0.1:port"
"""

from __future__ import annotations

import socket
import socketserver
import threading
from itertools import chain, repeat
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Self

    Pieces = Callable[[], Iterable[bytes]]

_REQUEST_BYTES = 1 << 16


class RawServer:
    """A context manager; every connection is answered with the same pieces, and then closed.

    `pause_seconds` lie between two pieces; `path` gets another answer than all else.
    """

    def __init__(self, pieces: Pieces, *, pause_seconds: float = 0.0) -> None:
        self.ending = threading.Event()
        self.connections = 0
        self.pieces = pieces
        self.pause_seconds = pause_seconds
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.owner = self
        self.host = f"127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self.ending.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Server(socketserver.ThreadingTCPServer):
    owner: RawServer
    daemon_threads = True


class _Handler(socketserver.BaseRequestHandler):
    server: _Server
    request: socket.socket

    def handle(self) -> None:
        owner = self.server.owner
        owner.connections += 1
        self.request.recv(_REQUEST_BYTES)
        try:
            for piece in owner.pieces():
                self.request.sendall(piece)
                if owner.ending.wait(owner.pause_seconds):
                    return
        except OSError:  # the client has enough, which is what these tests are about
            return


def once(*pieces: bytes) -> Pieces:
    """Return an answer that ends."""
    return lambda: pieces


def endless(beginning: bytes, again: bytes) -> Pieces:
    """Return an answer that goes on and on."""
    return lambda: chain([beginning], repeat(again))
