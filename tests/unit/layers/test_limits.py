"""How much a layer may claim, and what one that claims more takes of memory and of the disk."""

from __future__ import annotations

import os
import subprocess
import sys
import zlib
from typing import TYPE_CHECKING

import pytest

from chrun.errors import UnsafeLayerError
from chrun.layers.limits import Limits
from tests.support.images import directory, file, symlink, tar
from tests.support.layers import unpack
from tests.support.tar_headers import pax

if TYPE_CHECKING:
    from pathlib import Path


def test_more_bytes_than_allowed_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(UnsafeLayerError, match="it unpacks to more than 100000 bytes"):
        unpack({"zeros": bytes(200_000)}, tmp_path, limits=Limits(100_000))


def test_more_entries_than_allowed_are_an_error(tmp_path: Path) -> None:
    tree = {f"d{number}": directory() for number in range(11)}
    unpack(tree, tmp_path, limits=Limits(10**9, 12))
    with pytest.raises(UnsafeLayerError, match="it has more than 10 entries"):
        unpack(tree, tmp_path, limits=Limits(10**9, 10))


def test_headers_that_describe_nothing_count_as_entries(tmp_path: Path) -> None:
    with pytest.raises(UnsafeLayerError, match="more than 50 entries"):
        unpack(pax((b"path", b"x")) * 60, tmp_path, limits=Limits(10**9, 50))


def test_names_and_depths_are_bounded(tmp_path: Path) -> None:
    unpack({"/".join(["d"] * 256): ""}, tmp_path)
    with pytest.raises(UnsafeLayerError, match="more than 256 levels deep"):
        unpack({"/".join(["e"] * 300): ""}, tmp_path)
    with pytest.raises(UnsafeLayerError, match="a name of 5001 bytes"):
        unpack({"d" * 5000 + "/": ""}, tmp_path)


def test_symlinks_do_not_lead_deeper_than_names(tmp_path: Path) -> None:
    deep = "/".join(["d"] * 200)
    with pytest.raises(UnsafeLayerError, match="levels deep"):
        unpack({deep + "/f": "", "l": symlink(deep), "l/" + deep + "/f": ""}, tmp_path)


BOMB = """
import sys
from pathlib import Path
from chrun.errors import ChrunError
from chrun.layers.limits import Limits
from tests.support.layers import unpack

try:
    unpack([open(sys.argv[1], "rb").read()], Path(sys.argv[2]), limits=Limits(100 << 20))
except ChrunError as error:
    print(error)
for line in open("/proc/self/status"):  # getrusage(2) remembers the parent's peak
    if line.startswith("VmHWM"):
        print(line.split()[1])
"""


def bomb(where: str) -> bytes:
    heads = {
        "a file": tar({"f": file(bytes(512))})[:512].replace(b"00000001000", b"77777777777"),
        "a name": tar({"n" * 200: "x"})[:512].replace(b"00000000", b"77777777"),
        "nothing": bytes(1024),
    }
    packer = zlib.compressobj(1, wbits=31)
    head = bytearray(heads[where])
    if where != "nothing":
        checksum = b"%06o\0 " % sum(head[:148] + b" " * 8 + head[156:])
        head[148:156] = checksum
    start = packer.compress(head) + packer.flush(zlib.Z_FULL_FLUSH)
    # what comes behind a full flush does not depend on what was before
    return start + (packer.compress(bytes(1 << 20)) + packer.flush(zlib.Z_FULL_FLUSH)) * 125


@pytest.mark.parametrize(
    ("where", "said"),
    [
        ("a file", "it unpacks to more than 104857600 bytes"),
        ("nothing", "it unpacks to more than 104857600 bytes"),
        ("a name", "an extended header of"),
    ],
)
def test_a_bomb_takes_neither_memory_nor_more_of_the_disk(
    tmp_path: Path, where: str, said: str
) -> None:
    (tmp_path / "bomb").write_bytes(bomb(where))
    done = subprocess.run(
        [sys.executable, "-c", BOMB, tmp_path / "bomb", tmp_path / "layer"],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
    )
    message, peak_kilobytes = done.stdout.splitlines()
    assert said in message
    assert int(peak_kilobytes) < 64 << 10
