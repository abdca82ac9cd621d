"""Talking to registries: finds out whether one speaks TLS, and logs in where it asks for it."""

from __future__ import annotations

from collections import defaultdict
from threading import Lock

from chrun.errors import RegistryError
from chrun.registry.auth import MAX_TOKEN_BYTES, Login, authorize
from chrun.registry.credentials import ANONYMOUS, CredentialStore
from chrun.registry.http import Request, Response, Transport, is_unconnected
from chrun.registry.trust import origin_of, parsed
from chrun.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping

    from urllib3.util import Url

    from chrun.registry.http import Answer

    # whom a token is for, and what it opens
    Key = tuple[tuple[str, str, int], str]


class Place(Value):
    """A repository: its registry as references and credentials name it, and the host to ask."""

    registry: str
    host: str
    repository: str


class Ask(Value):
    """A request for `path` below a repository; `what` is "pull redis:7", for messages."""

    what: str
    place: Place
    method: str
    path: str
    headers: Mapping[str, str] = {}

    def request(self, scheme: str) -> Request:
        """Give the HTTP request."""
        url = f"{scheme}://{self.place.host}/v2/{self.place.repository}/{self.path}"
        return Request(self.method, url, self.headers)


class Session:
    """Asks registries; one instance serves many threads."""

    def __init__(self, transport: Transport, credentials: CredentialStore) -> None:
        self._transport = transport
        self._credentials = credentials
        self._schemes: dict[str, str] = {}
        self._tokens = _Tokens()

    def open(self, ask: Ask) -> Response:
        """Give the answer, whatever its status, after logging in if that was asked for.

        The caller closes it. RegistryError when there is none, UnauthorizedError when the login
        fails.
        """
        scheme = self._schemes.get(ask.place.host)
        response = self._open(ask, scheme) if scheme else self._first_contact(ask)
        if response.status == 401 and "www-authenticate" in response.headers:
            return self._log_in(ask, response)
        return response

    def _first_contact(self, ask: Ask) -> Response:
        """Find out which scheme the registry speaks, without a request more than needed."""
        schemes = self._possible_schemes(parsed(f"https://{ask.place.host}"))
        if len(schemes) == 1:
            return self._open(ask, "https")
        for scheme in schemes:
            try:
                response = self._open(ask, scheme, probe=True)
            except RegistryError as error:
                if not is_unconnected(error):
                    raise
                continue
            if scheme == "http" and response.status == 400:  # what TLS servers answer to HTTP
                response.discard()
                continue
            self._schemes[ask.place.host] = scheme
            return response
        return self._open(ask, schemes[0])

    def _possible_schemes(self, url: Url) -> tuple[str, ...]:
        """Give the schemes to try: plain HTTP only where it is allowed."""
        trust = self._transport.trust
        if trust.is_insecure(url):
            return "https", "http"
        return ("http", "https") if trust.allows_plain_http(url) else ("https",)

    def _open(self, ask: Ask, scheme: str, *, probe: bool = False) -> Response:
        request = ask.request(scheme)
        known = self._tokens.known(_key(parsed(request.url), ask))
        return self._transport.open(request.authorized(known), probe=probe)

    def _log_in(self, ask: Ask, refusal: Response) -> Response:
        """Answer a challenge and ask again.

        A challenge that comes from where a redirect led is another server's: it gets no
        credentials, and the token goes nowhere else (CVE-2020-15157).
        """
        asked = parsed(ask.request(self._schemes.get(ask.place.host, "https")).url)
        is_own = origin_of(refusal.url) == origin_of(asked)
        key = _key(refusal.url, ask)
        refusal.discard()
        authorization = self._tokens.renewed(
            key,
            refusal.request.headers.get("Authorization", "") if is_own else self._tokens.known(key),
            lambda: self._authorization(ask, refusal, is_own=is_own),
        )
        request = Request(ask.method, refusal.url.url, ask.headers)
        return self._transport.open(request.authorized(authorization))

    def _authorization(self, ask: Ask, refusal: Response, *, is_own: bool) -> str:
        place = ask.place
        login = Login(
            what=ask.what,
            registry=refusal.url,
            scope=f"repository:{place.repository}:pull",
            credential=(
                self._credentials.find(place.registry, place.repository) if is_own else ANONYMOUS
            ),
            trust=self._transport.trust,
        )
        return self._answered(authorize(refusal.headers["www-authenticate"], login))

    def _answered(self, flow: Generator[Request, Answer, str]) -> str:
        try:
            request = next(flow)
            while True:
                request = flow.send(self._transport.open(request).answer(MAX_TOKEN_BYTES))
        except StopIteration as done:
            authorization: str = done.value
            return authorization


class _Tokens:
    """The Authorization headers that were accepted; of many threads only one fetches a new one."""

    def __init__(self) -> None:
        self._held: dict[Key, str] = {}
        self._locks: defaultdict[Key, Lock] = defaultdict(Lock)

    def known(self, key: Key) -> str:
        """Give what is held, or ""."""
        return self._held.get(key, "")

    def renewed(self, key: Key, stale: str, fetch: Callable[[], str]) -> str:
        """Give what another thread put in the place of `stale` meanwhile, or fetch anew."""
        with self._locks[key]:
            if self.known(key) == stale:
                self._held[key] = fetch()
            return self._held[key]


def _key(url: Url, ask: Ask) -> Key:
    return origin_of(url), ask.place.repository
