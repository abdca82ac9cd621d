"""Overlay or copy: what is taken by itself, and what when one of them is asked for."""

from __future__ import annotations

import pytest

from chrun.errors import UnsupportedError
from chrun.linux.host import Host, Lack
from chrun.rootfs.rootfs import choose_rootfs_kind

HOST = Host(uid=1000, gid=1000, privileged=False, machine="x86_64", release="4.19.0")
WITHOUT = HOST.replace(lacks=(Lack("overlay", "Linux 5.11 is needed", "update the kernel"),))


@pytest.mark.parametrize(
    ("host", "wanted", "kind"),
    [
        (HOST, None, "overlay"),
        (HOST, "overlay", "overlay"),
        (HOST, "copy", "copy"),
        (WITHOUT, None, "copy"),
        (WITHOUT, "copy", "copy"),
    ],
)
def test_an_overlay_is_taken_where_there_is_one(host, wanted, kind):
    assert choose_rootfs_kind(host, wanted) == kind


def test_an_overlay_asked_for_by_name_never_becomes_a_copy():
    with pytest.raises(UnsupportedError, match=r"Linux 5\.11 is needed") as caught:
        choose_rootfs_kind(WITHOUT, "overlay")
    assert caught.value.hint == "update the kernel"
