from __future__ import annotations

import pytest

from chrun.store.store import open_store


@pytest.fixture
def store(tmp_path):
    return open_store(str(tmp_path / "store"), create=True)


@pytest.fixture
def layout(store):
    return store.layout
