from __future__ import annotations

import pytest

from chrun.store.store import open_store
from tests.support.registry import FakeRegistry


@pytest.fixture
def registry():
    with FakeRegistry() as running:
        yield running


@pytest.fixture
def store(tmp_path):
    return open_store(str(tmp_path / "store"), create=True)
