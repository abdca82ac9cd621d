"""Connections that fail, servers that are busy, redirects, certificates and proxies."""

from __future__ import annotations

import http.server
import socket
import ssl
import threading
import time
from contextlib import contextmanager

import pytest
import trustme

from chrun.errors import ImageNotFoundError, RateLimitedError, RegistryError
from chrun.oci.reference import Reference
from tests.support.client import HASTE, client
from tests.support.images import image, layer
from tests.support.registry import Answer, FakeRegistry, Faults

_IMAGE = image([layer({"motd": "hi"})])


@pytest.fixture
def reference(registry):
    registry.add(_IMAGE, "x", "latest")
    return Reference.parse(f"{registry.host}/x")


def _layer(reference, **options):
    from chrun.oci.manifest import parse_document

    described = parse_document("x", _IMAGE.content).layers[0]
    with client(**options).open_blob(reference, described) as stream:
        return b"".join(stream)


@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_a_busy_server_is_asked_again(registry, reference, status):
    registry.faults = Faults(failures=2, failure_status=status)
    assert client().fetch_manifest(reference)[1] == _IMAGE.content
    assert len(registry.log) == 3


def test_a_server_that_stays_busy_is_given_up(registry, reference):
    registry.faults = Faults(failures=99)
    with pytest.raises(RegistryError, match="UNAVAILABLE: try again") as raised:
        client().fetch_manifest(reference)
    assert raised.value.status == 503
    assert len(registry.log) == HASTE.attempts


def test_what_was_not_found_is_not_asked_for_again(registry):
    with pytest.raises(ImageNotFoundError):
        client().fetch_manifest(Reference.parse(f"{registry.host}/nowhere"))
    assert len(registry.log) == 1


def test_retry_after_is_waited_for(registry, reference):
    registry.faults = Faults(rate_limits=1, retry_after="1")
    began = time.monotonic()
    client().fetch_manifest(reference)
    assert time.monotonic() - began >= 1


def test_a_retry_after_that_is_too_long_is_told_instead(registry, reference):
    registry.faults = Faults(rate_limits=9, retry_after="3600")
    with pytest.raises(RateLimitedError) as raised:
        client().fetch_manifest(reference)
    assert str(raised.value).endswith("TOOMANYREQUESTS: slow down (it asks to wait 3600 seconds)")
    assert len(registry.log) == 1


def test_pauses_grow_and_are_jittered(registry, reference):
    registry.faults = Faults(failures=3)
    began = time.monotonic()
    client(patience=HASTE.replace(attempts=4, pause_seconds=0.1)).fetch_manifest(reference)
    assert 0.35 <= time.monotonic() - began < 5  # half of 0.1 + 0.2 + 0.4 at least


def test_a_connection_that_breaks_is_made_anew(registry, reference):
    one = client()
    one.head_manifest(reference)
    registry.faults.hang_ups = 2
    assert one.fetch_manifest(reference)[1] == _IMAGE.content
    assert len(registry.log) == 4


def test_connections_that_always_break_are_told(registry, reference):
    registry.faults.hang_ups = 99
    with pytest.raises(RegistryError) as raised:
        client().fetch_manifest(reference)
    assert str(raised.value) == f"cannot reach {registry.host}: the connection broke"


def test_a_registry_that_is_down_is_told_in_one_line_and_at_once():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    began = time.monotonic()
    with pytest.raises(RegistryError) as raised:
        client(patience=HASTE.replace(pause_seconds=9)).head_manifest(
            Reference.parse(f"localhost:{port}/x")
        )
    assert str(raised.value) == f"cannot reach localhost:{port}: connection refused"
    assert time.monotonic() - began < 5


def test_a_name_that_nobody_has_is_told_in_one_line():
    with pytest.raises(RegistryError) as raised:
        client().head_manifest(Reference.parse("registry.invalid/x"))
    assert str(raised.value).startswith("cannot reach registry.invalid: ")
    assert "\n" not in str(raised.value)
    assert "object at" not in str(raised.value)


def test_a_server_that_accepts_and_says_nothing_is_given_up():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        host = f"127.0.0.1:{listener.getsockname()[1]}"
        with pytest.raises(RegistryError) as raised:
            client(patience=HASTE.replace(read_seconds=0.1, connect_seconds=0.1)).head_manifest(
                Reference.parse(f"{host}/x")
            )
    assert str(raised.value) == f"cannot reach {host}: it fell silent"


def test_authorization_stays_where_it_belongs(registry, reference):
    with FakeRegistry() as elsewhere:
        elsewhere.add(_IMAGE, "x")
        registry.faults = Faults(bearer=True, redirect_blobs_to=elsewhere.url)
        _layer(reference)
        assert "authorization" in registry.requests[-1].headers
        assert len(elsewhere.requests) == 1
        assert "authorization" not in elsewhere.requests[0].headers


def test_authorization_follows_to_another_path_of_the_same_server(registry, reference):
    registry.faults = Faults(bearer=True)
    registry.faults.answer = _moved_once("/v2/x/manifests/latest", "/v2/x/manifests/other")
    registry.manifests["x", "other"] = registry.manifests["x", "latest"]
    assert client().fetch_manifest(reference)[1] == _IMAGE.content


def _moved_once(old, new):
    return lambda request: Answer(307, {"Location": new}) if request.path == old else None


def test_the_signature_of_a_redirect_is_not_shown(registry, reference):
    with FakeRegistry() as elsewhere:
        registry.faults.redirect_blobs_to = elsewhere.url
        with pytest.raises(RegistryError, match="BLOB_UNKNOWN") as raised:
            _layer(reference)
        assert raised.value.url.startswith(elsewhere.url)
        assert "secret" not in f"{raised.value}{raised.value.url}"


def test_redirects_in_a_circle_end(registry, reference):
    registry.faults.answer = lambda request: Answer(302, {"Location": request.path})
    with pytest.raises(RegistryError, match="more than 10 redirects"):
        client().fetch_manifest(reference)
    assert len(registry.log) == 11


@pytest.mark.parametrize(
    "target",
    [
        "http://169.254.169.254/latest/meta-data?secret",
        "https://169.254.169.254/latest/meta-data?secret",
        "http://registry.invalid/x?secret",
        "ftp://127.0.0.1/x?secret",
        "http://me:secret@127.0.0.1/x",
    ],
)
def test_a_redirect_that_leads_inside_or_down_is_not_followed(registry, reference, target):
    registry.faults.answer = lambda _request: Answer(302, {"Location": target})
    with pytest.raises(RegistryError, match=f"^cannot follow {registry.host} to ") as raised:
        client().fetch_manifest(reference)
    assert "secret" not in str(raised.value)
    assert len(registry.log) == 1


@pytest.fixture
def authority(tmp_path, monkeypatch):
    """A certificate authority that the system does not know, but this test may."""
    made = trustme.CA()
    made.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    return made, lambda: monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))


@contextmanager
def _over_tls(authority, *names):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*names).configure_cert(context)
    with FakeRegistry(tls=context) as running:
        running.add(_IMAGE, "x", "latest")
        yield running


def test_a_certificate_of_a_known_authority_is_accepted(authority):
    made, make_known = authority
    make_known()
    with _over_tls(made, "127.0.0.1") as registry:
        reference = Reference.parse(f"{registry.host}/x")
        assert client().fetch_manifest(reference)[1] == _IMAGE.content
        assert registry.log == ["GET /v2/x/manifests/latest"]


def test_a_certificate_of_an_unknown_authority_is_not(authority):
    with _over_tls(authority[0], "127.0.0.1") as registry:
        with pytest.raises(RegistryError, match="certificate verify failed: ") as raised:
            client().fetch_manifest(Reference.parse(f"{registry.host}/x"))
        assert "SSL_CERT_FILE" in raised.value.hint
        assert registry.requests == []


def test_a_certificate_for_another_name_is_not(authority):
    made, make_known = authority
    make_known()
    with (
        _over_tls(made, "somebody.example") as registry,
        pytest.raises(RegistryError, match="certificate verify failed: "),
    ):
        client().fetch_manifest(Reference.parse(f"{registry.host}/x"))


def test_any_certificate_is_accepted_of_a_registry_listed_as_insecure(authority):
    with _over_tls(authority[0], "somebody.example") as registry:
        reference = Reference.parse(f"{registry.host}/x")
        one = client(insecure=[registry.host])
        assert one.fetch_manifest(reference)[1] == _IMAGE.content


def test_a_registry_listed_as_insecure_may_speak_plain_http(registry, reference):
    one = client(insecure=["127.0.0.1"], patience=HASTE.replace(connect_seconds=0.5))
    assert one.fetch_manifest(reference)[1] == _IMAGE.content
    assert one.head_manifest(reference).digest == _IMAGE.digest
    assert len(registry.log) == 2


@pytest.mark.parametrize("explains_tls", [True, False])
def test_tls_is_found_out_without_a_request_more(authority, explains_tls):
    made, make_known = authority
    make_known()
    with _over_tls(made, "127.0.0.1") as registry:
        registry.faults.explains_tls = explains_tls
        one, reference = client(), Reference.parse(f"{registry.host}/x")
        assert one.head_manifest(reference).digest == _IMAGE.digest
        assert one.fetch_manifest(reference)[1] == _IMAGE.content
        assert [line.split()[0] for line in registry.log] == ["HEAD", "GET"]


class _Proxy(http.server.BaseHTTPRequestHandler):
    """Notes what it is asked to forward, and answers 502 itself."""

    def do_GET(self):
        self.server.asked.append(
            (self.command, self.path, {k.lower(): v for k, v in self.headers.items()})
        )
        self.send_response(502)
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_CONNECT = do_HEAD = do_GET  # noqa: N815 - the names that http.server calls

    def log_message(self, *_what):
        pass


@pytest.fixture
def proxy():
    with http.server.HTTPServer(("127.0.0.1", 0), _Proxy) as server:
        server.asked = []
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_a_proxy_is_asked_to_connect_and_gets_its_own_credentials(proxy, monkeypatch):
    monkeypatch.setenv("HTTPS_PROXY", f"http://me:p%40ss@127.0.0.1:{proxy.server_port}")
    with pytest.raises(RegistryError) as raised:
        client(patience=HASTE.replace(attempts=1)).head_manifest(
            Reference.parse("registry.example/x")
        )
    command, path, headers = proxy.asked[0]
    assert (command, path) == ("CONNECT", "registry.example:443")
    assert headers["proxy-authorization"] == "Basic bWU6cEBzcw=="
    assert str(raised.value).startswith("cannot reach registry.example: the proxy failed: ")
    assert "p%40ss" not in str(raised.value)
    assert "HTTPS_PROXY" in raised.value.hint


def test_loopback_is_reached_without_the_proxy(registry, reference, proxy, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{proxy.server_port}")
    client().head_manifest(reference)
    assert proxy.asked == []
