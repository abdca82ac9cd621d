"""Descriptors, manifests and indexes: image-spec descriptor.md, manifest.md, image-index.md."""

from __future__ import annotations

from chrun.errors import ContentError, ImageNotFoundError, UnsupportedMediaTypeError
from chrun.oci import media_types
from chrun.oci.digest import Digest
from chrun.oci.document import Document
from chrun.oci.platform import Platform, normalized, rank
from chrun.values import Value

MAX_DOCUMENT_BYTES = 4 << 20  # what registries accept as a manifest; a larger one is an attack
MAX_LAYERS = 499  # overlayfs takes 500 lower directories, and one has the mount points
MAX_INDEX_DEPTH = 4  # of indexes in indexes; nobody nests deeper with good intent

_ATTESTATION = ("vnd.docker.reference.type", "attestation-manifest")
_ANY_RANK = 1 << 16  # an entry that names no platform serves where no other does


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
        platform = None
        if "platform" in document:
            held = document.document("platform")
            platform = Platform(
                held.text("os", ""), held.text("architecture", ""), held.text("variant", "")
            )
        return cls(
            document.text("mediaType", ""),
            Digest.parse(document.text("digest")),
            document.integer("size"),
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


def choose_manifest(index: Index, wanted: Platform, *, what: str = "the image") -> Descriptor:
    """Give the entry that serves a platform best, of equals the first.

    It may be an index itself, from which to choose again, MAX_INDEX_DEPTH times in all.
    ImageNotFoundError, which names the platforms that there are.
    """
    ranked = [
        (_ANY_RANK if entry.platform is None else rank(entry.platform, wanted), entry)
        for entry in index.manifests
        if not _is_attestation(entry)
    ]
    serving = [(place, entry) for place, entry in ranked if place is not None]
    if serving:
        return min(serving, key=lambda pair: pair[0])[1]
    offers = [str(normalized(entry.platform)) for _, entry in ranked if entry.platform]
    raise ImageNotFoundError(
        f"cannot pull {what}: no image for {wanted}",
        hint=f"it has {', '.join(dict.fromkeys(offers))}" if offers else "",
    )


def _is_attestation(entry: Descriptor) -> bool:
    """Say whether an entry tells about an image instead of being one (BuildKit's provenance)."""
    is_unknown = entry.platform is not None and entry.platform.os == "unknown"
    return is_unknown or _ATTESTATION in entry.annotations


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
