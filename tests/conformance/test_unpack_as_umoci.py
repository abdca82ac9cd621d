"""Images with whiteouts: what umoci makes of all layers is what unpack and copy make of them."""

from __future__ import annotations

import json
import random
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from chrun.rootfs.copy import copy_layers
from tests.support.images import digest_of, directory, file, hardlink, image, layer, symlink
from tests.support.layers import unpack
from tests.support.needs import needs
from tests.support.trees import snapshot

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.images import Entry, Image

pytestmark = needs("umoci", "root")

BASE = {
    "etc": directory(mtime=2),
    "etc/motd": file("hi", mtime=3),
    "etc/sub": directory(0o750, mtime=4),
    "etc/sub/x": file("x", 0o4755, uid=5, mtime=5),
    "opt": directory(mtime=6),
    "opt/old": directory(mtime=7),
    "opt/old/file": file("old", mtime=8),
    "lib": symlink("etc", mtime=9),
    "hard": hardlink("etc/motd"),
}
STACKS = {
    "a file goes": [BASE, {"etc": directory(mtime=2), "etc/.wh.motd": ""}],
    "a directory goes": [BASE, {".wh.opt": ""}],
    "a directory becomes opaque": [
        BASE,
        {"opt": directory(mtime=10), "opt/.wh..wh..opq": "", "opt/new": file("n", mtime=11)},
    ],
    "a directory goes and comes back": [
        BASE,
        {".wh.opt": ""},
        {"opt": directory(mtime=12), "opt/b": file("b", mtime=13)},
    ],
    "a file becomes a directory": [
        BASE,
        {
            "etc": directory(mtime=2),
            "etc/motd": directory(mtime=3),
            "etc/motd/f": file("", mtime=4),
        },
    ],
    "a directory becomes a symlink": [
        BASE,
        {"opt": symlink("etc", mtime=5)},
    ],
    "nothing is hidden": [BASE, {".wh.never": ""}],
}


@pytest.mark.parametrize("stack", STACKS.values(), ids=STACKS)
def test_layers_with_whiteouts_come_out_as_umoci_makes_them(
    tmp_path: Path, stack: list[dict[str, Entry | str | bytes]]
) -> None:
    # Where a layer does not name its top, umoci keeps the one below; in an overlay nobody sees it.
    stack = [{".": directory(mtime=1), **tree} for tree in stack]
    assert ours(tmp_path, stack) == theirs(tmp_path, image(layer(tree) for tree in stack))


@pytest.mark.parametrize("seed", range(20))
def test_random_stacks_come_out_as_umoci_makes_them(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    stack = [random_layer(chance) for _ in range(4)]
    assert ours(tmp_path, stack) == theirs(tmp_path, image(layer(tree) for tree in stack))


def random_layer(chance: random.Random) -> dict[str, Entry | str | bytes]:
    tree: dict[str, Entry | str | bytes] = {".": directory(mtime=1)}
    for outer in "abc":
        what = chance.choice(["nothing", "file", "gone", "directory", "directory", "symlink"])
        if what == "file":
            tree[outer] = file(str(chance.random()), mtime=chance.randrange(99))
        elif what == "gone":
            tree[f".wh.{outer}"] = file()
        elif what == "symlink":
            tree[outer] = symlink("a", mtime=chance.randrange(99))
        elif what == "directory":
            tree[outer] = directory(chance.choice([0o700, 0o755]), mtime=chance.randrange(99))
            for inner in "xyz":
                kind = chance.choice(["nothing", "file", "gone"])
                if kind == "file":
                    tree[f"{outer}/{inner}"] = file(str(chance.random()), mtime=2)
                elif kind == "gone":
                    tree[f"{outer}/.wh.{inner}"] = file()
            if chance.random() < 0.2:
                tree[f"{outer}/.wh..wh..opq"] = file()
    return tree


def ours(tmp_path: Path, stack: list[dict[str, Entry | str | bytes]]) -> dict[str, object]:
    directories = [tmp_path / f"layer{number}" for number in range(len(stack))]
    for tree, target in zip(stack, directories, strict=True):
        unpack(tree, target)
    copy_layers([str(each) for each in directories], str(tmp_path / "ours"))
    return snapshot(tmp_path / "ours", ignoring=["xattrs"])


def theirs(tmp_path: Path, given: Image) -> dict[str, object]:
    layout, bundle = tmp_path / "layout", tmp_path / "bundle"
    write_layout(layout, given)
    subprocess.run(
        ["umoci", "unpack", "--image", f"{layout}:latest", bundle], capture_output=True, check=True
    )
    found = snapshot(bundle / "rootfs", ignoring=["xattrs"])
    shutil.rmtree(bundle)
    return found


def write_layout(layout: Path, given: Image) -> None:
    """Write an image as an OCI image layout with the tag `latest`."""
    blobs = layout / "blobs/sha256"
    blobs.mkdir(parents=True)
    for blob in (given.content, *given.blobs):
        (blobs / digest_of(blob).hex).write_bytes(blob)
    entry = given.descriptor.to_json() | {
        "annotations": {"org.opencontainers.image.ref.name": "latest"}
    }
    (layout / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    (layout / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [entry]}))
