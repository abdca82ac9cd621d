"""tar archives byte by byte, as no program would write them."""

from __future__ import annotations

END = bytes(1024)


def header(name: bytes = b"f", *, magic: bytes = b"ustar\x0000", **fields: bytes) -> bytes:
    """Write one header, field by field, with the right checksum."""
    order = {
        "name": (0, name), "mode": (100, b"0000644\0"), "uid": (108, b"0000000\0"),
        "gid": (116, b"0000000\0"), "size": (124, b"00000000000\0"),
        "mtime": (136, b"00000000000\0"), "kind": (156, b"0"), "link": (157, b""),
        "prefix": (345, b""), "rest": (386, b""), "star": (508, b""),
    }  # fmt: skip
    block = bytearray(512)
    block[257:265] = magic.ljust(8, b"\0")
    for field, (at, default) in order.items():
        content = fields.get(field, default)
        block[at : at + len(content)] = content
    return checksummed(block)


def checksummed(block: bytes) -> bytes:
    """Put the right checksum into a header."""
    summed = block[:148] + b" " * 8 + block[156:]
    return bytes(block[:148] + b"%06o\0 " % sum(summed) + block[156:])


def padded(data: bytes) -> bytes:
    """Fill up to whole blocks."""
    return data + bytes(-len(data) % 512)


def pax(*records: tuple[bytes, bytes], kind: bytes = b"x") -> bytes:
    """Write an extended header with records."""
    data = b"".join(record(key, value) for key, value in records)
    return header(b"pax", kind=kind, size=b"%011o\0" % len(data)) + padded(data)


def record(key: bytes, value: bytes) -> bytes:
    """Write a record behind its own length."""
    rest = b" " + key + b"=" + value + b"\n"
    length = len(rest)
    while length != len(b"%d" % length) + len(rest):
        length = len(b"%d" % length) + len(rest)
    return b"%d" % length + rest
