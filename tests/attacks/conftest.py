"""Attackers get what the command's own tests have."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.cli.conftest import (  # noqa: F401 - fixtures
    _pulled,
    box,
    calls_dir,
    chrun,
    probe_dir,
    registry,
)
from tests.kernel.conftest import busybox_dir  # noqa: F401 - a fixture
from tests.support.trees import snapshot

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SECRET = "the host's own"


@pytest.fixture
def victim(tmp_path: Path) -> Iterator[Path]:
    """A directory of the host's that must stay as it is, whoever could write to it."""
    directory = tmp_path / "victim"
    directory.mkdir()
    for name in ("secret", "hosts", "null", "console"):
        (directory / name).write_text(SECRET)
        (directory / name).chmod(0o666)
    directory.chmod(0o777)
    before = snapshot(directory)
    yield directory
    assert snapshot(directory) == before
