"""Files with holes, in each way that tar programs have written them down."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from chrun.errors import ContentError, StoreError, UnsafeLayerError
from tests.support.images import digest_of
from tests.support.layers import unpack
from tests.support.tar_headers import END, header, padded, pax
from tests.support.trees import names

if TYPE_CHECKING:
    from pathlib import Path


def old_sparse(extents: list[tuple[int, int]], size: int, data: bytes) -> bytes:
    fields = [b"%011o\0%011o\0" % extent for extent in extents]
    head, rest = b"".join(fields[:4]).ljust(96, b"\0"), fields[4:]
    more = bytes([bool(rest)])
    blocks = [header(kind=b"S", size=b"%011o\0" % len(data), magic=b"ustar  \0",
                     rest=head + more + b"%011o\0" % size)]  # fmt: skip
    while rest:
        block, rest = b"".join(rest[:21]), rest[21:]
        blocks.append(block.ljust(504, b"\0") + bytes([bool(rest)]) + bytes(7))
    return b"".join(blocks) + padded(data)


def test_old_sparse_files_go_on_in_extension_blocks(tmp_path: Path) -> None:
    extents = [(number * 10_000, 3) for number in range(60)]
    archive = old_sparse(extents, 1_000_000, b"abc" * 60) + header(b"g") + END
    assert unpack(archive, tmp_path) == digest_of(archive)
    content = (tmp_path / "f").read_bytes()
    assert len(content) == 1_000_000
    assert content.replace(b"\0", b"") == b"abc" * 60
    assert content[590_000:590_003] == b"abc"
    assert names(tmp_path) == ["f", "g"]


def sparse_pax(*records: tuple[bytes, bytes], data: bytes) -> bytes:
    return pax(*records) + header(b"made/up", size=b"%011o\0" % len(data)) + padded(data)


SPARSE_00 = sparse_pax(
    (b"GNU.sparse.size", b"5000"), (b"GNU.sparse.numblocks", b"2"), (b"path", b"f"),
    (b"GNU.sparse.offset", b"0"), (b"GNU.sparse.numbytes", b"2"),
    (b"GNU.sparse.offset", b"4000"), (b"GNU.sparse.numbytes", b"3"), data=b"abcde",
)  # fmt: skip
SPARSE_01 = sparse_pax(
    (b"GNU.sparse.size", b"5000"), (b"GNU.sparse.name", b"f"),
    (b"GNU.sparse.map", b"0,2,4000,3"), data=b"abcde",
)  # fmt: skip
SPARSE_10 = sparse_pax(
    (b"GNU.sparse.major", b"1"), (b"GNU.sparse.minor", b"0"), (b"GNU.sparse.name", b"f"),
    (b"GNU.sparse.realsize", b"5000"), data=padded(b"2\n0\n2\n4000\n3\n") + b"abcde",
)  # fmt: skip


@pytest.mark.parametrize("entry", [SPARSE_00, SPARSE_01, SPARSE_10])
def test_sparse_files_of_all_pax_versions_are_read(tmp_path: Path, entry: bytes) -> None:
    unpack(entry + header(b"g") + END, tmp_path)
    assert (tmp_path / "f").read_bytes() == b"ab".ljust(4000, b"\0") + b"cde".ljust(1000, b"\0")
    assert names(tmp_path) == ["f", "g"]


def test_the_map_of_a_sparse_file_may_be_longer_than_a_block(tmp_path: Path) -> None:
    extents = [(number * 10_000, 1) for number in range(500)]
    text = b"500\n" + b"".join(b"%d\n%d\n" % extent for extent in extents)
    entry = sparse_pax(
        (b"GNU.sparse.major", b"1"), (b"GNU.sparse.name", b"f"),
        (b"GNU.sparse.realsize", b"5000000"), data=padded(text) + b"x" * 500,
    )  # fmt: skip
    unpack(entry + header(b"g") + END, tmp_path)
    content = (tmp_path / "f").read_bytes()
    assert (len(content), content.count(b"x"), content[4_990_000:4_990_001]) == (
        5_000_000,
        500,
        b"x",
    )


@pytest.mark.parametrize(
    ("size", "extents"),
    [
        (b"5000", b"0,2,4000"),
        (b"5000", b"4000,3,0,2"),
        (b"4001", b"0,2,4000,3"),
        (b"5000", b"0,2,4000,2"),
        (b"5000", b"0,8,4000,-3"),
        (b"-1", b"0,5"),
        (b"5000", b"-5,5"),
    ],
)
def test_maps_that_lie_are_errors(tmp_path: Path, size: bytes, extents: bytes) -> None:
    entry = sparse_pax((b"GNU.sparse.size", size), (b"GNU.sparse.map", extents), data=b"abcde")
    with pytest.raises(ContentError, match="the map of a sparse file"):
        unpack(entry + END, tmp_path)


@pytest.mark.parametrize("text", [b"x\n", b"-1\n", b"9999999\n", b"", b"3\n" + b"1" * 506 + b"\n"])
def test_maps_in_the_content_that_lie_are_errors(tmp_path: Path, text: bytes) -> None:
    entry = sparse_pax(
        (b"GNU.sparse.major", b"1"), (b"GNU.sparse.realsize", b"5"), data=padded(text.ljust(1))
    )
    with pytest.raises(ContentError):
        unpack(entry + bytes(512) * 3, tmp_path)


def test_a_map_without_an_end_is_given_up(tmp_path: Path) -> None:
    entry = header(kind=b"S", magic=b"ustar  \0", rest=bytes(96) + b"\1" + b"%011o\0" % 5)
    more = (b"%011o\0%011o\0" % (0, 0) * 21) + b"\1" + bytes(7)
    with pytest.raises(UnsafeLayerError, match="larger than 1 MiB"):
        unpack([entry, *[more] * 5000], tmp_path)


def test_a_sparse_file_that_claims_more_than_files_can_have_is_an_error(tmp_path: Path) -> None:
    entry = sparse_pax(
        (b"GNU.sparse.size", b"%d" % (2**63 - 1)), (b"GNU.sparse.map", b"0,0"), data=b""
    )
    with pytest.raises(StoreError, match=r"^cannot unpack layer 1: made/up: "):
        unpack(entry + END, tmp_path)


_HUGE = b"%d" % (1 << 63)


@pytest.mark.parametrize(
    "records",
    [
        [(b"GNU.sparse.major", b"0")],
        [(b"GNU.sparse.major", b"0"), (b"GNU.sparse.size", b"5")],
        [(b"GNU.sparse.major", b"1")],
        [(b"GNU.sparse.major", b"2"), (b"GNU.sparse.realsize", b"5")],
        [(b"GNU.sparse.major", b"x"), (b"GNU.sparse.realsize", b"5")],
        [(b"GNU.sparse.map", b"0,5")],
        [(b"GNU.sparse.size", _HUGE), (b"GNU.sparse.map", b"0,5")],
        [(b"GNU.sparse.size", b"9" * 20), (b"GNU.sparse.map", _HUGE + b",5")],
        [(b"GNU.sparse.size", b"9" * 5000), (b"GNU.sparse.map", b"0,5")],
    ],
)
def test_records_that_describe_no_map_are_errors(
    tmp_path: Path, records: list[tuple[bytes, bytes]]
) -> None:
    with pytest.raises(ContentError, match=r"^cannot unpack layer 1: "):
        unpack(sparse_pax(*records, data=b"abcde") + END, tmp_path)


def _binary(number: int) -> bytes:
    """Write a number as GNU tar and star write large ones."""
    return (number | 1 << 95).to_bytes(12, "big")


@pytest.mark.parametrize(("offset", "size"), [(1 << 63, (1 << 63) + 5), (1 << 90, (1 << 90) + 5)])
def test_old_sparse_files_beyond_what_files_can_have_are_errors(
    tmp_path: Path, offset: int, size: int
) -> None:
    extents = (_binary(offset) + _binary(5)).ljust(96, b"\0") + b"\0"
    entry = header(kind=b"S", size=b"%011o\0" % 5, magic=b"ustar  \0",
                   rest=extents + _binary(size)) + padded(b"abcde")  # fmt: skip
    with pytest.raises(ContentError, match="the map of a sparse file"):
        unpack(entry + END, tmp_path)
