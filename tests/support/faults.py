"""What a FakeRegistry is asked and answers, and what can be wrong with it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from chrun.values import Value

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


class Request(Value):
    """One request as it came in; header names are in lower case, `target` is of the first line."""

    method: str
    path: str
    query: Mapping[str, list[str]]
    headers: Mapping[str, str]
    body: bytes = b""
    target: str = ""

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


class Answer(Value):
    """What goes out; the Content-Length is added, unless `chunked`."""

    status: int
    headers: Mapping[str, str] = {}
    body: bytes = b""
    stop_at: int | None = None  # the connection breaks after so many bytes of the body
    stalls: bool = False  # there, it stays open instead, until the client closes it


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
        self.hang_ups = 0  # the connection ends instead of an answer
        self.rate_limits, self.retry_after = 0, "1"
        self.head = True
        self.explains_tls = True  # a TLS server answers plain HTTP with a 400, as Go's do
        # what is wrong with blobs
        self.redirect_blobs_to = ""  # the base URL of another FakeRegistry
        self.truncate_at, self.truncations = 0, 0
        self.stalls = False  # what is truncated stays open, until the client closes it
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


def refusal(
    status: int, code: str, message: str, headers: Mapping[str, str] | None = None
) -> Answer:
    """Give an error as distribution-spec has it."""
    body = json.dumps({"errors": [{"code": code, "message": message}]}).encode()
    return Answer(status, {"Content-Type": "application/json", **(headers or {})}, body)
