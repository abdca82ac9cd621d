"""How long registries are waited for, as the environment says."""

from __future__ import annotations

import pytest

from chrun.engine.waiting import read_patience
from chrun.errors import UsageError
from chrun.registry.patience import Patience


def test_without_a_word_it_is_the_default():
    assert read_patience({}) == Patience()
    assert read_patience({"CHRUN_REGISTRY_TIMEOUT": "", "CHRUN_LOWEST_SPEED": ""}) == Patience()


def test_a_whole_answer_may_take_so_long():
    assert read_patience({"CHRUN_REGISTRY_TIMEOUT": "1m30s"}).request_seconds == 90


@pytest.mark.parametrize(
    ("text", "window_bytes", "seconds"),
    [("64k/10s", 64 << 10, 10), ("1m", 1 << 20, 30), ("0", 0, 30), ("5/250ms", 5, 0.25)],
)
def test_a_blob_must_not_be_slower(text, window_bytes, seconds):
    patience = read_patience({"CHRUN_LOWEST_SPEED": text})
    assert (patience.window_bytes, patience.window_seconds) == (window_bytes, seconds)


@pytest.mark.parametrize("name", ["CHRUN_REGISTRY_TIMEOUT", "CHRUN_LOWEST_SPEED"])
@pytest.mark.parametrize("text", ["x", "-1", "9" * 5000, "nan", "inf", "1/", "1/x", "/5s", "1/0s"])
def test_what_cannot_be_read_is_an_error_that_names_it(name, text):
    with pytest.raises(UsageError, match=f"cannot read {name} "):
        read_patience({name: text})
