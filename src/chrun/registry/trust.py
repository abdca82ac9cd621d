"""Where a registry may send us, and who may see our password.

A registry names other places twice: in redirects and in the realm of a bearer challenge. Both are
words of a stranger. Two attacks matter here: the name of an inner service (a cloud's metadata at
169.254.169.254), whose answer would go back to the registry as a "token"; and the name of a host
that collects passwords (CVE-2020-15157 and its kin).

Inner services that have a DNS name of the attacker's choice are out of reach as well, because
everything but the hosts listed as insecure must present a certificate for the name.
"""

from __future__ import annotations

import ipaddress
import socket
from urllib.parse import urljoin

from urllib3.exceptions import LocationParseError
from urllib3.util import Url, parse_url

from chrun.errors import RegistryError
from chrun.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ipaddress import IPv4Address, IPv6Address

_PORTS = {"http": 80, "https": 443}

# Domains below which strangers are each other's neighbours, as far as they sell registries.
_SHARED_DOMAINS = frozenset(
    {
        "amazonaws.com",
        "azurecr.io",
        "azurewebsites.net",
        "cloudfront.net",
        "github.io",
        "herokuapp.com",
        "jfrog.io",
        "netlify.app",
        "on.aws",
        "pages.dev",
        "pkg.dev",
        "scw.cloud",
        "vercel.app",
        "workers.dev",
    }
)
_SECOND_LEVELS = frozenset({"ac", "co", "com", "edu", "go", "gov", "ne", "net", "or", "org"})


class Trust(Value):
    """Which hosts ("name" or "name:port") may be spoken to without a verified certificate."""

    insecure: frozenset[str] = frozenset()

    def is_insecure(self, url: Url) -> bool:
        """Say whether the user listed the host."""
        return bool({host_of(url), f"{host_of(url)}:{port_of(url)}"} & self.insecure)

    def allows_plain_http(self, url: Url) -> bool:
        """Say whether plain HTTP may be spoken to the host at all."""
        return is_loopback(host_of(url)) or self.is_insecure(url)

    def refusal(self, origin: Url, target: Url) -> str:
        """Say why `origin` may not send us to `target`, "" if it may."""
        if target.scheme not in _PORTS or not target.host:
            return "it is not an HTTP URL"
        if target.auth is not None:
            return "it has a user name in it"
        if _is_local(host_of(target)) and not _are_same_machine(origin, target):
            return "it is an address of this machine or its link"
        if target.scheme == "http" and not (
            self.allows_plain_http(target) and (origin.scheme == "http" or self.is_insecure(origin))
        ):
            return "it is plain HTTP"
        return ""


def parsed(url: str) -> Url:
    """Parse a URL as urllib3 will when it connects; RegistryError if it does not."""
    try:
        return parse_url(url)
    except LocationParseError:
        raise _no_url(url) from None


def joined(base: str, location: str) -> Url:
    """Return the URL that a redirect of `base` leads to; RegistryError when it is none."""
    try:
        return parsed(urljoin(base, location))
    except ValueError:  # "http://[", say
        raise _no_url(location) from None


def _no_url(text: str) -> RegistryError:
    return RegistryError(f"cannot follow {text.partition('?')[0][:200]!r}: not a URL")


def host_of(url: Url) -> str:
    """Give the host, without the brackets of an IPv6 address."""
    return (url.host or "").strip("[]").rstrip(".")


def port_of(url: Url) -> int:
    """Give the port, spelled out or the scheme's."""
    return url.port or _PORTS.get(url.scheme or "", 0)


def origin_of(url: Url) -> tuple[str, str, int]:
    """Give scheme, host and port: what credentials are tied to (RFC 6454)."""
    return url.scheme or "", host_of(url), port_of(url)


def is_loopback(host: str) -> bool:
    """Say whether the host is this machine for sure: `localhost` or an address of 127/8 or ::1."""
    address = _address(host)
    return host == "localhost" if address is None else address.is_loopback


def belongs(realm: Url, registry: Url) -> bool:
    """Say whether a token service is the registry's own, so that it may see our password.

    It is on the same host (GitLab: another port), below it (auth.quay.io) or beside it
    (registry-1.docker.io and auth.docker.io, registry.gitlab.com and gitlab.com).
    """
    ours, theirs = host_of(registry), host_of(realm)
    if ours == theirs or (is_loopback(ours) and is_loopback(theirs)):
        return True
    if _address(ours) is not None or _address(theirs) is not None:
        return False
    homes = [home for home in (ours, ours.partition(".")[2]) if not _is_shared(home)]
    return any(theirs == home or theirs.endswith(f".{home}") for home in homes)


def _is_shared(domain: str) -> bool:
    labels = domain.split(".")
    if len(labels) < 2 or domain in _SHARED_DOMAINS:
        return True
    return len(labels) == 2 and labels[0] in _SECOND_LEVELS and len(labels[1]) == 2


def _address(host: str) -> IPv4Address | IPv6Address | None:
    """Read an address in any form that connect(2)'s callers read: 127.1 and 2130706433 too."""
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        try:
            return ipaddress.IPv4Address(socket.inet_aton(host))
        except (OSError, ValueError):  # not one, or with a NUL or a letter that is not ASCII
            return None
    return getattr(address, "ipv4_mapped", None) or address


def _is_local(host: str) -> bool:
    address = _address(host)
    if address is None:
        return host == "localhost" or host.endswith((".localhost", ".localdomain"))
    return (
        address.is_loopback
        or address.is_link_local
        or address.is_unspecified
        or address.is_multicast
    )


def _are_same_machine(origin: Url, target: Url) -> bool:
    ours, theirs = host_of(origin), host_of(target)
    return ours == theirs or (is_loopback(ours) and is_loopback(theirs))
