"""The rules of tests/conftest.py, seen from a pytest run of their own."""

from __future__ import annotations

import pytest

from tests.support.needs import ACCEPTED_IN_CI, NEEDS, needs, skip_reason

pytest_plugins = ["pytester"]


@pytest.fixture
def play(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch):
    """Play a test file under those rules, and give its outcomes."""

    def play(*lines: str, ci: bool) -> dict[str, int]:
        pytester.makepyfile("\n".join(["import pytest", *lines]))
        monkeypatch.delenv("CI", raising=False)
        if ci:
            monkeypatch.setenv("CI", "true")
        outcomes = pytester.runpytest_inprocess("-p", "tests.conftest").parseoutcomes()
        return {what: outcomes[what] for what in outcomes if "warning" not in what}

    return play


def test_a_skip_is_a_skip_on_a_developers_machine(play) -> None:
    assert play("def test_it():", "    pytest.skip('no reason')", ci=False) == {"skipped": 1}


def test_a_skip_fails_in_ci(play) -> None:
    assert play("def test_it():", "    pytest.skip('no reason')", ci=True) == {"failed": 1}


def test_a_skip_with_an_accepted_reason_is_a_skip_in_ci(play) -> None:
    reason = skip_reason(next(iter(ACCEPTED_IN_CI)))
    assert play("def test_it():", f"    pytest.skip({reason!r})", ci=True) == {"skipped": 1}


def test_a_test_for_somebody_else_is_left_out(play) -> None:
    outcomes = play(
        "@pytest.mark.needs('root')",
        "def test_root(): pass",
        "@pytest.mark.needs('ordinary user')",
        "def test_user(): pass",
        ci=True,
    )
    assert outcomes == {"passed": 1, "deselected": 1}


def test_every_accepted_lack_is_a_known_need() -> None:
    assert ACCEPTED_IN_CI.keys() <= NEEDS.keys()


def test_a_misspelt_need_is_an_error() -> None:
    with pytest.raises(ValueError, match="no such need: rooot"):
        needs("rooot")
