"""Headers and small answers of registries: challenges, tokens, errors, waits, ranges."""

from __future__ import annotations

from chrun.registry.auth import Login, authorize, parse_challenges
from chrun.registry.credentials import ANONYMOUS, Credential
from chrun.registry.failures import explained
from chrun.registry.headers import parse_number, range_start, retry_after
from chrun.registry.http import Answer
from chrun.registry.trust import Trust, parsed
from tests.fuzz.harness import Quiet, fuzz
from tests.fuzz.inputs import Draw, anything, json_bytes, listed, number, objects, text

_PARTS = (
        "Bearer", "Basic", "Negotiate", " ", ",", "=", '"', "\\", "realm", "service", "scope",
        '"http://127.0.0.1:5000/token"', '"http://["', '"https://a.example/t?x=y"', "http://a",
        '"http://169.254.169.254/"', "a", "\xff", "\t", "\\\"", '"x, y"',
)  # fmt: skip
_TOKENS = objects(
    {"token": text, "access_token": text, "expires_in": number, "issued_at": anything}
)
_ERRORS = objects({"errors": listed(objects({"code": text, "message": text, "detail": anything}))})
_LOGINS = (ANONYMOUS, Credential("me", "secret"), Credential(identity_token="t"))
_DATES = (
    "Fri, 01 Jan 2100 00:00:00 GMT", "Fri, 01 Jan 9999 23:59:59 -9999",
    "Sunday, 06-Nov-94 08:49:37 GMT",
    "Sun Nov  6 08:49:37 1994", "1 Jan 0 0:0:0",
)  # fmt: skip


def _login(draw: Draw) -> tuple[str, bytes, int, Credential]:
    """Make a challenge, the token service's answer and its status, and who logs in."""
    header = "".join(draw.list(lambda draw: draw.of(_part, _part, Draw.word), 16))
    header = header.encode(errors="ignore").decode("latin-1")  # as http.client gives it
    if draw.chance(2):
        header = f'Bearer realm="http://127.0.0.1:5000/t",{header}'
    body = draw.damaged(_TOKENS(draw).encode(errors="surrogatepass"))
    return header, body, draw.one((200, 200, 200, 401, 500)), draw.one(_LOGINS)


def _part(draw: Draw) -> str:
    return draw.one(_PARTS)


def _value(draw: Draw) -> str:
    """Make the value of a header: a date or number, or parts of them."""
    whole = draw.of(Draw.word, Draw.number, lambda draw: draw.one(_DATES))
    words = whole.split(" ")
    if draw.chance(2):
        words[draw.integer(0, len(words) - 1)] = draw.of(Draw.word, Draw.number)
    return " ".join(words)


def _log_in(given: tuple[str, bytes, int, Credential]) -> None:
    header, body, status, credential = given
    list(parse_challenges(header))
    login = Login("pull x", parsed("http://127.0.0.1:5000"), "s", credential, Trust())
    with Quiet():
        flow, given = authorize(header, login), ""
        try:
            next(flow)
            flow.send(Answer(status, {}, body))
        except StopIteration as done:
            given = done.value
        assert given.isascii()
        assert given.isprintable()


def _explain(body: bytes) -> None:
    assert all(text.isprintable() for text in explained(Answer(400, {}, body)))


def _headers(text: str) -> None:
    wait = retry_after({"retry-after": text})
    assert wait is None or wait >= 0
    for found in (parse_number(text), range_start({"content-range": f"bytes {text}"})):
        assert found is None or 0 <= found < 1 << 63


def run(seconds: float, seed: int | None = None) -> None:
    """Fuzz each of them."""
    fuzz(_log_in, _login, seconds / 2, seed)
    fuzz(_explain, json_bytes(_ERRORS), seconds / 4, seed)
    fuzz(_headers, _value, seconds / 4, seed)
