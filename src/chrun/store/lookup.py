"""From what a user types to an image in the store, by way of its documents."""

from __future__ import annotations

from chrun.errors import ContentError, InvalidReferenceError, StoreError
from chrun.oci.config import parse_config
from chrun.oci.manifest import Manifest, parse_document
from chrun.oci.platform import Platform, rank
from chrun.oci.reference import Reference
from chrun.store.blobs import is_sound, load_document
from chrun.store.records import ImageRecord
from chrun.store.refs import load_refs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from chrun.store.layout import Layout
    from chrun.store.records import Signature
    from chrun.store.refs import Ref

_SHORTEST_ID = 3  # hex digits
_HEX = frozenset("0123456789abcdef")


def look_up(layout: Layout, name: str, platform: str) -> tuple[Signature, ImageRecord | None]:
    """Find an image, and the signature of the index in which it was looked for.

    InvalidReferenceError when the text can name no image; StoreError when it is the start of
    several images' IDs, or what the store has of the image cannot be read.
    """
    signature, refs = load_refs(layout)
    wanted = Platform.parse(platform)
    own = [ref for ref in refs if ref.resolved]
    if found := _best(_named(own, name), wanted):
        return signature, load_record(layout, found)
    return signature, _identified(layout, name)


def load_readable(layout: Layout) -> tuple[tuple[ImageRecord, ...], dict[str, StoreError]]:
    """Read what can be read of the images that chrun pulled, in the order of the index.

    The second are the names of those that cannot, and why. StoreError for the index.
    """
    _signature, refs = load_refs(layout)
    records: list[ImageRecord] = []
    broken: dict[str, StoreError] = {}
    for ref in refs:
        if ref.resolved:
            try:
                records.append(load_record(layout, ref))
            except StoreError as error:
                broken[ref.name] = error
    return tuple(records), broken


def load_record(layout: Layout, ref: Ref) -> ImageRecord:
    """Read an image's manifest and configuration; StoreError when one is missing or wrong."""
    digest = document = ref.descriptor.digest
    try:
        manifest = load_manifest(layout, ref)
        document = manifest.config.digest
        config = parse_config(str(document), load_document(layout, document))
    except StoreError as error:
        raise _unreadable(ref, error, "pull it again") from error
    except ContentError as error:  # which another pull would bring again, unless it is damaged
        hint = "" if is_sound(layout, document) else "pull it again"
        raise _unreadable(ref, error, hint) from error
    return ImageRecord(
        reference=ref.name,
        resolved_digest=ref.resolved or digest,
        manifest_digest=digest,
        image_id=document,
        config=config,
        layers=tuple(map(layout.layer_dir, config.diff_ids)),
        size=manifest.config.size + sum(layer.size for layer in manifest.layers),
    )


def _unreadable(ref: Ref, error: ContentError | StoreError, hint: str) -> StoreError:
    return StoreError(f"cannot read {ref.name}: {error}", hint=hint)


def load_manifest(layout: Layout, ref: Ref) -> Manifest:
    """Read the manifest of an entry; StoreError when it is missing, ContentError when wrong."""
    digest = ref.descriptor.digest
    document = parse_document(str(digest), load_document(layout, digest))
    if not isinstance(document, Manifest):
        raise StoreError(f"{digest} is an index, expected a manifest")
    return document


def id_matches(record: ImageRecord, text: str) -> bool:
    """Say whether a text is the image's ID, or the start of it that docker prints."""
    wanted = text.removeprefix("sha256:")
    return (
        len(wanted) >= _SHORTEST_ID
        and _HEX.issuperset(wanted)
        and record.image_id.hex.startswith(wanted)
    )


def _named(refs: list[Ref], name: str) -> list[Ref]:
    try:
        return _matching(refs, Reference.parse(name))
    except InvalidReferenceError:
        if len(name) >= _SHORTEST_ID and _HEX.issuperset(name.removeprefix("sha256:")):
            return []  # 64 hex digits are an image's ID
        raise


def _matching(refs: Iterable[Ref], reference: Reference) -> list[Ref]:
    """Give the entries that a reference means: by name; by digest also those of a sister tag."""
    named = [ref for ref in refs if ref.name == str(reference)]
    if named or not reference.digest:
        return named
    digest, repository = reference.digest, f"{reference.registry}/{reference.repository}"
    return [
        ref
        for ref in refs
        if digest in (ref.resolved, ref.descriptor.digest)
        and _repository_of(ref.name) == repository
    ]


def _repository_of(name: str) -> str:
    reference = Reference.parse(name)
    return f"{reference.registry}/{reference.repository}"


def _best(refs: list[Ref], wanted: Platform) -> Ref | None:
    """Choose the entry whose platform serves best; None when none does."""
    ranked = [
        (position, ref)
        for ref in refs
        if ref.descriptor.platform
        and (position := rank(ref.descriptor.platform, wanted)) is not None
    ]
    return min(ranked, key=lambda pair: pair[0])[1] if ranked else None


def _identified(layout: Layout, text: str) -> ImageRecord | None:
    records, _broken = load_readable(layout)
    found = {record.image_id: record for record in records if id_matches(record, text)}
    if len(found) > 1:
        raise StoreError(
            f"cannot tell which image {text!r} is: {len(found)} image IDs start with it"
        )
    return next(iter(found.values()), None)
