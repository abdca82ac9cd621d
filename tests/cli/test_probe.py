"""The probe itself: what it says of a container is what is so, as far as others can tell."""

from __future__ import annotations

import os
import socket

from tests.support.needs import needs
from tests.support.probe import look

pytestmark = needs("busybox", "overlay")


def test_the_probe_sees_words_variables_and_directory(chrun, probe_dir):
    seen = look(
        chrun, "-e", "ODD=a\nb\t\u00e9\udcff", "-w", "/etc", image=probe_dir, words=("\u00e9 x",)
    )
    assert seen.argv == ("/probe", "\u00e9 x")
    assert seen.env["ODD"] == "a\nb\t\u00e9\udcff"
    assert seen.cwd == "/etc"


def test_the_probe_sees_ids_maps_and_namespaces(chrun, probe_dir):
    seen = look(chrun, image=probe_dir)
    assert seen.uids == (0, 0, 0)
    assert seen.process["pid"] == 1
    assert seen.namespaces["pid"] != os.readlink("/proc/self/ns/pid")
    assert seen.namespaces["net"] == os.readlink("/proc/self/ns/net")
    if os.geteuid():
        assert seen.uid_map[0] == (0, os.geteuid(), 1)
    assert set(seen.interfaces) == {name for _, name in socket.if_nameindex()}


def test_the_probe_sees_mounts_devices_and_paths(chrun, probe_dir, tmp_path):
    (tmp_path / "file").write_text("x")
    seen = look(
        chrun, "-v", f"{tmp_path}:/a b:ro", image=probe_dir, words=("path=/a b", "path=/a b/file")
    )
    assert "ro" in seen.mount("/a b").options
    assert (seen.devices["null"].kind, seen.devices["null"].minor) == ("c", 3)
    assert (seen.paths["/a b"].content, seen.paths["/a b"].write_errno) == (1, 30)
    assert (seen.paths["/a b/file"].content, seen.paths["/a b/file"].write_errno) == (1, 30)
    assert seen.paths["/"].write_errno == 0


def test_the_probe_tries_system_calls_by_name_and_number(chrun, probe_dir):
    seen = look(chrun, image=probe_dir, words=("call=getpid", "call=39", "call=mount"))
    assert seen.calls["getpid"] == seen.calls["39"] == 0
    assert seen.calls["mount"] in {1, 14}
