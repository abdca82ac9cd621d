"""What stays of a container with --keep, and when an image is asked for again."""

from __future__ import annotations

import gzip
import json
import os

import pytest

from tests.support import images
from tests.support.chrun import Chrun
from tests.support.needs import needs
from tests.support.registry import FakeRegistry

pytestmark = needs("busybox", "overlay")


@pytest.fixture
def fresh(tmp_path):
    """The command with a store of its own."""
    return Chrun(tmp_path / "data")


def busybox_layer():
    """Give the layer with the commands in it."""
    _config, blob = images.busybox().blobs
    return images.layer(gzip.decompress(blob))


@pytest.mark.parametrize(("rootfs", "changes"), [("overlay", "upper"), ("copy", "rootfs")])
def test_a_kept_container_leaves_its_files_and_its_configuration(fresh, box, rootfs, changes):
    script = "echo kept > /file; exit 3"
    flags = ("-q", "--keep", "--rootfs", rootfs)
    assert fresh("run", *flags, box, "sh", "-c", script, status=3).stderr == ""
    fresh("run", box, "true")  # clears up what nobody keeps
    (container,) = (fresh.home / "containers").iterdir()
    assert (container / changes / "file").read_text() == "kept\n"
    process = json.loads((container / "config.json").read_text())["process"]
    assert process["args"] == ["sh", "-c", script]


def test_not_to_be_removed_is_to_be_kept(fresh, box):
    fresh("run", "--rm=false", box, "true")
    assert len(list((fresh.home / "containers").iterdir())) == 1


def test_pull_always_takes_the_tag_that_moved_and_pull_missing_does_not(fresh):
    layer = busybox_layer()
    with FakeRegistry() as registry:
        name = f"{registry.host}/moving"

        def said(policy):
            return fresh("run", "-q", "--pull", policy, name).stdout

        registry.add(images.image([layer], cmd=["echo", "old"]), "moving", "latest")
        assert said("missing") == "old\n"
        registry.add(images.image([layer], cmd=["echo", "new"]), "moving", "latest")
        asked = len(registry.log)
        assert said("missing") == said("never") == "old\n"
        assert len(registry.log) == asked
        assert said("always") == "new\n"
        assert any("/manifests/latest" in entry for entry in registry.log[asked:])


def test_pull_always_without_the_registry_is_an_error_though_the_image_is_here(fresh):
    with FakeRegistry() as registry:
        registry.add(images.image([busybox_layer()], cmd=["true"]), "app", "latest")
        name = f"{registry.host}/app"
        fresh("pull", name)
    fresh("run", name)
    assert "cannot reach" in fresh("run", "--pull", "always", name, status=125).stderr


def test_an_image_of_300_layers_runs(fresh):
    layers = [
        images.layer({f"n/{number}": str(number), "top": str(number)}) for number in range(299)
    ]
    with FakeRegistry() as registry:
        registry.add(images.image([busybox_layer(), *layers]), "high", "latest")
        script = "cat /top; echo; ls /n | wc -l; echo x > /n/0; rm /n/1; ls /n | wc -l"
        done = fresh("run", "-q", f"{registry.host}/high", "sh", "-c", script)
    assert done.stdout.split() == ["298", "299", "298"]
    assert os.listdir(fresh.home / "containers") == []
