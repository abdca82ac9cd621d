"""The space that is left to others while a layer is unpacked."""

from __future__ import annotations

import errno
import subprocess
from typing import TYPE_CHECKING

import pytest

from chrun.layers.limits import limits_below
from tests.support.images import tar
from tests.support.layers import unpack
from tests.support.needs import needs

if TYPE_CHECKING:
    from pathlib import Path

_CHUNK_BYTES = 1 << 16


@needs("root")
def test_what_others_take_meanwhile_does_not_cost_the_reserve(tmp_path: Path) -> None:
    packed = tar({"zeros": bytes(130 << 20)})
    chunks = (packed[at : at + _CHUNK_BYTES] for at in range(0, len(packed), _CHUNK_BYTES))
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=200m", "none", tmp_path], check=True)
    try:
        limits = limits_below(str(tmp_path))
        (tmp_path / "other").write_bytes(bytes(64 << 20))
        with pytest.raises(OSError, match="No space left") as caught:
            unpack(chunks, tmp_path / "layer", limits=limits)
        assert caught.value.errno == errno.ENOSPC
    finally:
        subprocess.run(["umount", tmp_path], check=True)
