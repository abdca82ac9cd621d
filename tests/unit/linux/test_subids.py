"""/etc/subuid and /etc/subgid: whose ids there are, and which are nobody's."""

from __future__ import annotations

import pytest

from chrun.linux.subids import (
    IdRange,
    Subids,
    free_ranges,
    map_ranges,
    ranges_of,
    whole_ranges,
)
from chrun.oci.spec import IdMapping

ME = {"alice", "1000"}


def mine(text, own_id=1000):
    return [(found.start, found.size) for found in ranges_of(text, ME, own_id)]


def test_a_range_is_given_by_name_or_by_number():
    text = "bob:100000:65536\nalice:165536:65536\n1000:300000:10\n"
    assert mine(text) == [(165536, 65536), (300000, 10)]


@pytest.mark.parametrize(
    "line",
    [
        "", "# alice:1:2", "#alice:1:2", "alice:1", "alice:1:2:3", "alice:x:2", "alice:1:-2",
        "alice:-1:2", "alice:1:0", "alice:4294967290:100", "alice:\N{SUPERSCRIPT TWO}:5",
        "alicex:1:2", ":1:2", "1001:1:2",
    ],
)  # fmt: skip
def test_a_line_that_gives_nothing_is_passed_over(line):
    assert mine(f"{line}\nalice:500000:7\n") == [(500000, 7)]


def test_ids_that_are_given_twice_count_once():
    assert mine("alice:5000:100\nalice:5000:100\n") == [(5000, 100)]
    assert mine("alice:5000:100\nalice:5050:100\n") == [(5000, 100), (5100, 50)]
    assert mine("alice:5050:100\nalice:5000:100\n") == [(5050, 100), (5000, 50)]
    assert mine("alice:5000:100\nalice:5200:100\nalice:5050:200\n") == [
        (5000, 100), (5200, 100), (5100, 100),
    ]  # fmt: skip


def test_the_callers_own_id_is_not_mapped_a_second_time():
    assert mine("alice:900:200\n") == [(900, 100)]
    assert mine("alice:1000:200\n") == [(1001, 199)]


def test_maps_have_a_length_that_names_can_have():
    text = "".join(f"alice:{number}00000:10\n" for number in range(1, 20))
    assert len(mine(text)) == 4


def test_no_map_has_an_id_twice():
    text = "alice:990:30\nalice:1010:10\nalice:1005:50\nalice:1200:1\n"
    ids = [1000]
    for start, size in mine(text):
        ids += range(start, start + size)
    assert len(ids) == len(set(ids))


def test_inside_the_caller_is_root_and_the_ranges_follow():
    maps = map_ranges(1000, (IdRange(100000, 1000), IdRange(5, 7)))
    assert maps == (IdMapping(0, 1000, 1), IdMapping(1, 100000, 1000), IdMapping(1001, 5, 7))


def test_ids_suffice_when_users_and_groups_reach_to_65535():
    plenty, few = (IdRange(1, 60000), IdRange(70000, 5535)), (IdRange(1, 65534),)
    assert Subids(plenty, plenty).suffice
    assert not Subids(plenty, few).suffice
    assert not Subids(few, plenty).suffice
    assert not Subids(plenty, ()).suffice


def test_what_is_given_to_containers_is_taken_in_whole_ranges():
    text = "containers:1000000:200000\nbob:5:65536\nroot:3000000:65536\n"
    assert list(whole_ranges(text, ("root", "containers"))) == [1000000, 1065536, 1131072, 3000000]
    assert list(whole_ranges("root:1:65535\n", ("root",))) == []


def test_free_ranges_lie_above_all_that_is_given_and_hit_no_account():
    first = next(free_ranges((), ()))
    assert first == 524288
    assert next(free_ranges(("bob:524288:1\n",), ())) == 589824
    assert next(free_ranges(("bob:900000:65536\n", "bob:1000001:65536\n"), ())) == 1114112
    assert next(free_ranges((), (524300, 589824 + 5, 3))) == 655360
    assert max(free_ranges((), ())) + 65536 < 1 << 31


def test_numbers_that_are_no_ids_are_skipped():
    text = f"bob:{'9' * 5000}:1\nbob:1:{'9' * 5000}\nbob:\xb2:5\nbob:5:65536\n"
    assert ranges_of(text, {"bob"}, 0) == (IdRange(5, 65536),)
