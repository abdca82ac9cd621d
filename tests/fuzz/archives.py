"""tar archives as layers and as root file systems: headers, pax records, maps, attributes."""

from __future__ import annotations

import os
from functools import partial
from tempfile import TemporaryDirectory

from chrun.layers.limits import Limits
from chrun.layers.owners import Owners
from chrun.layers.unpack import unpack_archive, unpack_layer
from chrun.oci.media_types import OCI_LAYER
from chrun.rootfs.removal import remove_tree
from tests.fuzz.harness import Quiet, fuzz
from tests.fuzz.inputs import NUMBERS, Draw
from tests.support.tar_headers import END, checksummed, header, padded, pax

_LIMITS = Limits(tar_bytes=1 << 20, entries=200)
_NAMES = (
    b"a", b"a/", b"a/b", b"./a", b"/a", b"../x", b"a/../b", b"", b".", b"a" * 100, b".wh.a",
    b".wh..wh..opq", b"a/.wh..wh..opq", b".wh.", b".wh..", b"a/.wh.b", b".wh.a/b", b".wh..wh.x",
    b"b\xff", b"c/" * 40, b"d\n",
)  # fmt: skip
_KINDS = (b"0", b"0", b"0", b"\0", b"1", b"2", b"3", b"4", b"5", b"6", b"7", b"S", b"S", b"L", b"K",
          b"X", b"V", b"?")  # fmt: skip
_CONTENTS = (b"", b"x", b"abcde", b"1\n0\n5\n".ljust(512, b"\0") + b"abcde", b"y" * 600)
_PLAIN_KEYS = (b"path", b"linkpath", b"size", b"uid", b"gid", b"mtime")
_SPARSE = {
    b"GNU.sparse.major": (b"0", b"1", b"2"),
    b"GNU.sparse.minor": (b"0", b"1"),
    b"GNU.sparse.name": (b"f", b"", b"a\0", b"../x"),
    b"GNU.sparse.realsize": (b"5", b"5000"),
    b"GNU.sparse.size": (b"5", b"5000", b"600"),
    b"GNU.sparse.map": (b"0,5", b"0,2,4000,3", b"0,1", b"1,5,0", b""),
    b"GNU.sparse.offset": (b"0", b"4000"),
    b"GNU.sparse.numbytes": (b"5", b"2"),
}
_XATTRS = (
    b"SCHILY.xattr.user.a", b"SCHILY.xattr.user.a\0b", b"SCHILY.xattr.", b"SCHILY.xattr.user.",
    b"SCHILY.xattr.security.capability", b"SCHILY.xattr.system.posix_acl_access",
    b"SCHILY.xattr.trusted.overlay.opaque", b"LIBARCHIVE.xattr.user.a%00",
    b"LIBARCHIVE.xattr.user.b",
    b"SCHILY.xattr.user." + b"n" * 300,
)  # fmt: skip


def _name(draw: Draw) -> bytes:
    return draw.bytes(30) if draw.chance(10) else draw.one(_NAMES)


def _octal(draw: Draw, width: int, small: int = 9) -> bytes:
    """Write a header's number: in octal, now and then in base 256, or as something else."""
    dice = draw.integer(0, 19)
    if dice == 0:
        return draw.random.randbytes(width)
    if dice == 1:
        number = draw.integer(0, (1 << 8 * width - 1) - 1) >> draw.integer(0, 8 * width)
        return (number | 1 << 8 * width - 1).to_bytes(width, "big")
    if dice == 2:
        return b"%0*o\0" % (width - 1, draw.integer(0, 8 ** (width - 1) - 1))
    return b"%0*o\0" % (width - 1, draw.integer(0, small))


def _entry(draw: Draw) -> bytes:
    """Make an entry, in whose header now and then some bytes are anything."""
    content, kind = draw.one(_CONTENTS), draw.one(_KINDS)
    size = _octal(draw, 12, 600) if draw.chance(8) else b"%011o\0" % len(content)
    rest = b""
    if kind == b"S":
        map_ = b"".join(draw.list(lambda draw: _octal(draw, 12) + _octal(draw, 12, 5), 4))
        rest = map_.ljust(96, b"\0") + (b"\1" if draw.chance(10) else b"\0") + _octal(draw, 12, 600)
    block = header(
        _name(draw)[:100],
        kind=kind,
        mode=_octal(draw, 8, 0o777),
        uid=_octal(draw, 8),
        gid=_octal(draw, 8),
        size=size,
        mtime=_octal(draw, 12),
        link=_name(draw)[:100],
        magic=draw.one((b"ustar\x0000", b"ustar  \0", b"", b"ustar\0")),
        prefix=_name(draw)[:130] if draw.chance(4) else b"",
        rest=rest[:122],
        star=draw.one((b"", b"tar\0")),
    )
    if draw.chance(10):
        changed = bytearray(block)
        for _ in range(draw.integer(1, 5)):
            changed[draw.integer(0, 511)] = draw.integer(0, 255)
        block = checksummed(changed)
    return block + padded(content)


def _records(draw: Draw) -> bytes:
    """Make an extended header: about a plain file, a sparse one, or attributes."""
    records: list[tuple[bytes, bytes]] = []
    if draw.chance(2):
        records += [(key, draw.one(values)) for key, values in _SPARSE.items() if draw.chance(2)]
    if draw.chance(3):
        records += draw.list(lambda draw: (draw.one(_PLAIN_KEYS), _value(draw)), 3)
    if draw.chance(3):
        records += draw.list(lambda draw: (draw.one(_XATTRS), draw.token()), 3)
    if draw.chance(8):
        records.append((draw.token().replace(b"=", b""), draw.token()))
    at = draw.integer(0, len(records))
    if at < len(records) and draw.chance(2):
        records[at] = (records[at][0], _value(draw))
    return pax(*records, kind=b"g" if draw.chance(5) else b"x")


def _value(draw: Draw) -> bytes:
    return draw.one(NUMBERS).encode() if draw.chance(2) else draw.of(_name, Draw.token)


def _archive(draw: Draw) -> tuple[list[bytes], bool, bool]:
    """Make an archive in pieces; whether it is a layer's, and whether its owners are kept."""
    entries = draw.list(lambda draw: draw.of(_entry, lambda draw: _records(draw) + _entry(draw)), 4)
    return draw.pieces(draw.damaged(b"".join(entries) + END)), draw.chance(2), draw.chance(2)


def _unpack(directory: str, given: tuple[list[bytes], bool, bool]) -> None:
    chunks, whiteouts, as_root = given
    owners = Owners.IMAGE if as_root and os.geteuid() == 0 else Owners.CALLER
    tree = f"{directory}/tree"
    os.mkdir(tree)
    try:
        with Quiet():
            if whiteouts:
                unpack_layer(
                    "it", chunks, tree, media_type=OCI_LAYER, owners=owners, limits=_LIMITS
                )
            else:
                unpack_archive("it", chunks, tree, owners=owners, limits=_LIMITS)
        assert os.listdir(directory) == ["tree"]
    finally:
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
        try:
            remove_tree(b"tree", dir_fd=descriptor)
        finally:
            os.close(descriptor)


def run(seconds: float, seed: int | None = None) -> None:
    """Unpack archives below a directory, in which nothing else appears."""
    with TemporaryDirectory() as directory:
        fuzz(partial(_unpack, directory), _archive, seconds, seed)
