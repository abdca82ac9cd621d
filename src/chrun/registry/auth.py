"""Logging in: Basic (RFC 7617) and the bearer-token dance of the distribution project.

No I/O here: `authorize` yields the requests that it wants answered (style S6).
"""

from __future__ import annotations

import re
from urllib.parse import urlencode

from chrun.errors import RegistryError, UnauthorizedError
from chrun.oci.document import Document
from chrun.registry.credentials import ANONYMOUS, Credential
from chrun.registry.failures import LOGIN_HINT, explained
from chrun.registry.http import Answer, Request, address_of
from chrun.registry.trust import Trust, belongs, parsed
from chrun.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Mapping

    from urllib3.util import Url

MAX_TOKEN_BYTES = 256 << 10
_CLIENT_ID = "chrun"

# One step of RFC 9110, section 11.6.1: a parameter, or else the scheme of the next challenge.
_WORD = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_STEP = re.compile(
    rf'[\s,]*(?:(?P<key>{_WORD})\s*=\s*(?:"(?P<quoted>(?:[^"\\]|\\.)*)"|(?P<plain>[^\s,"]*))'
    rf"|(?P<scheme>{_WORD})(?![^\s,]))"
)


class Challenge(Value):
    """What a server wants: a scheme in lower case, and its parameters."""

    scheme: str
    parameters: Mapping[str, str]


class Login(Value):
    """Who wants what from whom; `what` is "pull redis:7", for messages."""

    what: str
    registry: Url
    scope: str
    credential: Credential
    trust: Trust


def parse_challenges(header: str) -> Iterator[Challenge]:
    """Read WWW-Authenticate, which may hold several challenges; ends where it makes no sense."""
    scheme, parameters, position = "", dict[str, str](), 0
    while step := _STEP.match(header, position):
        position = step.end()
        if step["scheme"] is None:
            quoted = step["quoted"]
            content = step["plain"] if quoted is None else re.sub(r"\\(.)", r"\1", quoted)
            parameters[step["key"].lower()] = content
            continue
        if scheme:
            yield Challenge(scheme, parameters)
        scheme, parameters = step["scheme"].lower(), {}
    if scheme:
        yield Challenge(scheme, parameters)


def authorize(header: str, login: Login) -> Generator[Request, Answer, str]:
    """Give the Authorization header's value that answers a challenge.

    UnauthorizedError where credentials are missing or not accepted, RegistryError where the
    registry sends us somewhere it may not.
    """
    challenges = {challenge.scheme: challenge for challenge in parse_challenges(header)}
    if bearer := challenges.get("bearer"):
        return (yield from _dance(bearer, login))
    if "basic" in challenges and login.credential.basic:
        return login.credential.basic
    wanted = "a user and password" if "basic" in challenges else "a login of an unknown kind"
    raise UnauthorizedError(
        f"cannot {login.what}: the registry wants {wanted}",
        hint=login.credential.problem or LOGIN_HINT,
        status=401,
        url=address_of(login.registry),
    )


def _dance(bearer: Challenge, login: Login) -> Generator[Request, Answer, str]:
    realm = parsed(bearer.parameters.get("realm", ""))
    if reason := login.trust.refusal(login.registry, realm):
        raise RegistryError(
            f"cannot {login.what}: "
            f"the registry sends us to {address_of(realm) or 'nowhere'} for a token: {reason}",
            url=address_of(login.registry),
        )
    is_own = belongs(realm, login.registry)
    credential = login.credential if is_own else ANONYMOUS
    fields = {"scope": bearer.parameters.get("scope") or login.scope}
    if service := bearer.parameters.get("service"):
        fields["service"] = service
    answer = yield _token_request(realm, fields, credential)
    if answer.status == 200:
        return f"Bearer {_token_in(answer, login)}"
    raise _refused(answer, realm, login, is_own=is_own)


def _token_request(realm: Url, fields: Mapping[str, str], credential: Credential) -> Request:
    if credential.identity_token:  # OAuth 2: the token travels in the body, not in the URL
        form = {
            "grant_type": "refresh_token",
            "client_id": _CLIENT_ID,
            "refresh_token": credential.identity_token,
            **fields,
        }
        kind = {"Content-Type": "application/x-www-form-urlencoded"}
        return Request("POST", realm.url, kind, urlencode(form).encode())
    query = "&".join(filter(None, (realm.query, urlencode(fields))))
    url = realm._replace(query=query or None, fragment=None).url
    return Request("GET", url).authorized(credential.basic)


def _token_in(answer: Answer, login: Login) -> str:
    document = Document.parse("the token service's answer", answer.body)
    token = document.text("token", "") or document.text("access_token", "")
    if not (token and token.isascii() and token.isprintable() and " " not in token):
        raise RegistryError(
            f"cannot {login.what}: the token service gave no token",
            url=address_of(login.registry),
        )
    return token


def _refused(answer: Answer, realm: Url, login: Login, *, is_own: bool) -> RegistryError:
    words = ": ".join(filter(None, explained(answer))) or f"status {answer.status}"
    hint = login.credential.problem
    if login.credential and not is_own:
        hint = f"the password was kept back: {realm.netloc} is not known to be the registry's own"
    kind = UnauthorizedError if answer.status in (400, 401, 403) else RegistryError
    return kind(
        f"cannot {login.what}: it does not exist or needs a login: {realm.netloc} says {words}",
        hint=hint or (LOGIN_HINT if kind is UnauthorizedError else ""),
        status=answer.status,
        code=explained(answer)[0],
        url=address_of(realm),
    )
