"""What a user asks for, read into NamespaceOptions."""

from __future__ import annotations

from chrun.oci.options import NamespaceOptions


def parse_namespaces(
    *,
    modes: dict[str, str],
    sysctls: tuple[str, ...],
    add_host: tuple[str, ...],
    dns: tuple[str, ...],
    dns_search: tuple[str, ...],
    dns_option: tuple[str, ...],
) -> NamespaceOptions:
    """Read the words of the command line; UsageError says what is wrong with one."""
    raise NotImplementedError
