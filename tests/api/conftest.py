"""A store with the official busybox in it, that containers leave as it was."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

import chrun
from tests.support import images
from tests.support.registry import FakeRegistry

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def root(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(tmp_path_factory.mktemp("api") / "data")


@pytest.fixture(scope="session")
def box(root: str) -> str:
    """The name of the busybox image."""
    with FakeRegistry() as registry:
        registry.add(images.busybox(), "busybox", "latest")
        image = chrun.pull(f"{registry.host}/busybox", root=root)
    assert image.platform == "linux/amd64"
    return image.reference


@pytest.fixture(autouse=True)
def nothing_left(root: str, box: str) -> Iterator[None]:
    """See that a test leaves no container and no descriptor."""
    before = open_files()
    yield
    assert os.listdir(f"{root}/containers") == []
    assert open_files() <= before  # the registry may close its last one late


def open_files() -> int:
    """Count what this process has open."""
    return len(os.listdir("/proc/self/fd"))
