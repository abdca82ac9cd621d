"""Which proxy leads to a host: HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY."""

from __future__ import annotations

import ipaddress
from urllib.request import getproxies_environment, proxy_bypass

from chrun.registry.trust import host_of, is_loopback, port_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from urllib3.util import Url


def proxy_for(url: Url) -> str:
    """Give the URL of the proxy that leads to `url`, "" for none; loopback never has one."""
    host, proxies = host_of(url), getproxies_environment()
    proxy = proxies.get(url.scheme or "") or proxies.get("all") or ""
    bypasses = proxies.get("no", "")
    if (
        is_loopback(host)
        or proxy_bypass(f"{host}:{port_of(url)}", proxies)
        or _is_in_networks(host, bypasses)
    ):
        return ""
    return proxy if not proxy or "://" in proxy else f"http://{proxy}"


def _is_in_networks(host: str, bypasses: str) -> bool:
    """Read the networks in NO_PROXY (10.0.0.0/8), as Go's programs do and Python's do not."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    return any(address in network for network in map(_network, bypasses.split(",")) if network)


def _network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    try:
        return ipaddress.ip_network(text.strip(), strict=False)
    except ValueError:
        return None
