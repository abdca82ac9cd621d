"""The store's images/ is an OCI image layout, by the judgement of other tools."""

from __future__ import annotations

import json
import subprocess

import pytest

from chrun.store.store import open_store
from tests.support.images import image, layer
from tests.support.needs import needs
from tests.support.pulls import pulled
from tests.support.registry import FakeRegistry


@pytest.fixture
def pulled_twice(tmp_path):
    """A store with two images in it, and their records."""
    store = open_store(str(tmp_path / "store"), create=True)
    with FakeRegistry() as registry:
        for name in ("one", "two"):
            made = image([layer({name: name}), layer({"b": "2"})], cmd=[f"/{name}"])
            registry.add(made, f"library/{name}", "7")
        records = [pulled(store, f"{registry.host}/library/{name}:7") for name in ("one", "two")]
    return store, records


def _output(*command):
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout


@needs("skopeo")
def test_skopeo_reads_it_as_it_is(pulled_twice):
    store, records = pulled_twice
    for record in records:
        place = f"oci:{store.layout.images_dir}:{record.reference}"
        inspected = json.loads(_output("skopeo", "inspect", place))
        assert inspected["Digest"] == str(record.manifest_digest)
        assert inspected["Architecture"] == "amd64"
        config = json.loads(_output("skopeo", "inspect", "--config", place))
        assert tuple(config["config"]["Cmd"]) == record.config.command


@needs("skopeo")
def test_skopeo_copies_every_byte_of_it(pulled_twice, tmp_path):
    store, (record, _) = pulled_twice
    place = f"oci:{store.layout.images_dir}:{record.reference}"
    _output("skopeo", "copy", "--insecure-policy", place, f"dir:{tmp_path}/copy")
    assert len(list((tmp_path / "copy").iterdir())) == 5  # version, manifest, config, 2 layers


@needs("umoci")
def test_umoci_lists_and_reads_it(pulled_twice):
    store, records = pulled_twice
    listed = _output("umoci", "ls", "--layout", store.layout.images_dir).split()
    assert sorted(listed) == sorted(record.reference for record in records)


@needs("skopeo")
def test_what_another_tool_adds_is_left_as_it_is(pulled_twice, tmp_path):
    store, (record, _) = pulled_twice
    place = f"oci:{store.layout.images_dir}"
    _output("skopeo", "copy", "--insecure-policy", f"{place}:{record.reference}", f"{place}:mine")
    assert store.find_image(record.reference, "linux/amd64") == record
    from chrun.engine.images import list_images, remove_image

    assert len(list_images(store)) == 2
    remove_image(store, record.reference)
    inspected = json.loads(_output("skopeo", "inspect", f"{place}:mine"))
    assert inspected["Digest"] == str(record.manifest_digest)
