"""A store, and a root file system with the probe in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.chrun import Chrun
from tests.support.podman import podman_environment
from tests.support.probe import make_probe_rootfs

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="session")
def probe_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_probe_rootfs(tmp_path_factory.mktemp("probe") / "rootfs")


@pytest.fixture(scope="session")
def own_chrun(tmp_path_factory: pytest.TempPathFactory) -> Chrun:
    return Chrun(tmp_path_factory.mktemp("store") / "data")


@pytest.fixture(scope="session")
def podman_env(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    with podman_environment(tmp_path_factory.mktemp("podman")) as environment:
        yield environment
