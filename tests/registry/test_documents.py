"""Manifests and configurations: what is asked, what is believed."""

from __future__ import annotations

import json
import threading

import pytest

from chrun.errors import (
    ContentError,
    DigestMismatchError,
    ImageNotFoundError,
    RateLimitedError,
    RegistryError,
    UnauthorizedError,
    UnsupportedMediaTypeError,
)
from chrun.oci import media_types
from chrun.oci.digest import Digest
from chrun.oci.manifest import MAX_DOCUMENT_BYTES, Descriptor, parse_document
from chrun.oci.reference import Reference
from tests.support.client import client
from tests.support.docker_registry import docker_registry
from tests.support.images import digest_of, image, index, layer, official_busybox
from tests.support.needs import needs
from tests.support.registry import Answer, FakeRegistry, Faults


@pytest.fixture
def greeter(registry):
    made = image([layer({"motd": "hi\n"})], cmd=["/bin/cat"])
    registry.add(made, "greeter", "latest")
    return made


@pytest.fixture
def reference(registry):
    return Reference.parse(f"{registry.host}/greeter")


def test_head_is_one_request_and_gives_the_descriptor(registry, greeter, reference):
    assert client().head_manifest(reference) == greeter.descriptor.replace(platform=None)
    assert registry.log == ["HEAD /v2/greeter/manifests/latest"]


def test_all_four_kinds_of_document_are_accepted(registry, greeter, reference):
    client().head_manifest(reference)
    accepted = set(registry.requests[0].headers["accept"].split(", "))
    assert accepted == media_types.INDEXES | media_types.MANIFESTS


def test_a_digest_is_asked_for_even_where_there_is_a_tag(registry, greeter, reference):
    found, _ = client().fetch_manifest(reference.replace(digest=greeter.digest))
    assert found.digest == greeter.digest
    assert registry.log == [f"GET /v2/greeter/manifests/{greeter.digest}"]


@pytest.mark.parametrize(
    "fault",
    [
        {"head": False},
        {"content_digest": ""},
        {"content_digest": "sha256:../../x"},
        {"content_type": "text/plain"},
        {"content_type": ""},
        {"chunked": True},  # without a Content-Length
    ],
)
def test_a_get_says_what_a_head_left_out(registry, greeter, reference, fault):
    registry.faults = Faults(**fault)
    assert client().head_manifest(reference) == greeter.descriptor.replace(platform=None)
    assert [line.split()[0] for line in registry.log] == ["HEAD", "GET"]


@pytest.mark.parametrize("style", ["oci", "docker"])
def test_a_manifest_is_what_it_says_it_is(registry, reference, style):
    made = index([image([layer({"a": "b"}, style=style)], style=style)], style=style)
    registry.add(made, "greeter", "latest")
    descriptor, content = client().fetch_manifest(reference)
    assert (descriptor.media_type, content) == (made.media_type, made.content)
    assert descriptor == made.descriptor


@pytest.mark.parametrize("announced", ["", "application/json", "text/plain; charset=utf-8"])
def test_a_manifest_is_recognised_whatever_it_is_served_as(registry, greeter, reference, announced):
    registry.faults.content_type = announced
    assert client().fetch_manifest(reference)[0].media_type == media_types.OCI_MANIFEST


def test_a_media_type_may_have_parameters_and_capitals(registry, greeter, reference):
    registry.faults.content_type = f"{media_types.OCI_MANIFEST.upper()}; charset=utf-8"
    assert client().head_manifest(reference).media_type == media_types.OCI_MANIFEST


def test_a_document_must_be_what_the_registry_calls_it(registry, greeter, reference):
    registry.faults.content_type = media_types.OCI_INDEX
    with pytest.raises(ContentError, match="it calls itself"):
        client().fetch_manifest(reference)


def test_the_digest_in_a_header_is_not_believed(registry, greeter, reference):
    registry.faults.content_digest = f"sha256:{'0' * 64}"
    assert client().fetch_manifest(reference)[0].digest == greeter.digest


def test_another_manifest_than_the_digests_is_refused(registry, greeter, reference):
    wanted = digest_of(b"another one")
    registry.manifests["greeter", str(wanted)] = media_types.OCI_MANIFEST, greeter.content
    registry.faults.content_digest = str(wanted)
    with pytest.raises(DigestMismatchError, match=f"expected {wanted}"):
        client().fetch_manifest(reference.replace(digest=wanted))


def test_a_sha512_is_checked_as_one(registry, greeter, reference):
    wanted = Digest("sha512", "0" * 128)
    registry.manifests["greeter", str(wanted)] = media_types.OCI_MANIFEST, greeter.content
    with pytest.raises(DigestMismatchError, match="has digest sha512:"):
        client().fetch_manifest(reference.replace(digest=wanted))


def test_a_manifest_that_never_ends_is_cut_off(registry, reference):
    endless = b" " * (MAX_DOCUMENT_BYTES * 2)
    registry.manifests["greeter", "latest"] = media_types.OCI_MANIFEST, endless
    with pytest.raises(ContentError, match=f"expected at most {MAX_DOCUMENT_BYTES}"):
        client().fetch_manifest(reference)


@pytest.mark.parametrize("kind", sorted(media_types.SCHEMA1_MANIFESTS))
def test_schema_1_is_a_clear_error(registry, reference, kind):
    registry.manifests["greeter", "latest"] = kind, b'{"schemaVersion": 1}'
    for ask in (client().head_manifest, client().fetch_manifest):
        with pytest.raises(UnsupportedMediaTypeError, match="schema 1"):
            ask(reference)


def test_a_configuration_is_fetched_and_verified(registry, greeter, reference):
    manifest = parse_document("x", greeter.content)
    assert client().fetch_document(reference, manifest.config) == greeter.blobs[0]
    registry.faults.corrupt_blobs = True
    with pytest.raises(DigestMismatchError, match=f"cannot fetch {manifest.config.digest}"):
        client().fetch_document(reference, manifest.config)


def test_a_manifest_of_an_index_is_fetched_as_a_manifest(registry, greeter, reference):
    assert client().fetch_document(reference, greeter.descriptor) == greeter.content
    assert registry.log == [f"GET /v2/greeter/manifests/{greeter.digest}"]


@pytest.mark.parametrize("size", [MAX_DOCUMENT_BYTES + 1, 10**30])
def test_a_document_that_claims_to_be_huge_is_not_even_asked_for(registry, reference, size):
    described = Descriptor(media_types.OCI_CONFIG, digest_of(b""), size)
    with pytest.raises(ContentError, match=f"{size} bytes, expected at most"):
        client().fetch_document(reference, described)
    assert registry.log == []


@pytest.mark.parametrize("difference", [-1, 1])
def test_a_size_that_lies_is_refused(registry, greeter, reference, difference):
    config = parse_document("x", greeter.content).config
    with pytest.raises(DigestMismatchError, match="bytes"):
        client().fetch_document(reference, config.replace(size=config.size + difference))


def test_an_image_that_is_not_there_is_told_in_the_registrys_words(registry, reference):
    for ask in (client().head_manifest, client().fetch_manifest):
        with pytest.raises(ImageNotFoundError) as raised:
            ask(reference)
        assert str(raised.value) == (
            f"cannot pull {registry.host}/greeter:latest: MANIFEST_UNKNOWN: no latest"
        )
        assert (raised.value.status, raised.value.code) == (404, "MANIFEST_UNKNOWN")
        assert raised.value.url == f"{registry.url}/v2/greeter/manifests/latest"


def test_a_blob_that_is_not_there_is_not_an_image_that_is_not_there(registry, reference):
    missing = Descriptor(media_types.OCI_CONFIG, digest_of(b"x"), 1)
    with pytest.raises(RegistryError, match="BLOB_UNKNOWN") as raised:
        client().fetch_document(reference, missing)
    assert type(raised.value) is RegistryError


@pytest.mark.parametrize(
    ("status", "code", "kind", "words"),
    [
        (
            401,
            "UNAUTHORIZED",
            UnauthorizedError,
            "it does not exist or needs a login: UNAUTHORIZED",
        ),
        (403, "DENIED", UnauthorizedError, "it does not exist or needs a login: DENIED"),
        (404, "NAME_UNKNOWN", ImageNotFoundError, "NAME_UNKNOWN"),
        (429, "TOOMANYREQUESTS", RateLimitedError, "TOOMANYREQUESTS"),
        (418, "TEAPOT", RegistryError, "TEAPOT"),
    ],
)
def test_refusals_have_their_own_errors(registry, reference, status, code, kind, words):
    body = json.dumps({"errors": [{"code": code, "message": "sorry"}]}).encode()
    registry.faults.answer = lambda _request: Answer(status, {}, body)
    with pytest.raises(kind) as raised:
        client().fetch_manifest(reference)
    assert type(raised.value) is kind
    assert str(raised.value).endswith(f"greeter:latest: {words}: sorry")


def test_a_refusal_without_words_has_its_status(registry, reference):
    registry.faults.answer = lambda _request: Answer(451, {}, b"<html>")
    with pytest.raises(RegistryError, match="greeter:latest: status 451"):
        client().fetch_manifest(reference)


def test_a_mirror_is_asked_first_and_the_registry_where_it_fails(registry, greeter, reference):
    with FakeRegistry() as mirror:
        mirrors = {registry.host: (f"{mirror.host}/cache",)}
        assert client(mirrors=mirrors).head_manifest(reference).digest == greeter.digest
        assert mirror.log[-1] == "GET /v2/cache/greeter/manifests/latest"
        mirror.add(greeter, "cache/greeter", "latest")
        asked = len(registry.log)
        assert client(mirrors=mirrors).fetch_manifest(reference)[1] == greeter.content
        assert len(registry.log) == asked


def test_a_mirror_that_lies_or_is_down_harms_nobody(registry, greeter, reference):
    with FakeRegistry(Faults(corrupt_blobs=True)) as mirror:
        mirror.add(greeter, "greeter", "latest")
        mirrors = {registry.host: (mirror.host, "127.0.0.1:1")}
        config = parse_document("x", greeter.content).config
        assert client(mirrors=mirrors).fetch_document(reference, config) == greeter.blobs[0]


def test_one_client_serves_many_threads(registry, greeter, reference):
    registry.faults = Faults(bearer=True)
    one, found, start = client(), [], threading.Barrier(8)

    def ask():
        start.wait()
        found.append(one.fetch_manifest(reference)[0].digest)

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [greeter.digest] * 8
    assert sum(request.path == "/token" for request in registry.requests) == 1


@needs("docker-registry")
def test_the_real_registry_gives_back_what_was_pushed():
    made = image([layer({"motd": "hi"}, compression="zstd")], style="docker")
    both = index([made, image([layer({})], platform="linux/arm64")])
    with docker_registry() as real:
        both.push(real.url, "a/greeter", "v1")
        reference = Reference.parse(f"{real.host}/a/greeter:v1")
        assert client().head_manifest(reference) == both.descriptor
        assert client().fetch_manifest(reference) == (both.descriptor, both.content)
        assert client().fetch_document(reference, made.descriptor) == made.content
        with pytest.raises(ImageNotFoundError, match=r"MANIFEST_UNKNOWN: manifest unknown"):
            client().fetch_manifest(reference.replace(tag="v2"))


@needs("docker-registry", "images")
def test_the_official_busybox_comes_back_byte_for_byte():
    official = official_busybox()
    with docker_registry() as real:
        official.push(real.url, "library/busybox", "latest")
        reference = Reference.parse(f"{real.host}/library/busybox")
        assert client().fetch_manifest(reference)[1] == official.content
        config = parse_document("busybox", official.content).config
        assert client().fetch_document(reference, config) == official.blobs[0]
