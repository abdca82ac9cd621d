"""Logging in, without a socket: challenges in, token requests out."""

import base64
import json
from urllib.parse import parse_qs

import pytest

from chrun.errors import ContentError, RegistryError, UnauthorizedError
from chrun.registry.auth import Challenge, Login, authorize, parse_challenges
from chrun.registry.credentials import ANONYMOUS, Credential
from chrun.registry.http import Answer
from chrun.registry.trust import Trust, parsed

_HUB_CHALLENGE = (
    'Bearer realm="https://auth.docker.io/token",service="registry.docker.io",'
    'scope="repository:library/redis:pull"'
)
_ALICE = Credential("alice", "se:cret")
_ALICES_BASIC = "Basic " + base64.b64encode(b"alice:se:cret").decode()


def _login(credential=ANONYMOUS, registry="https://registry-1.docker.io/v2/"):
    return Login("pull redis", parsed(registry), "repository:r:pull", credential, Trust())


def _asked(header, login):
    """Give the flow and the first request that it wants answered."""
    flow = authorize(header, login)
    return flow, next(flow)


def _ended(flow, answer):
    """Answer a flow's request, and give what it comes to."""
    with pytest.raises(StopIteration) as stopped:
        flow.send(answer)
    return stopped.value.value


def _token(**fields):
    return Answer(200, {}, json.dumps(fields).encode())


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("", []),
        ("Basic", [("basic", {})]),
        ('Basic realm="a, b"', [("basic", {"realm": "a, b"})]),
        ('Bearer realm="a",service=b', [("bearer", {"realm": "a", "service": "b"})]),
        ('BEARER REALM="a"', [("bearer", {"realm": "a"})]),
        ('Bearer realm = "a" , scope="x:y:pull,push"', [
            ("bearer", {"realm": "a", "scope": "x:y:pull,push"})]),
        (r'Basic realm="say \"hi\""', [("basic", {"realm": 'say "hi"'})]),
        ('Bearer realm="a", Basic realm="b"', [
            ("bearer", {"realm": "a"}), ("basic", {"realm": "b"})]),
        ('Negotiate, Basic realm="b"', [("negotiate", {}), ("basic", {"realm": "b"})]),
        ('Bearer realm="never closed', [("bearer", {"realm": ""})]),
    ],
)  # fmt: skip
def test_challenges_are_read_as_they_are_written_in_the_wild(header, expected):
    assert list(parse_challenges(header)) == [Challenge(*each) for each in expected]


def test_an_anonymous_pull_asks_docker_hub_for_a_token_without_credentials():
    flow, request = _asked(_HUB_CHALLENGE, _login())
    address, _, query = request.url.partition("?")
    assert (request.method, address) == ("GET", "https://auth.docker.io/token")
    assert parse_qs(query) == {
        "service": ["registry.docker.io"],
        "scope": ["repository:library/redis:pull"],
    }
    assert "Authorization" not in request.headers
    assert _ended(flow, _token(token="t")) == "Bearer t"


def test_a_password_goes_to_the_registrys_own_token_service():
    _, request = _asked(_HUB_CHALLENGE, _login(_ALICE))
    assert request.headers["Authorization"] == _ALICES_BASIC


def test_a_password_does_not_go_to_a_stranger():
    _, request = _asked('Bearer realm="https://evil.example/token"', _login(_ALICE))
    assert "Authorization" not in request.headers
    assert "cret" not in request.url


def test_the_error_says_that_the_password_was_kept_back():
    flow, _ = _asked('Bearer realm="https://evil.example/token"', _login(_ALICE))
    with pytest.raises(UnauthorizedError) as raised:
        flow.send(Answer(401))
    assert raised.value.hint == (
        "the password was kept back: evil.example is not known to be the registry's own"
    )


def test_an_identity_token_travels_in_the_body():
    flow, request = _asked(_HUB_CHALLENGE, _login(Credential(identity_token="refresh-me")))
    assert (request.method, request.url) == ("POST", "https://auth.docker.io/token")
    form = parse_qs(request.body.decode())
    assert form["grant_type"] == ["refresh_token"]
    assert form["refresh_token"] == ["refresh-me"]
    assert form["scope"] == ["repository:library/redis:pull"]
    assert _ended(flow, _token(access_token="t")) == "Bearer t"


def test_an_identity_token_does_not_go_to_a_stranger():
    credential = Credential(identity_token="refresh-me")
    _, request = _asked('Bearer realm="https://evil.example/token"', _login(credential))
    assert (request.method, request.body) == ("GET", b"")


def test_a_realm_keeps_the_query_that_it_has():
    _, request = _asked('Bearer realm="https://auth.docker.io/t?a=b",service="s"', _login())
    assert parse_qs(request.url.partition("?")[2]) == {
        "a": ["b"],
        "service": ["s"],
        "scope": ["repository:r:pull"],
    }


def test_a_service_cannot_smuggle_in_parameters():
    _, request = _asked('Bearer realm="https://auth.docker.io/t",service="s&scope=all#"', _login())
    assert parse_qs(request.url.partition("?")[2])["service"] == ["s&scope=all#"]


@pytest.mark.parametrize(
    "realm",
    [
        "http://auth.docker.io/token",
        "http://169.254.169.254/latest",
        "https://169.254.169.254/latest",
        "https://127.0.0.1/token",
        "file:///etc/passwd",
        "",
    ],
)
def test_a_realm_that_leads_inside_or_down_to_plain_http_is_never_asked(realm):
    flow = authorize(f'Bearer realm="{realm}"', _login(_ALICE))
    with pytest.raises(RegistryError, match="cannot pull redis: the registry sends us to"):
        next(flow)


def test_bearer_is_taken_where_basic_is_offered_too():
    header = 'Basic realm="x", Bearer realm="https://auth.docker.io/token"'
    assert _asked(header, _login(_ALICE))[1].url.startswith("https://auth.docker.io/token")


def test_basic_needs_no_request():
    with pytest.raises(StopIteration) as stopped:
        next(authorize('Basic realm="x"', _login(_ALICE)))
    assert stopped.value.value == _ALICES_BASIC


def test_basic_without_credentials_says_how_to_log_in():
    with pytest.raises(UnauthorizedError, match="wants a user and password") as raised:
        next(authorize('Basic realm="x"', _login()))
    assert "docker login" in raised.value.hint


def test_a_helper_that_failed_is_told_when_its_credentials_are_missed():
    problem = "docker-credential-x is not installed"
    with pytest.raises(UnauthorizedError) as raised:
        next(authorize('Basic realm="x"', _login(Credential(problem=problem))))
    assert raised.value.hint == problem


def test_an_unknown_kind_of_login_is_named_as_such():
    with pytest.raises(UnauthorizedError, match="a login of an unknown kind"):
        next(authorize("Negotiate", _login(_ALICE)))


@pytest.mark.parametrize("token", ["", "two words", "new\nline", "ünicode"])
def test_a_token_that_does_not_fit_a_header_is_refused(token):
    flow, _ = _asked(_HUB_CHALLENGE, _login())
    with pytest.raises(RegistryError, match="the token service gave no token"):
        flow.send(_token(token=token))


@pytest.mark.parametrize("token", ["nul\0", "\ud800"])
def test_a_token_that_is_no_text_is_refused(token):
    flow, _ = _asked(_HUB_CHALLENGE, _login())
    with pytest.raises(ContentError, match="cannot read the token service's answer: token has "):
        flow.send(_token(token=token))


def test_a_token_that_is_no_json_is_refused():
    flow, _ = _asked(_HUB_CHALLENGE, _login())
    with pytest.raises(ContentError, match="cannot read the token service's answer: not JSON"):
        flow.send(Answer(200, {}, b"<html>"))


def test_a_token_service_that_refuses_is_quoted():
    body = json.dumps({"errors": [{"code": "DENIED", "message": "wrong password"}]}).encode()
    flow, _ = _asked(_HUB_CHALLENGE, _login(_ALICE))
    with pytest.raises(UnauthorizedError) as raised:
        flow.send(Answer(403, {}, body))
    assert str(raised.value) == (
        "cannot pull redis: it does not exist or needs a login: "
        "auth.docker.io says DENIED: wrong password"
    )
    assert (raised.value.code, raised.value.status) == ("DENIED", 403)
    assert raised.value.url == "https://auth.docker.io/token"


def test_a_token_service_that_is_broken_is_not_a_question_of_credentials():
    flow, _ = _asked(_HUB_CHALLENGE, _login())
    with pytest.raises(RegistryError, match="says status 500") as raised:
        flow.send(Answer(500))
    assert type(raised.value) is RegistryError


def test_no_error_and_no_repr_shows_a_secret():
    flow, request = _asked(_HUB_CHALLENGE, _login(_ALICE))
    with pytest.raises(UnauthorizedError) as raised:
        flow.send(Answer(401))
    assert "cret" not in f"{raised.value}{raised.value.hint}{raised.value.url}{_login(_ALICE)!r}"
    assert _ALICES_BASIC.split()[1] not in f"{raised.value}{request!r}"
