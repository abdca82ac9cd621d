"""Cached answers: what is kept is found again, and no content of a file does any harm."""

from __future__ import annotations

import os
import stat

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chrun.store import answers
from chrun.store.answers import Fields, find_answer, keep_answer, packed
from tests.support.needs import needs

QUESTION = packed("what", 1, ("a", b"b", None))
ANSWER = packed("this", (), 7)

texts = st.text(st.characters())  # also halves of surrogate pairs, which JSON can write
numbers = st.integers(-(1 << 200), 1 << 200)


@pytest.fixture
def path(layout):
    return f"{layout.cache_dir}/answer"


def is_found(layout, path):
    found = find_answer(layout, path, QUESTION)
    if found is None:
        return False
    assert (found.text(), found.texts(), found.number()) == ("this", (), 7)
    found.end()
    return True


def test_an_answer_is_found_for_its_own_question_only(layout, path):
    assert not is_found(layout, path)
    keep_answer(layout, path, QUESTION, ANSWER)
    assert is_found(layout, path)
    for other in (packed("what", 1), QUESTION[:-1], QUESTION + ANSWER, b""):
        assert find_answer(layout, path, other) is None


@given(texts, numbers, st.binary(), st.lists(texts))
def test_fields_are_read_as_they_were_written(text, number, data, several):
    fields = Fields(packed(text, number, data, tuple(several), (data, (text,))))
    assert (fields.text(), fields.number(), fields.data()) == (text, number, data)
    assert fields.texts() == tuple(several)
    inner = fields.fields()
    assert (inner.data(), inner.texts()) == (data, (text,))
    inner.end()
    fields.end()


def test_a_field_of_another_kind_is_refused():
    readers = (Fields.text, Fields.number, Fields.data, Fields.fields, Fields.texts)
    for position, field in enumerate(("a", 1, b"b", ())):
        for other, read in enumerate(readers):
            if position != min(other, 3):
                with pytest.raises(ValueError, match="another kind"):
                    read(Fields(packed(field)))
    with pytest.raises(ValueError, match="more fields"):
        Fields(packed("a")).end()


@pytest.mark.parametrize("count", [0, 33, 4000])
def test_a_number_of_any_length_is_refused_but_never_made(count):
    with pytest.raises(ValueError, match="number"):
        Fields(b"n" + count.to_bytes(4, "little") + bytes(count)).number()


@given(st.binary(max_size=64), st.data())
def test_no_content_makes_reading_fields_do_anything_but_raise_value_error(content, data):
    """No content is more than it says: nothing is allocated for a length, nothing recurses."""
    fields = Fields(content)
    readers = (fields.text, fields.number, fields.data, fields.texts, fields.end)
    for _ in range(4):
        try:
            data.draw(st.sampled_from(readers))()
        except ValueError:
            continue


@given(st.integers(0, 200), st.integers(1, 255))
def test_an_answer_with_one_byte_changed_is_none(tmp_path_factory, position, mask):
    layout = answers_layout(tmp_path_factory)
    path = f"{layout.cache_dir}/answer"
    keep_answer(layout, path, QUESTION, ANSWER)
    with open(path, "r+b") as file:
        content = bytearray(file.read())
        content[position % len(content)] ^= mask
        file.seek(0)
        file.write(content)
    assert find_answer(layout, path, QUESTION) is None


def answers_layout(tmp_path_factory):
    from chrun.store.store import open_store

    return open_store(str(tmp_path_factory.mktemp("store") / "data"), create=True).layout


@given(st.binary(max_size=200))
def test_any_file_in_the_place_of_an_answer_is_none(tmp_path_factory, content):
    layout = answers_layout(tmp_path_factory)
    path = f"{layout.cache_dir}/answer"
    with open(path, "wb") as file:
        file.write(content)
    os.chmod(path, 0o600)
    assert find_answer(layout, path, QUESTION) is None


@pytest.mark.parametrize("mode", [0o620, 0o602, 0o666])
def test_a_file_that_others_can_write_to_is_not_read(layout, path, mode):
    keep_answer(layout, path, QUESTION, ANSWER)
    os.chmod(path, mode)
    assert not is_found(layout, path)
    os.chmod(path, 0o644)
    assert is_found(layout, path)


@needs("root")
def test_a_file_of_another_user_is_not_read(layout, path):
    keep_answer(layout, path, QUESTION, ANSWER)
    os.chown(path, 12345, 12345)
    assert not is_found(layout, path)


def test_what_is_no_regular_file_is_not_read(layout, path):
    keep_answer(layout, f"{path}2", QUESTION, ANSWER)
    os.symlink(f"{path}2", path)
    assert not is_found(layout, path)
    os.unlink(path)
    os.mkfifo(path, 0o600)
    assert not is_found(layout, path)  # and nothing waits for a writer
    os.unlink(path)
    os.mkdir(path)
    assert not is_found(layout, path)


def test_a_file_of_any_size_costs_nothing(layout, path):
    keep_answer(layout, path, QUESTION, ANSWER)
    os.truncate(path, 1 << 40)
    assert not is_found(layout, path)


def test_nothing_is_kept_or_found_where_another_user_could_replace_the_store(layout, path):
    keep_answer(layout.replace(keeps_answers=False), path, QUESTION, ANSWER)
    assert os.listdir(layout.cache_dir) == ["images"]
    keep_answer(layout, path, QUESTION, ANSWER)
    assert not is_found(layout.replace(keeps_answers=False), path)
    assert is_found(layout, path)


@pytest.mark.parametrize("mask", [0, 0o777])
def test_no_umask_changes_the_mode_of_an_answer(layout, path, mask):
    before = os.umask(mask)
    try:
        keep_answer(layout, path, QUESTION, ANSWER)
    finally:
        os.umask(before)
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
    assert is_found(layout, path)


def test_what_a_killed_command_left_is_overwritten(layout, path, monkeypatch):
    monkeypatch.setattr(answers, "get_native_id", lambda: 1)
    with open(f"{path}.1", "wb") as file:
        file.write(b"half of an answer, and longer than a whole one" * 10)
    keep_answer(layout, path, QUESTION, ANSWER)
    assert is_found(layout, path)
    assert sorted(os.listdir(layout.cache_dir)) == ["answer", "images"]
