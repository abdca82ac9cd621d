"""Whose tests run, and what becomes of those that this machine cannot run."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from tests.support import needs

if TYPE_CHECKING:
    from collections.abc import Generator


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the tests for another user, and skip those whose needs are not met."""
    others = [item for item in items if needs.is_for_somebody_else(_needs_of(item))]
    if others:
        config.hook.pytest_deselected(items=others)
        items[:] = [item for item in items if item not in others]
    for item in items:  # with the reason that the need has; in CI it fails all the same, see below
        if lack := needs.first_lack(_needs_of(item)):
            item.add_marker(pytest.mark.skip(needs.skip_reason(lack)))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
    call: pytest.CallInfo[None],
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Make a skip a failure in CI, where everything that tests need ought to be there."""
    report = yield
    if report.skipped and os.environ.get("CI") and not hasattr(report, "wasxfail"):
        reason = str(call.excinfo.value) if call.excinfo else ""
        if not needs.is_accepted(reason):
            report.outcome = "failed"
            report.longrepr = f"skipped, which CI does not accept: {reason}"
    return report


def _needs_of(item: pytest.Item) -> set[str]:
    return {name for mark in item.iter_markers("needs") for name in mark.args}
