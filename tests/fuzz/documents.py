"""JSON documents: manifests, indexes, configurations, index.json, volumes, and credentials."""

from __future__ import annotations

import os
from functools import partial
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import pytest

from chrun.cli.images import _describe
from chrun.engine.images import list_images
from chrun.oci.config import parse_config
from chrun.oci.convert import Identity, IdMaps, make_spec
from chrun.oci.manifest import Index, choose_manifest, parse_document
from chrun.oci.media_types import INDEXES, LAYERS, MANIFESTS
from chrun.oci.options import RunOptions
from chrun.oci.platform import Platform
from chrun.registry import credentials
from chrun.store.blobs import save_document
from chrun.store.records import ImageRecord
from chrun.store.store import open_store
from chrun.store.volumes import create_volume, load_volume
from tests.fuzz.harness import Quiet, fuzz_each
from tests.fuzz.inputs import anything, fixed, json_bytes, listed, number, objects, raw, text

if TYPE_CHECKING:
    from chrun.store.layout import Layout

_KINDS = sorted(INDEXES | MANIFESTS | LAYERS)
_DIGEST = fixed("sha256:" + "a" * 64, "sha512:" + "0" * 128)
_PLATFORM = objects(
    {
        "os": fixed("linux", "unknown"),
        "architecture": fixed("amd64", "arm", "arm64", "x86_64"),
        "variant": fixed("v7", "v8", "v2", "8"),
    }
)
_DESCRIPTOR = objects(
    {
        "mediaType": fixed(*_KINDS),
        "digest": _DIGEST,
        "size": number,
        "platform": _PLATFORM,
        "annotations": objects({"org.opencontainers.image.ref.name": text}),
    }
)
MANIFEST = objects(
    {
        "schemaVersion": raw("2"),
        "mediaType": fixed(*_KINDS),
        "config": _DESCRIPTOR,
        "layers": listed(_DESCRIPTOR),
    }
)
INDEX = objects({"schemaVersion": raw("2"), "manifests": listed(_DESCRIPTOR)})
CONFIG = objects(
    {
        "os": raw('"linux"'),
        "architecture": raw('"amd64"'),
        "variant": text,
        "created": fixed("2020-01-01T00:00:00Z", "0001-01-01", "2020"),
        "rootfs": objects({"type": raw('"layers"'), "diff_ids": listed(_DIGEST)}),
        "config": objects(
            {
                "Env": listed(text),
                "Entrypoint": listed(text),
                "Cmd": listed(text),
                "WorkingDir": text,
                "User": text,
                "Labels": objects({"a": text}),
                "ExposedPorts": objects({"80/tcp": raw("{}")}),
            }
        ),
    }
)
_STORED = objects(
    {
        "mediaType": fixed(*_KINDS),
        "digest": _DIGEST,
        "size": number,
        "platform": _PLATFORM,
        "annotations": objects(
            {
                "org.opencontainers.image.ref.name": raw('"docker.io/library/x:latest"'),
                "chrun.resolved-digest": _DIGEST,
                "chrun.wanted-platform": raw('"linux/amd64"'),
            }
        ),
    }
)
_INDEX_JSON = objects({"schemaVersion": raw("2"), "manifests": listed(_STORED)})
_AUTH = objects(
    {
        "auth": fixed("YTpi", "YQ==", "////", "ü", "a b"),
        "username": text,
        "password": text,
        "identitytoken": text,
    }
)
_DOCKER_CONFIG = objects(
    {
        "auths": objects({"a.example": _AUTH, "https://index.docker.io/v1/": _AUTH}),
        "credHelpers": objects({"b.example": raw('"no-such-helper"')}),
        "credsStore": raw('"no-such-helper"'),
    }
)
_HELPER = objects({"ServerURL": text, "Username": text, "Secret": text})
_VOLUME = objects({"created": text, "labels": objects({"a": text}), "anonymous": anything})
_AMD64 = Platform("linux", "amd64")


def _manifest(content: bytes) -> None:
    for announced in ("", _KINDS[0]):
        with Quiet():
            document = parse_document("it", content, announced)
            if isinstance(document, Index):
                choose_manifest(document, _AMD64)
                choose_manifest(document, Platform("linux", "arm", "v7"))


def _config(content: bytes) -> None:
    with Quiet():
        config = parse_config("it", content)
        config.platform.replace()
        spec = make_spec("it", config, RunOptions(), "namespaces", Identity(), IdMaps())
        for word in (*spec.process.args, *spec.process.env, spec.process.cwd, config.user):
            assert b"\0" not in os.fsencode(word)


def _list_images(layout: Layout, content: bytes) -> None:
    with open(layout.index_path, "wb") as file:
        file.write(content)
    with Quiet():
        list_images(open_store(layout.root, create=False))


def _shown(layout: Layout, content: bytes) -> None:
    """Print a configuration's fields as `chrun images` does."""
    with Quiet():
        config = parse_config("it", content)
        digest = next(iter(config.diff_ids), None)
        if digest:
            save_document(layout, digest, content)
            record = ImageRecord("docker.io/a/b:c", digest, digest, digest, config, (), 1 << 63)
            _describe(record, whole_ids=True)


def _credentials(directory: str, content: bytes) -> None:
    path = f"{directory}/auth.json"
    with open(path, "wb") as file:
        file.write(content)
    store = credentials.CredentialStore({"REGISTRY_AUTH_FILE": path, "HOME": directory})
    for registry in ("a.example", "b.example", "docker.io"):
        with Quiet():
            credential = store.find(registry, "x/y")
            assert credential.basic.isascii()


def _helper(content: bytes) -> None:
    assert credentials._read_helper("it", content).basic.isascii()


def _volume(layout: Layout, content: bytes) -> None:
    with open(f"{layout.volume_dir('v')}/volume.json", "wb") as file:
        file.write(content)
    assert load_volume(layout, "v").name == "v"


def run(seconds: float, seed: int | None = None) -> None:
    """Fuzz them, in a store of their own."""
    with TemporaryDirectory() as directory, pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", directory)  # no helper is to be run
        layout = open_store(f"{directory}/store", create=True).layout
        create_volume(layout, "v")
        fuzz_each(
            [
                (_manifest, json_bytes(MANIFEST)),
                (_manifest, json_bytes(INDEX)),
                (_config, json_bytes(CONFIG)),
                (partial(_shown, layout), json_bytes(CONFIG)),
                (partial(_list_images, layout), json_bytes(_INDEX_JSON)),
                (partial(_credentials, directory), json_bytes(_DOCKER_CONFIG)),
                (_helper, json_bytes(_HELPER)),
                (partial(_volume, layout), json_bytes(_VOLUME)),
            ],
            seconds,
            seed,
        )
