"""Attackers get what the command's own tests have."""

from __future__ import annotations

from tests.cli.conftest import (  # noqa: F401 - fixtures
    _pulled,
    box,
    chrun,
    probe_dir,
    registry,
)
