"""Layers and archives that share more than they may: another image's files, or removed ones."""

from __future__ import annotations

import gzip
import io
import subprocess
import tarfile

import pytest

from tests.support import images
from tests.support.chrun import Chrun
from tests.support.needs import needs
from tests.support.registry import FakeRegistry

pytestmark = needs("busybox", "overlay")

PRIVATE = "the other image's"
_SHOW = "cat /secret /d/secret 2>/dev/null; :"


@pytest.fixture
def fresh(tmp_path):
    """The command with a store of its own."""
    return Chrun(tmp_path / "data")


@pytest.fixture
def hub():
    with FakeRegistry() as serving:
        yield serving


def busybox_layer():
    """Return the layer with the commands in it."""
    _config, blob = images.busybox().blobs
    return images.layer(gzip.decompress(blob))


def add(hub, name, *layers):
    """Serve an image of busybox and layers, and give its name."""
    hub.add(images.image([busybox_layer(), *layers]), name, "latest")
    return f"{hub.host}/{name}"


@pytest.mark.parametrize("decoy", [{"x": "1"}, {"secret": "mine"}], ids=["other", "alike"])
def test_another_images_layer_is_not_had_for_a_decoy(fresh, hub, decoy):
    private = images.layer({"secret": PRIVATE})
    fake = private.replace(blob=images.layer(decoy).blob)
    own, evil = add(hub, "private", private), add(hub, "evil", fake)
    assert fresh("run", "-q", own, "cat", "/secret").stdout == PRIVATE
    for _ in range(2):
        done = fresh("run", "-q", evil, "sh", "-c", _SHOW, status=125)
        assert PRIVATE not in done.stdout + done.stderr
        assert "has diff ID" in done.stderr
    assert fresh("run", "-q", own, "cat", "/secret").stdout == PRIVATE


def _with_commands(tree):
    """Return the tar of busybox with a directory, d, and a tree behind it."""
    _config, blob = images.busybox().blobs
    written = io.BytesIO(gzip.decompress(blob))
    with tarfile.open(fileobj=written, mode="a") as archive:
        archive.addfile(images.directory().header("d"))
        for name, content in tree.items():
            archive.addfile(images.file(content).header(name), io.BytesIO(content.encode()))
    return written.getvalue()


@pytest.mark.parametrize("mark", [".wh.secret", "d/.wh.secret", "d/.wh..wh..opq"])
@pytest.mark.parametrize("first", ["archive", "image"])
def test_an_archive_and_a_layer_of_the_same_bytes_are_two(fresh, hub, tmp_path, mark, first):
    place = mark.replace(".wh..wh..opq", "secret").replace(".wh.", "")
    both = images.layer(_with_commands({mark: "", "d/new": "1"}), compression="")
    archive = tmp_path / "both.tar"
    archive.write_bytes(both.blob)
    name = add(hub, "app", images.layer({place: PRIVATE}), both)

    def run_archive():
        assert (
            mark.rpartition("/")[2] in fresh("run", archive, "ls", "-A", "/", "/d").stdout.split()
        )

    def run_image():
        assert fresh("run", "-q", name, "sh", "-c", f"{_SHOW}; cat /d/new").stdout == "1"

    for run in (run_archive, run_image) if first == "archive" else (run_image, run_archive):
        run()
    run_image()
    run_archive()


@needs("root")
def test_what_root_unpacked_with_fewer_privileges_shows_root_nothing_removed(fresh, hub):
    """Without CAP_SYS_ADMIN nobody can mark a directory as root's overlays want it marked."""
    hidden = images.layer({"d": images.directory(), "d/.wh..wh..opq": "", "d/new": "1"})
    name = add(hub, "app", images.layer({"d/secret": PRIVATE}), hidden)
    less = ("setpriv", "--bounding-set=-sys_admin", "--inh-caps=-sys_admin")
    subprocess.run([*less, *fresh.command("pull", "-q", name)], env=fresh.env, check=True)
    assert fresh("run", "-q", name, "sh", "-c", f"{_SHOW}; cat /d/new").stdout == "1"


@needs("root")
def test_what_root_unpacked_in_a_user_namespace_keeps_its_owners_outside(fresh, hub):
    """There all files are the caller's, and a set-user-ID program of somebody would be root's."""
    program = images.file("#!", 0o4755, uid=1000, gid=1000)
    name = add(hub, "app", images.layer({"program": program}))
    inside = ("unshare", "--user", "--map-users=0,0,1", "--map-groups=0,0,1")
    fresh("run", "-q", add(hub, "other"), "true")  # makes the store
    subprocess.run([*inside, *fresh.command("pull", "-q", name)], env=fresh.env, check=True)
    stat = ("stat", "-c", "%a %u:%g", "/program")
    assert fresh("run", "-q", name, *stat).stdout == "4755 1000:1000\n"
