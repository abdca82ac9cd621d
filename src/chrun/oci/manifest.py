"""Descriptors, manifests and indexes: image-spec descriptor.md, manifest.md, image-index.md."""

from __future__ import annotations

from chrun.errors import ContentError, UnsupportedMediaTypeError
from chrun.oci import media_types
from chrun.oci.digest import Digest
from chrun.oci.document import Document
from chrun.oci.platform import Platform
from chrun.values import Value

MAX_DOCUMENT_BYTES = 4 << 20  # what registries accept as a manifest; a larger one is an attack
MAX_LAYERS = 500  # overlayfs takes that many lower directories


class Descriptor(Value):
    """What a blob is, how large, and the digest that names its bytes."""

    media_type: str
    digest: Digest
    size: int
    platform: Platform | None = None
    annotations: tuple[tuple[str, str], ...] = ()

    @classmethod
    def from_json(cls, document: Document) -> Descriptor:
        """Read a descriptor; ContentError names the field that is wrong."""
        size = document.integer("size")
        if size < 0:
            raise ContentError(f"cannot read {document.what}: size is {size}")
        platform = None
        if "platform" in document:
            held = document.document("platform")
            platform = Platform(
                held.text("os", ""), held.text("architecture", ""), held.text("variant", "")
            )
        return cls(
            document.text("mediaType", ""),
            Digest.parse(document.text("digest")),
            size,
            platform,
            tuple(document.mapping("annotations").items()),
        )

    def to_json(self) -> dict[str, object]:
        """Give the descriptor as image-spec writes it."""
        fields: dict[str, object] = {
            "mediaType": self.media_type,
            "digest": str(self.digest),
            "size": self.size,
        }
        if self.platform:
            fields["platform"] = {
                key: content
                for key, content in (
                    ("os", self.platform.os),
                    ("architecture", self.platform.architecture),
                    ("variant", self.platform.variant),
                )
                if content
            }
        if self.annotations:
            fields["annotations"] = dict(self.annotations)
        return fields


class Manifest(Value):
    """One image for one platform: its configuration and its layers, base first."""

    media_type: str
    config: Descriptor
    layers: tuple[Descriptor, ...]


class Index(Value):
    """The manifests of one image for several platforms."""

    media_type: str
    manifests: tuple[Descriptor, ...]


def parse_document(what: str, content: bytes, media_type: str = "") -> Manifest | Index:
    """Read a manifest or an index.

    `media_type` is what the transport announced, "" when it said nothing. ContentError when the
    bytes are neither or claim to be both (CVE-2021-41190: one document must not mean an image to
    one tool and an index to another); UnsupportedMediaTypeError for Docker's schema 1.
    """
    if len(content) > MAX_DOCUMENT_BYTES:
        raise ContentError(
            f"cannot read {what}: {len(content)} bytes, expected at most {MAX_DOCUMENT_BYTES}"
        )
    document = Document.parse(what, content)
    kind = _kind(what, document, media_type)
    if kind in media_types.INDEXES:
        if "layers" in document or "config" in document:
            raise ContentError(f"cannot read {what}: an index that has layers or a config too")
        return Index(kind, tuple(map(Descriptor.from_json, document.documents("manifests"))))
    if "manifests" in document:
        raise ContentError(f"cannot read {what}: a manifest that has manifests too")
    layers = tuple(map(Descriptor.from_json, document.documents("layers")))
    if len(layers) > MAX_LAYERS:
        raise ContentError(f"cannot read {what}: {len(layers)} layers, expected up to {MAX_LAYERS}")
    return Manifest(kind, Descriptor.from_json(document.document("config")), layers)


def _kind(what: str, document: Document, announced: str) -> str:
    """Decide what a document is, from what it and the transport say, which must agree."""
    claimed = document.text("mediaType", "")
    known = media_types.INDEXES | media_types.MANIFESTS
    if announced in media_types.SCHEMA1_MANIFESTS or document.fields.get("schemaVersion") == 1:
        raise UnsupportedMediaTypeError(
            f"cannot read {what}: Docker's image format schema 1 was retired in 2017",
            hint="push the image again with a current tool",
        )
    if claimed and announced in known and claimed != announced:
        raise ContentError(
            f"cannot read {what}: it calls itself {claimed}, the registry called it {announced}"
        )
    kind = claimed or (announced if announced in known else "")
    if not kind:
        kind = media_types.OCI_INDEX if "manifests" in document else media_types.OCI_MANIFEST
    if kind not in known:
        raise UnsupportedMediaTypeError(
            f"cannot read {what}: media type {kind!r} is not an image",
        )
    return kind
