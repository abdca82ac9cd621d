"""Names and addresses as they were asked for, in hosts(5) and resolv.conf(5)."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from chrun.oci.options import NamespaceOptions

_NO_DOMAIN = "."  # docker's word for a search list that is empty


def added_hosts(asked: NamespaceOptions) -> bytes:
    """Give the lines of /etc/hosts that were asked for."""
    return "".join(f"{address}\t{name}\n" for address, name in asked.hosts).encode()


def resolver_of(machine: bytes, asked: NamespaceOptions, *, shut_in: bool) -> bytes:
    """Give resolv.conf: this machine's, with each kind of line replaced that was asked for.

    Without a network the machine's name servers are out of reach, and asking them would only be
    slow: none is named then, unless by --dns.
    """
    kinds = {
        "nameserver": [f"nameserver {address}" for address in asked.dns],
        "search": _search(asked.dns_search),
        "options": [f"options {' '.join(asked.dns_options)}"] if asked.dns_options else [],
    }
    replaced = {
        "nameserver": bool(asked.dns) or shut_in,
        "search": bool(asked.dns_search),
        "options": bool(asked.dns_options),
    }
    kept = [
        line
        for line in machine.decode(errors="surrogateescape").splitlines()
        if not replaced.get(_kind(line), False)
    ]
    lines = (*kept, *kinds["search"], *kinds["nameserver"], *kinds["options"])
    return "".join(f"{line}\n" for line in lines).encode(errors="surrogateescape")


def _kind(line: str) -> str:
    """Give the keyword of a line; `domain` is the older word for a search list of one."""
    words = line.split(None, 1)
    keyword = words[0] if words else ""
    return "search" if keyword == "domain" else keyword


def _search(domains: tuple[str, ...]) -> list[str]:
    if not domains or domains == (_NO_DOMAIN,):
        return []
    return [f"search {' '.join(domains)}"]
