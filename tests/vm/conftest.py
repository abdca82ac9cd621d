"""The machine's users get what the command's own tests have."""

from __future__ import annotations

from tests.cli.conftest import _pulled, box, chrun, registry  # noqa: F401 - fixtures
