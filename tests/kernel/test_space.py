"""Space on file systems of a test's own: what is full, what is left to others, what is shared."""

from __future__ import annotations

import errno
import os
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from chrun.errors import StoreError
from chrun.layers.limits import limits_below
from chrun.rootfs.copy import copy_layers
from tests.support.images import tar
from tests.support.layers import unpack
from tests.support.needs import needs
from tests.support.trees import snapshot

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = needs("root")
_CHUNK_BYTES = 1 << 16


@contextmanager
def mounted(directory: Path, *words: str | Path) -> Iterator[Path]:
    """Mount something on a new directory, until the block is left."""
    directory.mkdir()
    subprocess.run(["mount", *words, directory], check=True)
    try:
        yield directory
    finally:
        subprocess.run(["umount", directory], check=True)


def test_a_full_disk_is_an_error_with_a_hint(tmp_path: Path) -> None:
    with mounted(tmp_path / "small", "-t", "tmpfs", "-o", "size=256k", "none") as small:
        with pytest.raises(StoreError, match="f: no space left on device") as caught:
            unpack({"f": bytes(1 << 20)}, small / "layer")
        assert "free some space" in caught.value.hint


def test_limits_leave_a_reserve_of_the_file_system(tmp_path: Path) -> None:
    size = "size=100m,nr_inodes=500"
    with mounted(tmp_path / "disk", "-t", "tmpfs", "-o", size, "none") as disk:
        limits = limits_below(str(disk))
        assert limits.tar_bytes == 95 << 20
        assert 400 < limits.entries < 500
        (disk / "f").write_bytes(bytes(98 << 20))
        assert limits_below(str(disk)).tar_bytes == 0


def test_what_others_take_meanwhile_does_not_cost_the_reserve(tmp_path: Path) -> None:
    packed = tar({"zeros": bytes(130 << 20)})
    chunks = (packed[at : at + _CHUNK_BYTES] for at in range(0, len(packed), _CHUNK_BYTES))
    with mounted(tmp_path / "disk", "-t", "tmpfs", "-o", "size=200m", "none") as disk:
        limits = limits_below(str(disk))
        (disk / "other").write_bytes(bytes(64 << 20))
        with pytest.raises(OSError, match="No space left") as caught:
            unpack(chunks, disk / "layer", limits=limits)
        assert caught.value.errno == errno.ENOSPC


@needs("mkfs.xfs")
def test_a_file_system_that_shares_blocks_shares_them(tmp_path: Path) -> None:
    image = tmp_path / "image"
    image.touch()
    os.truncate(image, 400 << 20)
    subprocess.run(["mkfs.xfs", "-q", "-m", "reflink=1", image], check=True)
    with mounted(tmp_path / "disk", "-o", "loop", image) as disk:
        unpack({"f": os.urandom(50 << 20)}, disk / "layer")
        os.sync()
        before = os.statvfs(disk).f_bfree
        copy_layers([str(disk / "layer")], str(disk / "root"))
        os.sync()
        assert snapshot(disk / "root") == snapshot(disk / "layer")
        assert (before - os.statvfs(disk).f_bfree) * os.statvfs(disk).f_frsize < 10 << 20
