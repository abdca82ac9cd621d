"""Finding containers and their first processes."""

from __future__ import annotations

import os

import pytest

from chrun.store.containers import create_container
from chrun.store.running import find_containers, recorded_process


@pytest.fixture
def make(layout):
    """Give a function that makes a container; all are held until the end of the test."""
    made = []

    def make_one(name: str = "") -> str:
        made.append(create_container(layout, "", name=name))
        return made[-1].container_id

    yield make_one
    for container in made:
        os.close(container.lock_fd)


def found(layout, text: str) -> list[str]:
    return [each.container_id for each in find_containers(layout, text)]


def test_a_container_is_found_by_name_by_id_and_by_its_beginning(layout, make):
    web = make("web")
    for text in ("web", web, web[:4], web[:1]):
        assert found(layout, text) == [web]


def test_a_name_goes_before_the_beginning_of_an_id(layout, make):
    other = make()
    named = make(other[:1])
    assert found(layout, other[:1]) == [named]


@pytest.mark.parametrize("text", ["", "nobody", "../x", "zz"])
def test_what_is_not_there_is_not_found(layout, make, text):
    make("web")
    assert find_containers(layout, text) == ()


@pytest.mark.parametrize(
    ("points_to", "expected"),
    [("47:11", (47, 11)), ("47:", None), ("47", None), (":", None), ("a:b", None), (None, None)],
)
def test_a_record_is_two_numbers_or_none(tmp_path, points_to, expected):
    if points_to is not None:
        (tmp_path / "process").symlink_to(points_to)
    assert recorded_process(str(tmp_path)) == expected


@pytest.mark.parametrize("text", [f"{1 << 31}:5", "0:5", "-1:5", f"{'9' * 4000}:1", "x:5", "5"])
def test_what_is_no_process_is_not_recorded(tmp_path, text):
    os.symlink(text, tmp_path / "process")
    assert recorded_process(str(tmp_path)) is None
