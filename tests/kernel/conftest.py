"""A root file system to run chrun-init's containers in."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.box import Box, unpack_busybox

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="session")
def busybox_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the official busybox in it; tests leave it as it is."""
    directory = tmp_path_factory.mktemp("busybox")
    unpack_busybox(directory)
    return directory


@pytest.fixture
def box(tmp_path: Path, busybox_dir: Path) -> Box:
    return Box(tmp_path, busybox_dir)
