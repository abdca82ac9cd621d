"""What a user asks for, read into SecurityOptions."""

from __future__ import annotations

from chrun.oci.options import SecurityOptions


def parse_security(
    *,
    cap_add: tuple[str, ...],
    cap_drop: tuple[str, ...],
    privileged: bool,
    security_opt: tuple[str, ...],
) -> SecurityOptions:
    """Read the words of the command line; UsageError says what is wrong with one."""
    raise NotImplementedError
