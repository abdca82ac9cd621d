"""What a user asks for, read into LimitOptions."""

from __future__ import annotations

from chrun.oci.options import LimitOptions


def parse_limits(given: dict[str, tuple[str, ...]]) -> LimitOptions:
    """Read the words of the command line; UsageError says what is wrong with one."""
    raise NotImplementedError
