"""Where a registry may send us, and whose token service is whose."""

import pytest

from chrun.errors import RegistryError
from chrun.registry.trust import Trust, belongs, host_of, is_loopback, origin_of, parsed, port_of

_HUB = "https://registry-1.docker.io/v2/"
_PLAIN = "http://127.0.0.1:5000/v2/"


def _refusal(origin, target, *insecure):
    return Trust(frozenset(insecure)).refusal(parsed(origin), parsed(target))


@pytest.mark.parametrize(
    "target",
    [
        "https://auth.docker.io/token",
        "https://elsewhere.example/blob?signature=x",
        "https://10.1.2.3/mirror",  # a private network's, with a certificate: the user's own
        "https://registry-1.docker.io:8443/",
    ],
)
def test_a_registry_may_send_us_to_verified_hosts(target):
    assert _refusal(_HUB, target) == ""


@pytest.mark.parametrize(
    "target",
    [
        "https://169.254.169.254/latest/meta-data",
        "https://[fe80::1]/",
        "https://[::ffff:169.254.169.254]/",
        "https://2852039166/",  # 169.254.169.254 as one number
        "https://0xa9fea9fe/",
        "https://127.0.0.1/",
        "https://127.1/",
        "https://[::1]/",
        "https://[::ffff:7f00:1]/",
        "https://0.0.0.0/",
        "https://localhost/",
        "https://localhost./",
        "https://LOCALHOST:8443/",
        "https://metadata.localhost/",
        "https://localhost.localdomain/",
        "https://224.0.0.1/",
    ],
)
def test_a_registry_may_not_send_us_to_this_machine_or_its_link(target):
    assert _refusal(_HUB, target) == "it is an address of this machine or its link"


def test_not_even_one_that_is_listed_as_insecure_may():
    assert _refusal("http://corp:5000/", "http://169.254.169.254/", "corp:5000")
    assert _refusal("http://corp:5000/", "http://127.0.0.1:8080/", "corp:5000")
    assert _refusal(_PLAIN, "http://169.254.169.254/")
    assert _refusal(_PLAIN, "https://169.254.169.254/")


def test_loopback_may_send_us_to_loopback():
    assert _refusal(_PLAIN, "http://localhost:5001/token") == ""


def test_a_link_local_registry_may_send_us_to_itself():
    assert _refusal("https://[fe80::1]/v2/", "https://[fe80::1]/token") == ""


@pytest.mark.parametrize("target", ["http://auth.docker.io/token", "http://corp:5000/token"])
def test_https_never_leads_to_plain_http(target):
    assert _refusal(_HUB, target, "corp:5000") == "it is plain HTTP"


def test_https_on_loopback_does_not_lead_to_plain_http_either():
    assert _refusal("https://127.0.0.1:5000/", "http://127.0.0.1:5000/") == "it is plain HTTP"


def test_an_insecure_registry_may_use_plain_http_with_insecure_hosts_only():
    assert _refusal("http://corp:5000/", "http://corp:5001/", "corp") == ""
    assert _refusal("https://corp:5000/", "http://corp:5000/", "corp:5000") == ""
    assert _refusal("http://corp:5000/", "http://corp:5001/", "corp:5000") == "it is plain HTTP"
    assert _refusal("http://corp:5000/", "http://else.example/", "corp") == "it is plain HTTP"


@pytest.mark.parametrize("target", ["ftp://a.example/", "file:///etc/passwd", "https:///token", ""])
def test_only_http_urls_are_followed(target):
    assert _refusal(_HUB, target) == "it is not an HTTP URL"


def test_a_url_with_a_user_in_it_is_not_followed():
    assert _refusal(_HUB, "https://me:secret@a.example/") == "it has a user name in it"


def test_the_host_that_is_checked_is_the_host_that_is_asked():
    assert host_of(parsed("https://auth.docker.io\\@evil.example/")) == "auth.docker.io"


@pytest.mark.parametrize("text", ["https://a b/", "https://a:99999/", "https://a\t/"])
def test_what_is_no_url_is_an_error_without_its_query(text):
    with pytest.raises(RegistryError, match="not a URL") as raised:
        parsed(f"{text}?secret")
    assert "secret" not in str(raised.value)


def test_an_origin_is_scheme_host_and_port():
    assert origin_of(parsed("https://A.example/x")) == ("https", "a.example", 443)
    assert origin_of(parsed("http://a.example.:80/x")) == ("http", "a.example", 80)
    assert port_of(parsed("https://[::1]:5000/")) == 5000


def test_plain_http_is_for_loopback_and_for_what_is_listed():
    trust = Trust(frozenset({"corp:5000", "lab"}))
    allowed = ["http://localhost:1", "http://127.8.8.8", "http://[::1]:1", "http://corp:5000"]
    assert all(trust.allows_plain_http(parsed(url)) for url in [*allowed, "http://lab:7"])
    refused = ["http://corp", "http://corp:5001", "http://localhost.example", "http://x.localhost"]
    assert not any(trust.allows_plain_http(parsed(url)) for url in refused)


def test_loopback_is_not_a_name_that_somebody_may_claim_resolves_there():
    assert is_loopback("localhost")
    assert not is_loopback("localtest.me")


@pytest.mark.parametrize(
    ("registry", "realm"),
    [
        ("registry-1.docker.io", "auth.docker.io"),
        ("registry.gitlab.com", "gitlab.com"),
        ("gitlab.corp.example:5050", "gitlab.corp.example"),
        ("ghcr.io", "ghcr.io"),
        ("quay.io", "auth.quay.io"),
        ("mine.azurecr.io", "mine.azurecr.io"),
        ("registry.digitalocean.com", "api.digitalocean.com"),
        ("registry:5000", "registry"),
        ("127.0.0.1:5000", "localhost:5001"),
        ("10.0.0.1:5000", "10.0.0.1"),
    ],
)
def test_a_token_service_is_on_below_or_beside_its_registry(registry, realm):
    assert belongs(parsed(f"https://{realm}/token"), parsed(f"https://{registry}/"))


@pytest.mark.parametrize(
    ("registry", "realm"),
    [
        ("registry-1.docker.io", "docker.io.evil.example"),
        ("registry-1.docker.io", "evildocker.io"),
        ("quay.io", "evil.io"),
        ("ghcr.io", "io"),
        ("mine.azurecr.io", "yours.azurecr.io"),
        ("registry.co.uk", "evil.co.uk"),
        ("registry", "evil"),
        ("registry", "evil.registry"),
        ("10.0.0.1", "9.0.0.1"),
        ("10.0.0.1", "evil.0.0.1"),
        ("127.0.0.1:5000", "evil.example"),
    ],
)
def test_a_stranger_is_not_the_registrys_own(registry, realm):
    assert not belongs(parsed(f"https://{realm}/token"), parsed(f"https://{registry}/"))
