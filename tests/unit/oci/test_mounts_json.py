"""Mounts and devices as config.json has them."""

from __future__ import annotations

import pytest

from chrun.oci.mounts_json import device_json, mount_json
from chrun.oci.spec import Device, SpecMount


@pytest.mark.parametrize(
    ("words", "options"),
    [
        (("rbind", "ro"), ["rbind", "ro", "rro"]),
        (("rbind", "rro"), ["rbind", "ro", "rro"]),
        (("rbind", "ro-top"), ["rbind", "ro"]),
        (("bind", "idmap", "nosuid"), ["bind", "nosuid"]),
    ],
)
def test_a_bind_says_how_far_its_words_reach(words, options):
    told = mount_json(SpecMount("/x", "bind", "/source", words, "part"))
    assert told["options"] == options
    assert told["source"] == "/source/part"


def test_an_image_is_an_overlay_of_its_layers_topmost_first():
    told = mount_json(SpecMount("/x", "overlay", "overlay", ("ro",), "", ("/a,b", "/c:d")))
    assert told["options"] == ["ro", "lowerdir=/c\\:d:/a\\,b"]
    covered = mount_json(SpecMount("/x", "overlay", "/source", ("nosuid",)))
    assert covered["options"] == ["nosuid", "ro", "lowerdir=/source"]


def test_a_device_has_its_numbers_and_owner():
    told = device_json(Device("/dev/x", "b", 7, 1, 0o660, "/dev/loop1", "rw", 0, 6))
    assert told == {
        "path": "/dev/x", "type": "b", "major": 7, "minor": 1, "fileMode": 0o660, "uid": 0,
        "gid": 6,
    }  # fmt: skip
