"""Manifests and indexes: read into values, or refused; and the choice from an index."""

import json

import pytest

from chrun.errors import ContentError, ImageNotFoundError, UnsupportedMediaTypeError
from chrun.oci import media_types
from chrun.oci.digest import Digest
from chrun.oci.document import Document
from chrun.oci.manifest import (
    MAX_DOCUMENT_BYTES,
    MAX_LAYERS,
    Descriptor,
    Index,
    Manifest,
    choose_manifest,
    parse_document,
)
from chrun.oci.platform import Platform

_CONFIG = Descriptor(media_types.OCI_CONFIG, Digest.of(b"config"), 6)
_LAYER = Descriptor(media_types.DOCKER_LAYER_ZSTD, Digest.of(b"layer"), 5)
_AMD64, _ARM64 = Platform("linux", "amd64"), Platform("linux", "arm64", "v8")


def _bytes(**fields):
    return json.dumps({"schemaVersion": 2, **fields}).encode()


def _manifest(**fields):
    return _bytes(**{"config": _CONFIG.to_json(), "layers": [_LAYER.to_json()], **fields})


def _entry(platform=None, name=b"x", **fields):
    return Descriptor(media_types.OCI_MANIFEST, Digest.of(name), 7, platform, **fields)


def _index(*entries):
    return Index(media_types.OCI_INDEX, entries)


@pytest.mark.parametrize("kind", sorted(media_types.MANIFESTS))
def test_a_manifest_mixes_media_types_as_the_wild_does(kind):
    expected = Manifest(kind, _CONFIG, (_LAYER,))
    assert parse_document("it", _manifest(mediaType=kind)) == expected
    assert parse_document("it", _manifest(), kind) == expected
    assert parse_document("it", _manifest(mediaType=kind), kind) == expected


@pytest.mark.parametrize("kind", sorted(media_types.INDEXES))
def test_an_index_gives_its_entries(kind):
    entries = [_entry(_AMD64, b"1"), _entry(_ARM64, b"2"), _entry(None, b"3")]
    content = _bytes(mediaType=kind, manifests=[entry.to_json() for entry in entries])
    assert parse_document("it", content) == Index(kind, tuple(entries))


def test_a_document_that_nobody_names_is_known_by_its_fields():
    assert parse_document("it", _manifest()).media_type == media_types.OCI_MANIFEST
    assert parse_document("it", _bytes(manifests=[])).media_type == media_types.OCI_INDEX


@pytest.mark.parametrize("announced", ["", "text/plain", "application/json"])
def test_what_the_transport_does_not_know_does_not_count(announced):
    assert parse_document("it", _manifest(), announced).media_type == media_types.OCI_MANIFEST


@pytest.mark.parametrize(
    "content",
    [
        _manifest(manifests=[]),
        _manifest(manifests=[_entry().to_json()]),
        _manifest(manifests=[], mediaType=media_types.OCI_INDEX),
        _bytes(manifests=[], layers=[], mediaType=media_types.OCI_INDEX),
        _bytes(manifests=[], config={}, mediaType=media_types.DOCKER_MANIFEST_LIST),
        _manifest(manifests=[], mediaType=media_types.DOCKER_MANIFEST),
    ],
)
def test_a_document_is_not_two_things_to_two_readers(content):
    """CVE-2021-41190."""
    with pytest.raises(ContentError, match="that has"):
        parse_document("it", content)


def test_a_document_is_what_the_transport_calls_it_or_refused():
    """CVE-2021-41190."""
    with pytest.raises(ContentError, match=r"it calls itself .*, the registry called it"):
        parse_document("it", _manifest(mediaType=media_types.OCI_MANIFEST), media_types.OCI_INDEX)


@pytest.mark.parametrize(
    ("content", "announced"),
    [
        (b'{"schemaVersion": 1, "fsLayers": []}', ""),
        (b'{"schemaVersion": 1, "fsLayers": []}', media_types.OCI_MANIFEST),
        (_manifest(), media_types.SCHEMA1),
        (_manifest(), media_types.SCHEMA1_SIGNED),
    ],
)
def test_schema_1_is_a_clear_error(content, announced):
    with pytest.raises(UnsupportedMediaTypeError, match="schema 1") as raised:
        parse_document("it", content, announced)
    assert raised.value.hint == "push the image again with a current tool"


def test_another_media_type_is_not_an_image():
    with pytest.raises(UnsupportedMediaTypeError, match="'application/x' is not an image"):
        parse_document("it", _manifest(mediaType="application/x"))


@pytest.mark.parametrize(
    "fields",
    [
        {"config": None},
        {"config": {}},
        {"config": "x"},
        {"layers": {}},
        {"layers": ["x"]},
        {"layers": [{}]},
        {"layers": [{**_LAYER.to_json(), "size": -1}]},
        {"layers": [{**_LAYER.to_json(), "size": 1.5}]},
        {"layers": [{**_LAYER.to_json(), "size": True}]},
        {"layers": [{**_LAYER.to_json(), "digest": "sha256:../../x"}]},
        {"layers": [{**_LAYER.to_json(), "mediaType": 7}]},
        {"layers": [{**_LAYER.to_json(), "annotations": {"a": 1}}]},
        {"layers": [_LAYER.to_json()] * (MAX_LAYERS + 1)},
        {"mediaType": 7},
    ],
)
def test_a_wrong_field_is_an_error(fields):
    with pytest.raises(ContentError, match=r"^cannot read "):
        parse_document("it", _manifest(**fields))


def test_as_many_layers_as_overlays_take_are_read():
    content = _manifest(layers=[_LAYER.to_json()] * MAX_LAYERS)
    assert len(parse_document("it", content).layers) == MAX_LAYERS


def test_a_document_that_is_too_large_is_not_even_parsed():
    with pytest.raises(ContentError, match=f"expected at most {MAX_DOCUMENT_BYTES}"):
        parse_document("it", b"{" * (MAX_DOCUMENT_BYTES + 1))


@pytest.mark.parametrize(
    "descriptor",
    [_LAYER, _entry(_ARM64), _entry(_AMD64, annotations=(("a", "b"), ("c", "")))],
)
def test_a_descriptor_survives_being_written_and_read(descriptor):
    assert Descriptor.from_json(Document("it", descriptor.to_json())) == descriptor


def test_the_entry_for_the_platform_is_chosen():
    amd64, arm64 = _entry(_AMD64, b"1"), _entry(_ARM64, b"2")
    assert choose_manifest(_index(amd64, arm64), _ARM64) == arm64
    assert choose_manifest(_index(amd64, arm64), Platform.parse("x86_64")) == amd64


def test_of_equals_the_first_is_chosen():
    first, second = _entry(_AMD64, b"1"), _entry(_AMD64, b"2")
    assert choose_manifest(_index(first, second), _AMD64) == first


def test_the_nearest_is_chosen_before_the_first():
    v5, v6 = (
        _entry(Platform("linux", "arm", variant), variant.encode()) for variant in ("v5", "v6")
    )
    assert choose_manifest(_index(v5, v6), Platform.parse("linux/arm/v7")) == v6


def test_an_entry_that_names_no_platform_is_chosen_last():
    unnamed, amd64 = _entry(None, b"1"), _entry(_AMD64, b"2")
    assert choose_manifest(_index(unnamed, amd64), _AMD64) == amd64
    assert choose_manifest(_index(unnamed, amd64), _ARM64) == unnamed


@pytest.mark.parametrize(
    "attestation",
    [
        _entry(Platform("unknown", "unknown"), b"a"),
        _entry(None, b"a", annotations=(("vnd.docker.reference.type", "attestation-manifest"),)),
    ],
)
def test_an_attestation_is_never_chosen(attestation):
    amd64 = _entry(_AMD64, b"1")
    assert choose_manifest(_index(attestation, amd64), _AMD64) == amd64
    with pytest.raises(ImageNotFoundError) as raised:
        choose_manifest(_index(attestation, amd64), _ARM64)
    assert raised.value.hint == "it has linux/amd64"


def test_the_error_names_what_there_is_once():
    entries = [_entry(_AMD64, b"1"), _entry(_ARM64, b"2"), _entry(_AMD64, b"3")]
    with pytest.raises(ImageNotFoundError) as raised:
        choose_manifest(_index(*entries), Platform.parse("riscv64"), what="busybox")
    assert str(raised.value) == "cannot pull busybox: no image for linux/riscv64"
    assert raised.value.hint == "it has linux/amd64, linux/arm64/v8"


def test_an_empty_index_has_nothing_to_name():
    with pytest.raises(ImageNotFoundError) as raised:
        choose_manifest(_index(), _AMD64)
    assert raised.value.hint == ""


@pytest.mark.parametrize(
    "size", ["1" + "0" * 4000, "9" * 5000, "-1", "true", "1e3", "5.0", "NaN", str(1 << 63), '"5"']
)
def test_a_size_is_a_number_of_bytes_that_a_file_can_have(size):
    content = _manifest().replace(b'"size": 5', f'"size": {size}'.encode())
    with pytest.raises(ContentError, match=r"^cannot read it: "):
        parse_document("it", content)


@pytest.mark.parametrize("field", ["mediaType", "annotations"])
def test_no_text_of_a_descriptor_is_half_a_character(field):
    layer = {**_LAYER.to_json(), field: "\ud800" if field == "mediaType" else {"a": "\ud800"}}
    with pytest.raises(
        ContentError, match=rf"^cannot read it: layers\[0\]: {field} has half of a "
    ):
        parse_document("it", _manifest(layers=[layer]))
