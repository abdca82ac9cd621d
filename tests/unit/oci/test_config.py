"""Image configurations: what they say of a process is text that a process can be given."""

from __future__ import annotations

import json

import pytest

from chrun.errors import ContentError
from chrun.oci.config import parse_config


def _config(**process):
    return json.dumps({"rootfs": {"type": "layers", "diff_ids": []}, "config": process}).encode()


@pytest.mark.parametrize("character", ["\0", "\ud800"])
@pytest.mark.parametrize("field", ["Env", "Entrypoint", "Cmd", "WorkingDir", "User"])
def test_what_no_process_could_be_given_is_named(field, character):
    text = f"A={character}"
    content = text if field in {"WorkingDir", "User"} else [text]
    with pytest.raises(ContentError, match=f"^cannot read it: config: {field} has "):
        parse_config("it", _config(**{field: content}))


def test_what_chrun_does_not_read_does_not_matter():
    config = parse_config("it", _config(Labels={"a": "\ud800"}, Healthcheck={"Interval": 1 << 62}))
    assert config.env == ()
