"""The rules of tests/conftest.py, seen from a pytest run of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.needs import ACCEPTED_IN_CI, NEEDS, needs, skip_reason

CHECKOUT = Path(__file__).resolve().parents[2]


def _outcome(test_file: Path, *, ci: bool) -> str:
    environment = {key: text for key, text in os.environ.items() if key != "CI"}
    if ci:
        environment["CI"] = "true"
    command = [sys.executable, "-m", "pytest", "-p", "tests.conftest", "-p", "no:cacheprovider"]
    played = subprocess.run(
        [*command, "-q", test_file], cwd=CHECKOUT, env=environment, capture_output=True, text=True
    )
    return played.stdout.splitlines()[-1]


def _test_file(tmp_path: Path, *lines: str) -> Path:
    path = tmp_path / "test_sample.py"
    path.write_text("\n".join(["import pytest", *lines]))
    return path


def test_a_skip_is_a_skip_on_a_developers_machine(tmp_path: Path) -> None:
    path = _test_file(tmp_path, "def test_it():", "    pytest.skip('no reason')")
    assert "1 skipped" in _outcome(path, ci=False)


def test_a_skip_fails_in_ci(tmp_path: Path) -> None:
    path = _test_file(tmp_path, "def test_it():", "    pytest.skip('no reason')")
    assert "1 failed" in _outcome(path, ci=True)


def test_a_skip_with_an_accepted_reason_is_a_skip_in_ci(tmp_path: Path) -> None:
    reason = skip_reason(next(iter(ACCEPTED_IN_CI)))
    path = _test_file(tmp_path, "def test_it():", f"    pytest.skip({reason!r})")
    assert "1 skipped" in _outcome(path, ci=True)


def test_a_test_for_somebody_else_is_left_out(tmp_path: Path) -> None:
    path = _test_file(
        tmp_path,
        "@pytest.mark.needs('root')",
        "def test_root(): pass",
        "@pytest.mark.needs('ordinary user')",
        "def test_user(): pass",
    )
    assert "1 passed, 1 deselected" in _outcome(path, ci=True)


def test_every_accepted_lack_is_a_known_need() -> None:
    assert ACCEPTED_IN_CI.keys() <= NEEDS.keys()


def test_a_misspelt_need_is_an_error() -> None:
    with pytest.raises(ValueError, match="no such need: rooot"):
        needs("rooot")
