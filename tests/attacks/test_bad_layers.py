"""Thousands of malformed layers in one process."""

from __future__ import annotations

import gzip
import os
import random
import shutil
import threading
from contextlib import suppress
from pathlib import Path

import pytest

import chrun
from chrun import api
from chrun.errors import ChrunError
from chrun.layers.limits import Limits
from chrun.layers.owners import Owners
from chrun.layers.unpack import unpack_layer
from chrun.oci import media_types
from tests.support import images
from tests.support.layers import my_owners
from tests.support.needs import needs
from tests.support.pulls import scratch_of
from tests.support.registry import FakeRegistry

COUNT = 10_000
PULLS = 300
SEED = 5
TREE = {
    "a": images.directory(),
    "a/b": images.directory(),
    "a/b/file": b"content" * 200,
    "a/link": images.symlink("/etc"),
    "a/hard": images.hardlink("a/b/file"),
    "a/.wh.gone": b"",
    "c/d/e/f": b"deep",
}
# Each ends with an error, in another place of the unpacker
REFUSED = (
    {"../out": b"x"},
    {"a/../../out": b"x"},
    {"link": images.symlink("/"), "link/../../out": b"x"},
    {"hard": images.hardlink("../../etc/passwd")},
    {"hard": images.hardlink("missing")},
    {".wh...": b""},
    {"file": b"x", "file/below": b"x"},
    {"a" * 300: b"x"},
)


def malformed(count, seed=SEED):
    """Return media types and blobs: cut off, with bytes changed, refused, or no archive at all."""
    chance = random.Random(seed)
    whole = {
        media_types.OCI_LAYER: images.tar(TREE),
        media_types.OCI_LAYER_GZIP: gzip.compress(images.tar(TREE)),
        media_types.OCI_LAYER_ZSTD: images.layer(TREE, compression="zstd").blob,
    }
    for number in range(count):
        media_type, blob = chance.choice(list(whole.items()))
        match number % 4:
            case 0:
                yield media_type, blob[: chance.randrange(1, len(blob) // 2)] + b"\xff" * 3
            case 1:
                changed = bytearray(blob)
                for _ in range(8):
                    changed[chance.randrange(len(changed))] ^= 1 + chance.randrange(255)
                yield media_type, bytes(changed)
            case 2:
                yield media_types.OCI_LAYER, images.tar(TREE | chance.choice(REFUSED))
            case 3:
                yield media_type, chance.randbytes(chance.randrange(1, 2000))


def held():
    """Return what can leak: the files that are open, and how many sockets and threads."""
    links = []
    for fd in os.listdir("/proc/self/fd"):
        with suppress(FileNotFoundError):  # the descriptor that listed the directory
            links.append(os.readlink(f"/proc/self/fd/{fd}"))
    sockets = [link for link in links if link.startswith("socket:")]
    files = sorted(link for link in links if link not in sockets)
    return files, len(sockets), threading.active_count()


def test_ten_thousand_bad_layers_leave_no_descriptor_and_no_thread(tmp_path: Path):
    """CVE-2026-114236."""
    before = held()
    errors = 0
    for number, (media_type, blob) in enumerate(malformed(COUNT)):
        directory = tmp_path / "layer"
        directory.mkdir()
        try:
            unpack_layer(
                f"layer {number}",
                [blob[:700], blob[700:]],
                str(directory),
                media_type=media_type,
                owners=my_owners(),
                limits=Limits(1 << 20),
            )
        except ChrunError as error:
            errors += "\n" not in str(error)
        os.chmod(directory, 0o700)
        shutil.rmtree(directory, onerror=_make_writable)
    assert held() == before
    assert os.listdir(tmp_path) == []
    assert errors > COUNT / 2


def _make_writable(function, path, _error):
    """Let a directory whose mode the damage changed be removed by a user who is not root."""
    os.chmod(os.path.dirname(path), 0o700)
    os.chmod(path, 0o700)
    if os.path.isdir(path):
        shutil.rmtree(path, onerror=_make_writable)
    else:
        function(path)


@needs("ordinary user")
def test_a_file_system_that_refuses_owners_leaves_no_descriptor(tmp_path: Path):
    before = held()
    for _ in range(100):
        with pytest.raises(ChrunError, match="operation not permitted"):
            unpack_layer(
                "layer 1",
                [images.tar(TREE)],
                str(tmp_path),
                media_type=media_types.OCI_LAYER,
                owners=Owners.IMAGE,
                limits=Limits(1 << 20),
            )
    assert held() == before


@pytest.mark.parametrize("claim", ["true", "false"])
def test_bad_layers_that_are_pulled_leave_nothing(tmp_path: Path, claim: str):
    """CVE-2026-114236: through the registry, the store and the process that unpacks."""
    root = str(tmp_path / "data")
    with FakeRegistry() as registry:
        good = images.image([images.layer({"file": b"x"})])
        registry.add(good, "good", "1")
        chrun.pull(f"{registry.host}/good:1", root=root)
        layout = api._engines[root].store.layout
        files, sockets, _threads = held()
        errors = 0
        for number, (media_type, blob) in enumerate(malformed(PULLS, seed=7)):
            layer = images.layer({"file": str(number).encode()})
            said = {
                "mediaType": media_type,
                "digest": str(images.digest_of(blob if claim == "true" else b"other")),
                "size": len(blob),
            }
            bad = images.image([layer], manifest={"layers": [said]})
            registry.add(bad, "bad", str(number))
            registry.blobs[said["digest"]] = blob
            with pytest.raises(ChrunError) as caught:
                chrun.pull(f"{registry.host}/bad:{number}", root=root)
            errors += "\n" not in str(caught.value)
        assert errors == PULLS
        left, open_sockets, _threads = held()
        assert left == files
        assert open_sockets < sockets + PULLS // 10  # the registry, here too, closes some late
        assert os.listdir(tmp_path) == ["data"]
        assert [name for name in scratch_of(layout) if name.endswith(".tree")] == []
        assert os.listdir(layout.trash_dir) == []
        assert len(os.listdir(layout.layers_dir)) <= 1
    api._engines.pop(root)
