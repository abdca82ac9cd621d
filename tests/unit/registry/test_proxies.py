"""Which proxy leads where."""

import pytest

from chrun.registry.proxies import proxy_for
from chrun.registry.trust import parsed

_VARIABLES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")


@pytest.fixture
def proxy(monkeypatch):
    """Give a function from a URL to its proxy, for the variables that a test sets."""
    for name in _VARIABLES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)

    def ask(url, **variables):
        for name, text in variables.items():
            monkeypatch.setenv(name, text)
        return proxy_for(parsed(url))

    return ask


def test_without_variables_there_is_none(proxy):
    assert proxy("https://a.example/") == ""


def test_each_scheme_has_its_own(proxy):
    given = {"HTTP_PROXY": "http://p:1", "HTTPS_PROXY": "http://p:2"}
    assert proxy("http://a.example/", **given) == "http://p:1"
    assert proxy("https://a.example/") == "http://p:2"


def test_all_proxy_serves_where_nothing_else_does(proxy):
    assert proxy("https://a.example/", ALL_PROXY="http://p:3") == "http://p:3"


def test_a_proxy_may_be_written_without_a_scheme(proxy):
    assert proxy("https://a.example/", https_proxy="p:3128") == "http://p:3128"


@pytest.mark.parametrize(
    "url", ["https://localhost:5000/", "https://127.0.0.1/", "https://[::1]:5000/"]
)
def test_loopback_never_has_one(proxy, url):
    assert proxy(url, HTTPS_PROXY="http://p:1") == ""


@pytest.mark.parametrize(
    ("url", "bypasses"),
    [
        ("https://a.example/", "a.example"),
        ("https://a.example/", "example"),
        ("https://a.example/", ".example,other"),
        ("https://a.example:5000/", "a.example:5000"),
        ("https://a.example/", "*"),
        ("https://10.1.2.3/", "192.168.0.0/16, 10.0.0.0/8"),
        ("https://[fd00::7]/", "fd00::/8"),
    ],
)
def test_no_proxy_names_hosts_domains_and_networks(proxy, url, bypasses):
    assert proxy(url, HTTPS_PROXY="http://p:1", NO_PROXY=bypasses) == ""


@pytest.mark.parametrize(
    ("url", "bypasses"),
    [
        ("https://aa.example/", "a.example"),
        ("https://11.1.2.3/", "10.0.0.0/8"),
        ("https://a.example/", "10.0.0.0/8"),
        ("https://a.example/", ""),
    ],
)
def test_no_proxy_names_nothing_else(proxy, url, bypasses):
    assert proxy(url, HTTPS_PROXY="http://p:1", NO_PROXY=bypasses) == "http://p:1"
