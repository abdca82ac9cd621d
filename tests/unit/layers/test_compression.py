"""Compressed streams, whole, cut, concatenated, padded, damaged and explosive."""

from __future__ import annotations

import bz2
import gzip
import lzma
import random
import subprocess
import sys
import zlib
from typing import TYPE_CHECKING

import pytest

from chrun.errors import ContentError
from chrun.layers.compression import decompressed
from chrun.layers.faults import MalformedError
from tests.fuzz import gzip_stream
from tests.support.images import digest_of, tar
from tests.support.layers import unpack
from tests.support.needs import needs

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
    assert unpacked(*cut(pack(b"one ") + pack(b"") + pack(b"two"), size)) == b"one two"


@pytest.mark.parametrize("name", ["gzip", "xz", "bzip2"])
def test_nul_bytes_may_follow_the_end_and_are_read(name: str) -> None:
    chunks = iter(cut(PACKERS[name](TEXT) + bytes(100_000), 4096))
    assert b"".join(decompressed(chunks)) == TEXT
    assert list(chunks) == []


@pytest.mark.parametrize(("name", "count"), [("zstd", 1), ("zstd", 512), ("xz", 3)])
def test_nul_bytes_that_the_program_refuses_are_an_error(name: str, count: int) -> None:
    with pytest.raises(MalformedError, match=f"{count} NUL bytes follow the end of the {name}"):
        unpacked(PACKERS[name](TEXT) + bytes(count))


@each
@pytest.mark.parametrize("garbage", [b"\0\0garbage", b"\x1f", b"\x28\xb5", b"PK" * 1000])
@pytest.mark.parametrize("size", [1, 1 << 20])
def test_other_bytes_behind_the_end_are_an_error(
    pack: Callable[[bytes], bytes], garbage: bytes, size: int
) -> None:
    with pytest.raises(MalformedError, match="other bytes follow the end of the"):
        unpacked(*cut(pack(b"text") + garbage, size))


@each
def test_a_member_behind_padding_is_an_error(pack: Callable[[bytes], bytes]) -> None:
    """To GNU gzip it is garbage, to Python's gzip more content."""
    with pytest.raises(MalformedError, match="other bytes follow the end of the"):
        unpacked(pack(b"one ") + bytes(8) + pack(b"two"))


@each
def test_a_member_of_another_format_is_an_error(pack: Callable[[bytes], bytes]) -> None:
    """The zstd program reads gzip members behind frames, gzip those of compress(1)."""
    others = [other for other in PACKERS.values() if other is not pack]
    for other in (*others, lambda _data: b"\x1f\x9d\x90" + b"t" * 9):
        with pytest.raises(MalformedError, match="other bytes follow the end of the"):
            unpacked(pack(b"one ") + other(b"two"))


@each
def test_compressed_data_that_is_a_tar_header_too_is_an_error(
    tmp_path: Path, pack: Callable[[bytes], bytes]
) -> None:
    """The program tar reads it as an archive, and gzip -dc the same bytes as something else."""
    start = pack(TEXT)[:16]
    archive = bytearray(tar({"x" * 90: "hidden"}))
    archive[:16] = start
    archive[148:156] = b" " * 8
    archive[148:156] = b"%06o\0 " % sum(archive[:512])
    with pytest.raises(ContentError, match=r"it is \w+ data and a tar archive at once"):
        unpack(bytes(archive), tmp_path)


def test_a_short_member_with_padding_is_no_tar_header() -> None:
    """Its bytes, as signed ones, have the sum of a header without a checksum."""
    member = bytes.fromhex("1f8b0800b1279a18b2d95bf1477bc19fee058a0057e8a66108000000")
    assert unpacked(member + bytes(600)) == read_by_gzip(member + bytes(600))


def test_a_plain_tar_whose_first_name_begins_like_bzip2_data_is_plain(tmp_path: Path) -> None:
    plain = tar({"BZh9 or not": "x"})
    assert unpack(plain, tmp_path) == digest_of(plain)


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


HEADER_CRC, EXTRA, NAME, COMMENT = 2, 4, 8, 16  # RFC 1952, section 2.3.1


def gzip_member(text: bytes, flags: int, *, long: int = 5, method: int = 8) -> bytes:
    """Make a member with the header's parts that the flags name, `long` bytes each."""
    header = b"\x1f\x8b" + bytes([method, flags]) + bytes(6)
    if flags & EXTRA:
        extra = b"e" * min(long, 0xFFFF)
        header += len(extra).to_bytes(2, "little") + extra
    header += b"".join(b"n" * long + b"\0" for flag in (NAME, COMMENT) if flags & flag)
    if flags & HEADER_CRC:
        header += (zlib.crc32(header) & 0xFFFF).to_bytes(2, "little")
    return header + gzip.compress(text)[10:]


def read_by_gzip(data: bytes) -> bytes | None:
    """Return what the program gzip makes of it, None where it refuses."""
    done = subprocess.run(["gzip", "-dc"], input=data, capture_output=True, check=False)
    return None if done.returncode else done.stdout


@pytest.mark.parametrize("long", [0, 5, 70_000, 300_000])
@pytest.mark.parametrize("size", [7, 512, 1000, 65_536, 1 << 20])
def test_gzip_headers_may_be_of_any_length(long: int, size: int) -> None:
    for flags in (EXTRA | NAME, EXTRA | NAME | COMMENT, COMMENT, EXTRA | COMMENT | HEADER_CRC):
        members = gzip_member(b"one ", flags, long=long) + gzip_member(b"two", flags, long=long)
        assert unpacked(*cut(members, size)) == read_by_gzip(members) == b"one two"


@pytest.mark.parametrize("size", [1000, 65_536, 100_000])
def test_no_comment_of_a_gzip_header_is_taken_for_content(size: int) -> None:
    """A reader that lost its place in a header found another member's data in the comment."""
    other = zlib.compressobj(0, zlib.DEFLATED, -15)
    hidden = (other.compress(b"hidden") + other.flush()).replace(b"\0", b"\1")
    header = b"\x1f\x8b\x08" + bytes([EXTRA | NAME | COMMENT]) + bytes(6)
    header += b"\xff\xff" + b"e" * 0xFFFF + b"n" * 70_000 + b"\0"
    member = header + hidden * 9000 + b"\0" + gzip.compress(b"text")[10:]
    assert unpacked(*cut(member, size)) == read_by_gzip(member) == b"text"


@pytest.mark.parametrize("flags", [0x20, 0x40, 0x80, 0x80 | NAME])
@pytest.mark.parametrize("size", [1, 1 << 20])
def test_reserved_flags_of_a_gzip_header_are_an_error(flags: int, size: int) -> None:
    member = gzip_member(b"text", flags)
    assert read_by_gzip(member) is None
    for members in (member, gzip.compress(b"one ") + member):
        with pytest.raises(MalformedError, match="damaged gzip data"):
            unpacked(*cut(members, size))


def test_a_wrong_checksum_of_a_gzip_header_is_an_error() -> None:
    member = bytearray(gzip_member(b"text", NAME | HEADER_CRC))
    member[12] ^= 1  # in the name
    with pytest.raises(MalformedError, match="damaged gzip data"):
        unpacked(bytes(member))


def test_a_gzip_member_of_an_unknown_method_is_an_error() -> None:
    with pytest.raises(MalformedError, match="damaged gzip data"):
        unpacked(gzip_member(b"text", 0, method=7))


@pytest.mark.parametrize(
    "deflated",
    [
        "05c1010100000883b02aaf86d23f831bf3",
        "0d894115000000c1aaa836f4cfc079ec",
        "0d80310d00000c83acd45a0bfe356c70",
    ],
    ids=["literals and lengths", "code lengths", "distances"],
)
def test_incomplete_huffman_codes_are_an_error(deflated: str) -> None:
    """gzip refuses them (RFC 1951, section 3.2.7); some inflaters invent what they stand for."""
    text = b"c" if deflated.endswith("6c70") else b"a"
    trailer = zlib.crc32(text).to_bytes(4, "little") + len(text).to_bytes(4, "little")
    member = gzip.compress(b"")[:10] + bytes.fromhex(deflated) + trailer
    assert read_by_gzip(member) is None
    with pytest.raises(MalformedError, match="damaged gzip data"):
        unpacked(member)


def test_random_streams_in_random_chunks_have_one_content() -> None:
    gzip_stream.run(1.0)


@pytest.mark.parametrize("size", [1, 1 << 20])
def test_skippable_zstd_frames_may_stand_anywhere(size: int) -> None:
    frames = SKIPPABLE + zstd.compress(b"one ") + SKIPPABLE + zstd.compress(b"two") + SKIPPABLE
    assert unpacked(*cut(frames, size)) == b"one two"


def test_a_zstd_frame_that_needs_a_dictionary_is_an_error() -> None:
    words = [random.Random(number).randbytes(40) for number in range(200)]
    dictionary = zstd.train_dict(words * 3, 4000)
    frame = zstd.compress(words[0] + words[1], zstd_dict=dictionary)
    for frames in (frame, zstd.compress(b"one ") + frame):
        with pytest.raises(MalformedError, match="damaged zstd data"):
            unpacked(frames)


@needs("zstd")
@pytest.mark.parametrize("count", [1, 2, 5])
def test_zstd_frames_are_what_the_zstd_program_reads(count: int) -> None:
    for seed in range(20):
        frames = b"".join(gzip_stream.zstd_stream(random.Random(seed)) for _ in range(count))
        done = subprocess.run(["zstd", "-dc"], input=frames, capture_output=True, check=True)
        assert unpacked(*cut(frames, 1000)) == done.stdout


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
