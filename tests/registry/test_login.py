"""Logging in over real HTTP: who sees which credentials, and how often a token is fetched."""

from __future__ import annotations

import base64
import json
import os
from urllib.parse import parse_qs

import pytest

from chrun.errors import RegistryError, UnauthorizedError
from chrun.oci.manifest import parse_document
from chrun.oci.reference import Reference
from chrun.registry.credentials import CredentialStore
from tests.support.client import client
from tests.support.docker_registry import docker_registry
from tests.support.images import image, layer
from tests.support.needs import needs
from tests.support.registry import Answer, FakeRegistry, Faults

_IMAGE = image([layer({"motd": "hi"}), layer({"more": "words"})])
_ALICES = base64.b64encode(b"alice:secret").decode()
_HTPASSWD = "alice:$2y$05$abcdefghijklmnopqrstuuOQiyCxlgf/oeuTqixKmWdcYUh4Hjl0a\n"  # secret


@pytest.fixture
def reference(registry):
    registry.add(_IMAGE, "x", "latest")
    return Reference.parse(f"{registry.host}/x")


@pytest.fixture
def alice(tmp_path, registry):
    """Give a client with a file of credentials for hosts, of this registry by default."""

    def make(*hosts, **entry):
        path = tmp_path / "auth.json"
        auths = {host: entry or {"auth": _ALICES} for host in hosts or (registry.host,)}
        path.write_text(json.dumps({"auths": auths}))
        return client(credentials=CredentialStore({"REGISTRY_AUTH_FILE": str(path)}))

    return make


def _authorizations(registry):
    return [request.headers.get("authorization", "") for request in registry.requests]


def _pull(one, reference):
    """Ask for a manifest and all its blobs."""
    _, content = one.fetch_manifest(reference)
    for described in parse_document("x", content).layers:
        with one.open_blob(reference, described) as stream:
            b"".join(stream)
    return content


def test_one_token_serves_a_whole_pull(registry, reference):
    registry.faults = Faults(bearer=True)
    assert _pull(client(), reference) == _IMAGE.content
    assert _authorizations(registry) == ["", "", *["Bearer token-0"] * 3]
    assert registry.requests[1].query == {
        "service": [registry.host],
        "scope": ["repository:x:pull"],
    }


def test_a_token_that_expires_is_fetched_anew_once(registry, reference):
    registry.faults = Faults(bearer=True, token_uses=2)
    assert _pull(client(), reference) == _IMAGE.content
    tokens = [request for request in registry.requests if request.path == "/token"]
    assert len(tokens) == 2


def test_a_token_that_is_never_accepted_is_not_fetched_forever(registry, reference):
    registry.faults = Faults(bearer=True, token_uses=0)
    with pytest.raises(UnauthorizedError, match="it does not exist or needs a login") as raised:
        client().fetch_manifest(reference)
    assert "docker login" in raised.value.hint
    assert len(registry.requests) == 3


def test_each_repository_has_its_own_token(registry, reference):
    registry.faults = Faults(bearer=True)
    registry.add(_IMAGE, "y", "latest")
    one = client()
    one.fetch_manifest(reference)
    one.fetch_manifest(reference.replace(repository="y"))
    scopes = [each.query["scope"] for each in registry.requests if each.path == "/token"]
    assert scopes == [["repository:x:pull"], ["repository:y:pull"]]


def test_a_password_is_used_where_there_is_one(registry, reference, alice):
    registry.faults = Faults(bearer=True, users={"alice": "secret"})
    assert _pull(alice(), reference) == _IMAGE.content
    assert f"Basic {_ALICES}" in _authorizations(registry)


def test_a_wrong_password_is_an_error_that_does_not_show_it(registry, reference, alice):
    registry.faults = Faults(bearer=True, users={"alice": "other"})
    with pytest.raises(UnauthorizedError) as raised:
        alice().fetch_manifest(reference)
    assert str(raised.value) == (
        f"cannot pull {registry.host}/x:latest: it does not exist or needs a login: "
        f"{registry.host} says UNAUTHORIZED: wrong password"
    )


def test_basic_is_done_where_it_is_asked_for(registry, reference, alice):
    registry.faults = Faults(basic=True, users={"alice": "secret"})
    assert _pull(alice(), reference) == _IMAGE.content
    assert _authorizations(registry) == ["", *[f"Basic {_ALICES}"] * 3]


def test_a_password_is_not_sent_unasked(registry, reference, alice):
    _pull(alice(), reference)
    assert set(_authorizations(registry)) == {""}


def test_an_identity_token_is_exchanged(registry, reference, alice):
    registry.faults = Faults(bearer=True, users={"a": "b"}, identity_tokens={"refresh-me": "alice"})
    assert _pull(alice(identitytoken="refresh-me"), reference) == _IMAGE.content
    exchange = next(each for each in registry.requests if each.path == "/token")
    assert exchange.method == "POST"
    assert parse_qs(exchange.body.decode())["refresh_token"] == ["refresh-me"]


def test_an_identity_token_is_not_sent_where_a_redirect_leads(registry, reference, alice):
    with FakeRegistry() as elsewhere:
        registry.faults = Faults(bearer=True)
        registry.faults.answer = lambda request: (
            Answer(307, {"Location": f"{elsewhere.url}/token"})
            if request.method == "POST"
            else None
        )
        with pytest.raises(RegistryError, match="a POST is not repeated elsewhere"):
            alice(identitytoken="refresh-me").fetch_manifest(reference)
        assert elsewhere.requests == []


def test_a_token_service_on_another_port_of_loopback_is_the_registrys_own(
    reference, registry, alice
):
    with FakeRegistry(Faults(users={"alice": "secret"})) as service:
        registry.faults = Faults(bearer=True, realm=f"{service.url}/token")
        with pytest.raises(UnauthorizedError):  # its tokens are not this registry's
            alice().fetch_manifest(reference)
        assert _authorizations(service)[0] == f"Basic {_ALICES}"


@pytest.mark.parametrize(
    "realm", ["http://169.254.169.254/latest", "http://registry.invalid/token", "nonsense"]
)
def test_a_realm_that_leads_astray_is_not_asked(registry, reference, alice, realm):
    registry.faults = Faults(bearer=True, realm=realm)
    with pytest.raises(RegistryError, match="the registry sends us to"):
        alice().fetch_manifest(reference)
    assert len(registry.requests) == 1


def test_a_challenge_behind_a_redirect_gets_no_credentials(registry, reference, alice):
    """CVE-2020-15157: who is not the registry may ask, and gets what strangers get."""
    with FakeRegistry(Faults(basic=True, users={"alice": "secret"})) as thief:
        registry.faults.redirect_blobs_to = thief.url
        with pytest.raises(UnauthorizedError):
            _pull(alice(registry.host, thief.host), reference)
        assert set(_authorizations(thief)) == {""}


def test_a_token_for_a_registry_behind_a_redirect_goes_there_only(registry, reference, alice):
    with FakeRegistry(Faults(bearer=True)) as behind:
        behind.add(_IMAGE, "x", "latest")
        registry.faults.redirect_blobs_to = behind.url
        assert _pull(alice(registry.host, behind.host), reference) == _IMAGE.content
        assert set(_authorizations(registry)) == {""}
        assert set(_authorizations(behind)) == {"", "Bearer token-0", "Bearer token-1"}
        assert not any("Basic" in each for each in _authorizations(behind))


def test_a_helper_that_is_not_installed_does_not_hinder_an_anonymous_pull(
    registry, reference, tmp_path
):
    registry.faults = Faults(bearer=True)
    (tmp_path / "auth.json").write_text('{"credsStore": "nowhere"}')
    store = CredentialStore({"REGISTRY_AUTH_FILE": str(tmp_path / "auth.json")})
    assert _pull(client(credentials=store), reference) == _IMAGE.content


def test_a_helper_that_is_not_installed_is_told_when_it_is_missed(registry, reference, tmp_path):
    registry.faults = Faults(bearer=True, users={"alice": "secret"})
    registry.faults.answer = lambda request: (
        Answer(401) if request.path == "/token" else None  # for nobody without a password
    )
    (tmp_path / "auth.json").write_text('{"credsStore": "nowhere"}')
    store = CredentialStore({"REGISTRY_AUTH_FILE": str(tmp_path / "auth.json")})
    with pytest.raises(UnauthorizedError) as raised:
        client(credentials=store).fetch_manifest(reference)
    assert raised.value.hint == "docker-credential-nowhere is not installed"


@needs("docker-registry")
def test_the_real_registry_lets_in_who_has_the_password(tmp_path):
    with docker_registry(htpasswd=_HTPASSWD) as real:
        _IMAGE.push(real.url, "x", "latest", headers={"Authorization": f"Basic {_ALICES}"})
        reference = Reference.parse(f"{real.host}/x")
        with pytest.raises(UnauthorizedError, match="the registry wants a user and password"):
            client().fetch_manifest(reference)
        path = tmp_path / "auth.json"
        path.write_text(json.dumps({"auths": {real.host: {"auth": _ALICES}}}))
        store = CredentialStore({**os.environ, "REGISTRY_AUTH_FILE": str(path)})
        assert _pull(client(credentials=store), reference) == _IMAGE.content
