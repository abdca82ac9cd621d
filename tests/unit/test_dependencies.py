"""Other projects' code: the versions that are allowed are those that the tests ran with."""

from __future__ import annotations

import os
import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

PROJECT = tomllib.loads((Path(__file__).resolve().parents[2] / "pyproject.toml").read_text())
DEPENDENCIES = [Requirement(text) for text in PROJECT["project"]["dependencies"]]
LOWEST = os.environ.get("CHRUN_TEST_LOWEST") == "1"  # `make test-lowest`


@pytest.mark.parametrize("wanted", DEPENDENCIES, ids=lambda wanted: wanted.name)
def test_a_dependency_has_a_lower_bound_and_it_is_what_is_tested(wanted):
    (bound,) = wanted.specifier
    assert bound.operator == ">="
    if wanted.marker and not wanted.marker.evaluate():
        return  # the standard library has it
    installed, lowest = Version(version(wanted.name)), Version(bound.version)
    assert installed == lowest if LOWEST else installed >= lowest


def test_the_lowest_versions_are_those_that_are_imported():
    import urllib3
    import zlib_ng

    for module in (urllib3, zlib_ng):
        assert Version(module.__version__) == Version(version(module.__name__))
        assert not LOWEST or "build/lowest" in str(module.__file__)
