"""Frozen values: what dataclasses would do, without their import."""

import pickle
import subprocess
import sys
from typing import ClassVar

import pytest

from chrun.values import Value


class Point(Value):
    x: int
    y: int = 0
    made: ClassVar[int] = 7


class Point3(Point):
    z: int = 5


class Other(Value):
    x: int
    y: int = 0


def test_values_are_given_in_order_by_name_or_by_default():
    assert (Point(1, 2).x, Point(1, 2).y) == (1, 2)
    assert Point(y=2, x=1) == Point(1, 2)
    assert Point(1) == Point(1, 0)


def test_a_class_variable_is_no_field():
    assert Point(1).made == 7
    with pytest.raises(TypeError):
        Point(1, made=8)


def test_fields_are_inherited_before_ones_own():
    assert Point3(1, 2, 3) == Point3(x=1, y=2, z=3)
    assert Point3(1) == Point3(1, 0, 5)


@pytest.mark.parametrize(
    ("args", "kwargs", "words"),
    [
        ((), {}, "Point needs a value for x"),
        ((1, 2, 3), {}, "Point takes 2 values, got 3"),
        ((1,), {"x": 2}, "Point got unexpected or repeated values: x"),
        ((1,), {"w": 2}, "Point got unexpected or repeated values: w"),
    ],
)
def test_wrong_fields_are_type_errors(args, kwargs, words):
    with pytest.raises(TypeError) as raised:
        Point(*args, **kwargs)
    assert str(raised.value) == words


def test_values_are_frozen():
    point = Point(1)
    for act in (
        lambda: setattr(point, "x", 2),
        lambda: setattr(point, "w", 2),
        lambda: delattr(point, "x"),
    ):
        with pytest.raises(AttributeError, match="is frozen"):
            act()
    assert point == Point(1)


def test_values_have_no_dictionary():
    assert not hasattr(Point3(1), "__dict__")


def test_equality_is_by_class_and_content():
    assert Point(1, 2) == Point(1, 2)
    assert Point(1, 2) != Point(1, 3)
    assert Point(1) != Other(1)
    assert Point(1) != Point3(1)
    assert Point(1) != (1, 0)


def test_equal_values_are_one_key():
    assert len({Point(1), Point(1, 0), Point(2), Other(1)}) == 3


def test_a_copy_differs_in_what_is_named():
    assert Point(1, 2).replace(y=3) == Point(1, 3)
    assert type(Point3(1).replace(x=2)) is Point3
    with pytest.raises(TypeError):
        Point(1).replace(w=1)


def test_a_value_shows_its_fields():
    assert repr(Point3(1)) == "Point3(x=1, y=0, z=5)"


def test_values_can_be_pickled():
    assert pickle.loads(pickle.dumps(Point3(1, 2, 3))) == Point3(1, 2, 3)


def test_importing_values_imports_nothing_slow():
    code = (
        "import sys; before = set(sys.modules); import chrun.values, chrun.errors;"
        "print(*sorted(set(sys.modules) - before))"
    )
    command = [sys.executable, "-I", "-S", "-c", f"import sys; sys.path[:] = {sys.path!r}; {code}"]
    ended = subprocess.run(command, capture_output=True, text=True, check=True)
    assert ended.stdout.split() == ["__future__", "chrun", "chrun.errors", "chrun.values"]
