"""Compressed streams, whole, cut, concatenated, padded, damaged and explosive."""

from __future__ import annotations

import bz2
import gzip
import lzma
import random
import sys
import zlib
from typing import TYPE_CHECKING

import pytest

from chrun.errors import ContentError
from chrun.layers.compression import decompressed
from chrun.layers.faults import MalformedError
from tests.support.images import digest_of, tar
from tests.support.layers import unpack

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "zstd": lambda data: zstd.compress(data, options={zstd.CompressionParameter.checksum_flag: 1}),
    "xz": lzma.compress,
    "bzip2": bz2.compress,
}
TEXT = random.Random(7).randbytes(70_000) + bytes(70_000)
SKIPPABLE = b"\x5e\x2a\x4d\x18\x04\0\0\0seek"

each = pytest.mark.parametrize("pack", PACKERS.values(), ids=PACKERS)


def cut(data: bytes, size: int) -> list[bytes]:
    return [data[at : at + size] for at in range(0, len(data), size)]


def unpacked(*chunks: bytes) -> bytes:
    return b"".join(decompressed(chunks))


def test_plain_bytes_are_passed_on() -> None:
    assert unpacked(b"", b"plain", b"", b" bytes") == b"plain bytes"
    assert unpacked() == b""


@each
@pytest.mark.parametrize("size", [1, 1000, 1 << 20])
def test_chunks_may_be_cut_anywhere(pack: Callable[[bytes], bytes], size: int) -> None:
    assert unpacked(*cut(pack(TEXT), size)) == TEXT


@each
@pytest.mark.parametrize("size", [1, 5, 1 << 20])
def test_members_follow_one_another(pack: Callable[[bytes], bytes], size: int) -> None:
    members = pack(b"one ") + pack(b"") + b"\0" * 9 + pack(b"two")
    assert unpacked(*cut(members, size)) == b"one two"


@each
@pytest.mark.parametrize("garbage", [b"\0" * 100_000, b"\0\0garbage", b"\x1f", b"PK" * 1000])
def test_padding_and_garbage_behind_the_end_are_read_and_ignored(
    pack: Callable[[bytes], bytes], garbage: bytes
) -> None:
    chunks = iter(cut(pack(TEXT) + garbage, 4096))
    assert b"".join(decompressed(chunks)) == TEXT
    assert list(chunks) == []


@each
def test_no_piece_is_large_and_none_is_empty(pack: Callable[[bytes], bytes]) -> None:
    sizes = [len(piece) for piece in decompressed([pack(bytes(3 << 20))])]
    assert max(sizes) <= 256 << 10
    assert min(sizes) > 0
    assert sum(sizes) == 3 << 20


@each
def test_data_that_ends_too_early_is_an_error(
    tmp_path: Path, pack: Callable[[bytes], bytes]
) -> None:
    blob = pack(tar({"f": TEXT}))
    for size in (10, len(blob) // 2, len(blob) - 1):
        with pytest.raises(ContentError, match=r"^cannot unpack layer 1: the \w+ data ends too"):
            unpack([blob[:size]], tmp_path)


@each
def test_damaged_data_is_an_error(tmp_path: Path, pack: Callable[[bytes], bytes]) -> None:
    blob = bytearray(pack(tar({"f": TEXT})))
    blob[len(blob) // 2] ^= 0x40
    with pytest.raises(ContentError, match=r"^cannot unpack layer 1: "):
        unpack(bytes(blob), tmp_path)


def test_the_checksum_of_gzip_is_checked() -> None:
    blob = bytearray(gzip.compress(b"text" * 100))
    blob[-6] ^= 1
    with pytest.raises(MalformedError, match="damaged gzip data"):
        unpacked(bytes(blob))


@pytest.mark.parametrize("size", [1, 3, 10, 15, 20, 1000])
def test_gzip_headers_may_have_names_and_extra_fields(size: int) -> None:
    deflated = zlib.compress(b"text")[2:-4]
    trailer = zlib.crc32(b"text").to_bytes(4, "little") + (4).to_bytes(4, "little")
    header = b"\x1f\x8b\x08\x0c" + bytes(6) + b"\x04\0extr" + b"layer.tar\0"
    member = header + deflated + trailer
    assert unpacked(*cut(member + member, size)) == b"texttext"


@pytest.mark.parametrize("size", [1, 1 << 20])
def test_skippable_zstd_frames_may_stand_anywhere(size: int) -> None:
    frames = SKIPPABLE + zstd.compress(b"one ") + SKIPPABLE + zstd.compress(b"two") + SKIPPABLE
    assert unpacked(*cut(frames, size)) == b"one two"


def test_a_zstd_window_that_takes_too_much_memory_is_refused(tmp_path: Path) -> None:
    options = {
        zstd.CompressionParameter.window_log: 30,
        zstd.CompressionParameter.enable_long_distance_matching: 1,
    }
    packer = zstd.ZstdCompressor(options=options)
    blob = packer.compress(tar({"f": TEXT})) + packer.flush()
    with pytest.raises(ContentError, match="damaged zstd data: "):
        unpack(blob, tmp_path)


def test_the_bytes_say_what_they_are_and_not_the_media_type(tmp_path: Path) -> None:
    plain = tar({"f": "x"})
    for number, pack in enumerate(PACKERS.values()):  # the media type that is used says plain
        assert unpack(pack(plain), tmp_path / str(number)) == digest_of(plain)


def test_gzip_of_gzip_is_no_tar(tmp_path: Path) -> None:
    with pytest.raises(ContentError, match="not a tar archive"):
        unpack(gzip.compress(gzip.compress(random.Random(1).randbytes(2000))), tmp_path)
