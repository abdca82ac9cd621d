"""A store that another user comes to be able to replace, after this program opened it."""

from __future__ import annotations

import json
import os

import pytest

import chrun
from chrun import api
from chrun.errors import StoreError
from tests.support import images
from tests.support.needs import needs
from tests.support.registry import FakeRegistry

pytestmark = needs("busybox", "overlay")


@pytest.fixture
def project(tmp_path):
    directory = tmp_path / "project"
    directory.mkdir(mode=0o755)
    yield directory
    api._engines.pop(f"{directory}/data", None)


@pytest.fixture
def own_box(project):
    with FakeRegistry() as registry:
        registry.add(images.busybox(), "busybox", "latest")
        return chrun.pull(f"{registry.host}/busybox", root=project / "data").reference


@needs("root")
def test_root_uses_it_no_longer(project, own_box):
    root = project / "data"
    assert chrun.run(own_box, ["true"], root=root).returncode == 0
    os.chown(project, 1234, 1234)
    for use in (
        lambda: chrun.run(own_box, ["true"], root=root),
        lambda: chrun.pull(own_box, root=root),
        lambda: chrun.images(root=root),
    ):
        with pytest.raises(StoreError, match=f"{project} belongs to uid 1234"):
            use()
    os.chown(project, 0, 0)
    assert chrun.run(own_box, ["true"], root=root).returncode == 0


@needs("ordinary user")
def test_a_user_composes_anew_what_was_kept_in_memory(project, own_box, tmp_path):
    root, receipt = project / "data", tmp_path / "receipt"

    def run():
        assert chrun.run(own_box, ["true"], root=root, receipt=receipt).returncode == 0
        return json.loads(receipt.read_text())["container"]["notices"]

    assert run() == []
    kept = api._engines[str(root)].kept
    assert len(kept) == 1
    cached = sorted(os.listdir(root / "cache"))
    project.chmod(0o777)
    (notice,) = run()
    assert f"can write to {project}" in notice
    assert len(kept) == 0
    assert sorted(os.listdir(root / "cache")) == cached
    project.chmod(0o755)
    assert run() == []
    assert len(kept) == 1


@pytest.mark.parametrize("mask", [0, 0o077])
def test_what_is_made_is_the_callers_alone_whatever_the_umask(project, mask):
    """CVE-2024-25621: a program that starts containers may have any umask."""
    root = project / "above" / "data"
    before = os.umask(mask)
    try:
        with FakeRegistry() as registry:
            registry.add(images.busybox(), "busybox", "latest")
            box = chrun.pull(f"{registry.host}/busybox", root=root).reference
        done = chrun.run(
            box, ["ls", "-ld", "/"], root=root, capture_output=True, text=True, volumes=["v:/v"]
        )
    finally:
        os.umask(before)
        api._engines.pop(str(root), None)
    assert done.stdout.startswith("drwxr-xr-x ")
    shared = {"etc", "dev", "proc", "sys"} | {"_data"}
    for directory, names, files in os.walk(project / "above"):
        if "/layers/" in directory or "/owned/" in directory:
            continue
        for name in (*names, *files):
            mode = os.lstat(f"{directory}/{name}").st_mode & 0o777
            if not os.path.islink(f"{directory}/{name}") and "mount-points/" not in directory:
                assert mode & 0o022 == 0, f"{directory}/{name}"
                assert mode & 0o077 == 0 or name in shared or "/layers" in directory, name
