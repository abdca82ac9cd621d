"""What can be wrong with a layer's bytes, before it is known which layer they are.

Below the stage's border (`chrun.layers.unpack`) these say only what happened; there they become
ContentError and UnsafeLayerError, which name the layer too.
"""

from __future__ import annotations

_SHOWN_BYTES = 160


class MalformedError(Exception):
    """The bytes are not what their format says they must be."""


class UnsafeError(Exception):
    """The bytes ask for something that no layer may do."""


def shown(name: bytes) -> str:
    """Give a name from an archive as one short printable line."""
    text = name[:_SHOWN_BYTES].decode(errors="replace")
    return "".join(char if char.isprintable() else "?" for char in text) or "/"


class UnmappedError(Exception):
    """What has an owner that this user namespace has no number for."""
