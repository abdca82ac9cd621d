"""The fuzzers: each works, and no parser is without one."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest

from tests.fuzz.__main__ import TARGETS

CHECKOUT = Path(__file__).resolve().parents[2]
FUZZERS = "\n".join(path.read_text() for path in (CHECKOUT / "tests" / "fuzz").glob("*.py"))
PARSERS = sorted(
    (name, str(path.relative_to(CHECKOUT)))
    for path in (CHECKOUT / "src").rglob("*.py")
    for name in re.findall(r"^(?: {4})?def (parse_\w+|from_json)\(", path.read_text(), re.MULTILINE)
)

# A parser that no fuzzer names, and the one behind which it is reached
_BEHIND = {
    "from_json": "parse_document",
    "parse_device": "parse_run",
    "parse_devices": "parse_run",
    "parse_integer": "unpack_layer",
    "parse_mounts": "parse_run",
    "parse_namespaces": "parse_run",
    "parse_options": "parse_run",
    "parse_records": "unpack_layer",
    "parse_security": "parse_run",
    "parse_time": "unpack_layer",
}


@pytest.mark.parametrize("name", TARGETS)
def test_a_target_runs(name):
    importlib.import_module(f"tests.fuzz.{name}").run(0, 1)


@pytest.mark.parametrize(("name", "path"), PARSERS)
def test_a_parser_has_a_fuzzer(name, path):
    assert re.search(rf"\b{_BEHIND.get(name, name)}\b", FUZZERS), f"{name} of {path} has none"


def test_what_fails_is_told_with_its_input():
    from tests.fuzz.harness import fuzz

    def check(number):
        assert number != 7

    with pytest.raises(AssertionError) as raised:
        fuzz(check, lambda draw: draw.integer(0, 9), 60, 1)
    assert re.fullmatch(r"input \d+ of seed 1: 7", raised.value.__notes__[-1])
