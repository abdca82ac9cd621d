"""tar headers of every dialect, right and wrong."""

from __future__ import annotations

import base64
import os
import tarfile
from typing import TYPE_CHECKING

import pytest

from chrun.errors import ContentError, UnsafeLayerError
from tests.support.images import digest_of, directory, file, hardlink, symlink, tar
from tests.support.layers import unpack
from tests.support.needs import needs
from tests.support.tar_headers import END, checksummed, header, padded, pax
from tests.support.trees import names, snapshot

if TYPE_CHECKING:
    from pathlib import Path


def test_an_archive_without_a_byte_is_empty(tmp_path: Path) -> None:
    assert unpack(b"", tmp_path) == digest_of(b"")
    assert names(tmp_path) == []


def test_the_end_may_be_missing_or_one_block(tmp_path: Path) -> None:
    unpack(header(b"a"), tmp_path)
    unpack(header(b"b") + bytes(512), tmp_path)
    assert names(tmp_path) == ["a", "b"]


def test_bytes_behind_the_end_count_for_the_digest_only(tmp_path: Path) -> None:
    archive = header(b"a") + END + header(b"b") + b"garbage" * 1000
    assert unpack(archive, tmp_path) == digest_of(archive)
    assert names(tmp_path) == ["a"]


def test_one_block_of_zeros_amid_the_entries_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ContentError, match="goes on behind a block of zeros"):
        unpack(header(b"a") + bytes(512) + header(b"b") + END, tmp_path)


@pytest.mark.parametrize("archive", [b"<html>" * 100, header()[:-1] + b"x", os.urandom(512)])
def test_what_is_no_tar_archive_is_called_so(tmp_path: Path, archive: bytes) -> None:
    with pytest.raises(ContentError, match=r"^cannot unpack layer 1: it is not a tar archive"):
        unpack(archive, tmp_path)


@pytest.mark.parametrize("size", [1, 511, 513, 1000, 1535])
def test_an_archive_that_ends_too_early_is_an_error(tmp_path: Path, size: int) -> None:
    whole = header(b"a", size=b"00000001750\0") + padded(b"x" * 1000)
    with pytest.raises(ContentError, match="the tar archive ends too early"):
        unpack(whole[:size], tmp_path)


def test_entries_may_be_cut_anywhere_by_the_network(tmp_path: Path) -> None:
    archive = tar({"a": "x" * 700, "b" * 150: "y", "c": symlink("d" * 200)})
    assert unpack([archive[at : at + 7] for at in range(0, len(archive), 7)], tmp_path) == (
        digest_of(archive)
    )
    assert names(tmp_path) == ["a", "b" * 150, "c"]


def test_checksums_of_signed_bytes_are_right_too(tmp_path: Path) -> None:
    block = bytearray(header("ä".encode()))
    counted = block[:148] + b" " * 8 + block[156:]
    signed = sum(byte - 256 if byte > 127 else byte for byte in counted)
    unpack(bytes(block[:148] + b"%06o\0 " % signed + block[156:]), tmp_path)
    assert names(tmp_path) == ["ä"]


@pytest.mark.parametrize(
    "name", [b"caf\xe9", b"new\nline", b"-rf", b" ", b"\x01", "日本".encode(), b"*"]
)
def test_names_are_bytes(tmp_path: Path, name: bytes) -> None:
    unpack(header(name) + header(b"n", kind=b"2", link=name) + END, tmp_path)
    assert set(os.listdir(os.fsencode(tmp_path))) == {name, b"n"}
    assert os.readlink(os.fsencode(tmp_path) + b"/n") == name


def test_a_ustar_prefix_comes_before_the_name(tmp_path: Path) -> None:
    unpack(header(b"name", prefix=b"pre/fix") + END, tmp_path)
    assert "pre/fix/name" in names(tmp_path)


def test_a_gnu_header_has_no_prefix_and_stars_is_shorter(tmp_path: Path) -> None:
    times = b"p".ljust(131, b"\0") + b"12345670123 12345670123 "
    unpack(header(b"gnu", magic=b"ustar  \0", prefix=b"12345670123") + END, tmp_path)
    unpack(header(b"star", prefix=times, star=b"tar\0") + END, tmp_path)
    assert names(tmp_path) == ["gnu", "p", "p/star"]


def test_a_v7_header_is_read(tmp_path: Path) -> None:
    unpack(header(b"old", magic=b"", kind=b"\0") + header(b"dir/", magic=b"", kind=b"\0"), tmp_path)
    assert {name: node.kind for name, node in snapshot(tmp_path).items() if name != "."} == {
        "old": "file",
        "dir": "directory",
    }


def test_contiguous_files_are_files(tmp_path: Path) -> None:
    unpack(header(b"f", kind=b"7", size=b"00000000002\0") + padded(b"hi"), tmp_path)
    assert (tmp_path / "f").read_bytes() == b"hi"


def test_an_unknown_kind_of_entry_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ContentError, match=r"^cannot unpack layer 1: f is of unknown type Z$"):
        unpack(header(kind=b"Z"), tmp_path)


def test_the_label_of_a_volume_is_passed_over(tmp_path: Path) -> None:
    unpack(header(b"label", kind=b"V") + header(b"f"), tmp_path)
    assert names(tmp_path) == ["f"]


@pytest.mark.parametrize("kind", [b"1", b"2", b"5", b"6"])
def test_only_files_have_content_whatever_a_header_says(tmp_path: Path, kind: bytes) -> None:
    entry = header(b"x", kind=kind, link=b"f", size=b"00000001000\0")
    unpack(header(b"f") + entry + header(b"g") + END, tmp_path)
    assert names(tmp_path) == ["f", "g", "x"]


@pytest.mark.parametrize(
    ("field", "seconds"),
    [
        (b"00000000017\0", 15),
        (b"         17 ", 15),
        (b"17\0junk junk", 15),
        (b"\x80" + (2**33).to_bytes(11, "big"), 2**33),
        (b"\xff" * 11 + b"\xfe", -2),
        (b"\0" * 12, 0),
    ],
)
def test_numbers_are_octal_or_in_base_256(tmp_path: Path, field: bytes, seconds: int) -> None:
    unpack(header(mtime=field[:12]), tmp_path)
    assert (tmp_path / "f").stat().st_mtime == seconds


@pytest.mark.parametrize("field", [b"1_000", b"0o17", b"9", b"abc", b"1 2"])
def test_other_numbers_are_errors(tmp_path: Path, field: bytes) -> None:
    with pytest.raises(ContentError, match="not an octal number"):
        unpack(header(size=field.ljust(12, b"\0")), tmp_path)


def test_a_negative_size_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ContentError, match="f has a negative size"):
        unpack(header(size=b"\xff" * 12) + END, tmp_path)


def test_a_huge_size_takes_no_space_and_is_an_error(tmp_path: Path) -> None:
    lie = header(size=b"\x80" + (2**62).to_bytes(11, "big"))
    with pytest.raises(ContentError, match="ends too early"):
        unpack(lie + b"x" * 512, tmp_path)
    assert (tmp_path / "f").stat().st_blocks * 512 < 1 << 16


@pytest.mark.parametrize("seconds", [2**90, -(2**90)])
def test_times_beyond_all_clocks_are_clamped(tmp_path: Path, seconds: int) -> None:
    field = (seconds & ((1 << 96) - 1) | 1 << 95).to_bytes(12, "big")
    unpack(header(mtime=field), tmp_path)
    assert (tmp_path / "f").stat().st_mtime * seconds > 0


# pax


def test_pax_records_correct_the_header(tmp_path: Path) -> None:
    records = pax((b"path", b"long/" + b"n" * 200), (b"mtime", b"1350244992.023960108"))
    link = pax((b"linkpath", b"t" * 300))
    unpack(records + header() + link + header(b"l", kind=b"2", link=b"x") + END, tmp_path)
    assert (tmp_path / "long" / ("n" * 200)).stat().st_mtime_ns == 1350244992023960108
    assert os.readlink(tmp_path / "l") == "t" * 300


@pytest.mark.parametrize(
    ("text", "nanoseconds"),
    [
        (b"1.5", 1_500_000_000),
        (b"-1.5", -1_500_000_000),
        (b"-0.25", -250_000_000),
        (b"7", 7_000_000_000),
        (b"1.1234567891", 1_123_456_789),
        (b".5", 500_000_000),
    ],
)
def test_pax_times_have_fractions_and_signs(tmp_path: Path, text: bytes, nanoseconds: int) -> None:
    unpack(pax((b"mtime", text)) + header(), tmp_path)
    assert (tmp_path / "f").stat().st_mtime_ns == nanoseconds


def test_a_pax_size_counts_instead_of_the_headers(tmp_path: Path) -> None:
    unpack(pax((b"size", b"3")) + header() + padded(b"abc") + header(b"g"), tmp_path)
    assert (tmp_path / "f").read_bytes() == b"abc"
    assert names(tmp_path) == ["f", "g"]


def test_global_records_hold_for_all_that_follow_and_local_ones_come_first(tmp_path: Path) -> None:
    everywhere = pax((b"mtime", b"5"), (b"comment", b"x"), kind=b"g")
    unpack(
        everywhere + header(b"a") + pax((b"mtime", b"6")) + header(b"b") + header(b"c"), tmp_path
    )
    assert [(tmp_path / name).stat().st_mtime for name in "abc"] == [5, 6, 5]


def test_an_empty_record_is_as_good_as_none(tmp_path: Path) -> None:
    unpack(pax((b"path", b""), (b"mtime", b"")) + header(), tmp_path)
    assert names(tmp_path) == ["f"]


@pytest.mark.parametrize(
    "data",
    [
        b"path=x\n",
        b"99 path=x\n",
        b"10 path=xy",
        b"9 path=x\n\n",
        b"0 \n",
        b"-5 a=b\n",
        b"3 \n",
        b"5 ab\n",
        b"99999999999999999999 a=b\n",
    ],
)
def test_pax_records_that_do_not_add_up_are_errors(tmp_path: Path, data: bytes) -> None:
    archive = header(kind=b"x", size=b"%011o\0" % len(data)) + padded(data) + header() + END
    with pytest.raises(ContentError, match="a pax record"):
        unpack(archive, tmp_path)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        (b"size", b"0x10"),
        (b"size", b"9" * 5000),
        (b"uid", b"1.0"),
        (b"mtime", b"now"),
        (b"mtime", b"1.x"),
    ],
)
def test_pax_values_that_are_no_numbers_are_errors(
    tmp_path: Path, key: bytes, value: bytes
) -> None:
    with pytest.raises(ContentError, match=r"not a (number|time): "):
        unpack(pax((key, value)) + header() + END, tmp_path)


@pytest.mark.parametrize("key", [b"path", b"linkpath"])
def test_nul_bytes_in_names_are_errors(tmp_path: Path, key: bytes) -> None:
    with pytest.raises(ContentError, match="NUL byte"):
        unpack(pax((key, b"a\0b")) + header(kind=b"2", link=b"x") + END, tmp_path)


@pytest.mark.parametrize("kind", [b"x", b"g", b"L", b"K"])
def test_extended_headers_are_small(tmp_path: Path, kind: bytes) -> None:
    with pytest.raises(UnsafeLayerError, match="an extended header of 8589934591 bytes"):
        unpack(header(kind=kind, size=b"77777777777\0") + END, tmp_path)


def test_attributes_are_read_as_star_and_bsdtar_write_them(tmp_path: Path) -> None:
    encoded = base64.b64encode(b"\0b\xff").rstrip(b"=")
    records = pax(
        (b"SCHILY.xattr.user.a", b"\0=\n\xff"),
        (b"LIBARCHIVE.xattr.user.b%20c", encoded),
        (b"LIBARCHIVE.xattr.user.a", base64.b64encode(b"other")),
    )
    unpack(records + header(), tmp_path)
    assert snapshot(tmp_path)["f"].xattrs == (("user.a", b"\0=\n\xff"), ("user.b c", b"\0b\xff"))


# GNU


def test_long_names_and_links_are_read(tmp_path: Path) -> None:
    long = "n" * 250
    tree = {f"{long}/{long}": "x", "l": symlink("t/" * 300), "h": hardlink(f"{long}/{long}")}
    unpack(tar(tree, tar_format=tarfile.GNU_FORMAT), tmp_path)
    assert os.readlink(tmp_path / "l") == "t/" * 300
    assert (tmp_path / "h").samefile(tmp_path / long / long)


# all of them


def test_messages_show_no_control_characters(tmp_path: Path) -> None:
    with pytest.raises(UnsafeLayerError) as caught:
        unpack(header(b"\x1b[2J\n/../../" + b"x" * 80) + END, tmp_path)
    assert str(caught.value).startswith("cannot unpack layer 1: ?[2J?/../../xxx")
    assert str(caught.value).isprintable()


@needs("root")
def test_devices_with_impossible_numbers_are_errors(tmp_path: Path) -> None:
    block = bytearray(header(kind=b"3"))
    block[329:337] = b"\x80" + (2**40).to_bytes(7, "big")
    with pytest.raises(ContentError, match="no device's numbers"):
        unpack(checksummed(block), tmp_path)


def test_all_formats_say_the_same(tmp_path: Path) -> None:
    tree = {"d": directory(0o750, mtime=3), "d/f": file("x" * 3000, 0o4711), "l": symlink("d")}
    seen = []
    for tar_format in (tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        target = tmp_path / str(tar_format)
        unpack(tar(tree, tar_format=tar_format), target)
        seen.append(snapshot(target))
    assert seen[0] == seen[1] == seen[2]
    assert seen[0]["d/f"].mode == 0o4711
