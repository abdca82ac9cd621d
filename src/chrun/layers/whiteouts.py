"""What a layer's names say about the layers below it: image-spec, layer.md, section "Whiteouts"."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from chrun.layers.faults import MalformedError, shown

if TYPE_CHECKING:
    from typing import Literal

PREFIX = b".wh."
_OPAQUE = b".wh..wh..opq"
_BOOKKEEPING = b".wh..wh."  # aufs kept its own files in layers: .wh..wh.plnk, .wh..wh.aufs


class Mark(NamedTuple):
    """What a name means: `path` is the directory that is opaque, or what is hidden."""

    meaning: Literal["opaque", "hidden", "nothing"]
    path: bytes


def read_mark(path: bytes) -> Mark | None:
    """Read a clean path; None when it is a plain name, MalformedError when it hides nothing.

    >>> read_mark(b"etc/.wh.motd")
    Mark(meaning='hidden', path=b'etc/motd')
    """
    parent, slash, leaf = path.rpartition(b"/")
    if any(part.startswith(_BOOKKEEPING) for part in parent.split(b"/")):
        return Mark("nothing", path)
    if any(part.startswith(PREFIX) for part in parent.split(b"/")):
        raise MalformedError(f"{shown(path)} is below a whiteout")
    if not leaf.startswith(PREFIX):
        return None
    if leaf == _OPAQUE:
        return Mark("opaque", parent)
    if leaf.startswith(_BOOKKEEPING):
        return Mark("nothing", path)
    hidden = leaf.removeprefix(PREFIX)
    if hidden in (b"", b".", b".."):
        raise MalformedError(f"{shown(path)} is a whiteout of nothing")
    return Mark("hidden", parent + slash + hidden)
