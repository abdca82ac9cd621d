"""Pulling an image: reference -> manifest -> configuration -> layers -> a name in the store.

The name comes last. Whatever ends a pull before that leaves nothing that counts as an image, and
everything that had arrived for the next attempt.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from chrun.engine.fetch import LayerFetch, LayerFetcher
from chrun.engine.owners import unpack_here
from chrun.engine.parallel import Cancellation, run_in_parallel
from chrun.engine.progress import Part
from chrun.engine.trash import empty_trash
from chrun.errors import (
    ContentError,
    ImageNotFoundError,
    StoreError,
    UnsupportedMediaTypeError,
)
from chrun.oci.config import parse_config
from chrun.oci.manifest import MAX_INDEX_DEPTH, Index, Manifest, choose_manifest, parse_document
from chrun.oci.media_types import CONFIGS, LAYERS
from chrun.oci.platform import rank
from chrun.oci.reference import Reference
from chrun.store.blobs import has_blob, load_document, save_document
from chrun.store.contents import has_content
from chrun.store.layers import has_layer
from chrun.store.lookup import load_manifest, load_record
from chrun.store.partial import clear_partial
from chrun.store.refs import Ref, add_ref, load_refs
from chrun.values import Value

if TYPE_CHECKING:
    from chrun.engine.owners import Unpack
    from chrun.engine.progress import Progress
    from chrun.oci.config import ImageConfig
    from chrun.oci.digest import Digest
    from chrun.oci.manifest import Descriptor
    from chrun.oci.platform import Platform
    from chrun.registry.client import Registry
    from chrun.store.layout import Layout
    from chrun.store.records import ImageRecord
    from chrun.store.store import Store

_LAYERS_AT_ONCE = 3


class _Image(Value):
    """The documents of an image for one platform, fetched and checked but not yet kept."""

    descriptor: Descriptor
    manifest: Manifest
    manifest_content: bytes
    config: ImageConfig
    config_content: bytes


def pull(
    store: Store,
    registry: Registry,
    reference: Reference,
    platform: Platform,
    progress: Progress,
    unpack: Unpack = unpack_here,
) -> ImageRecord:
    """Have the image that a reference names now, for a platform, in the store.

    One HEAD request when the tag has not changed, none for a digest that is here. RegistryError
    when it cannot be had, ImageNotFoundError when there is none for the platform, ContentError
    when it is not what it must be, StoreError when it cannot be kept.
    """
    resolved = reference.digest or registry.head_manifest(reference).digest
    if record := _find_unchanged(store.layout, reference, platform, resolved):
        return record
    clear_partial(store.layout, blobs=False)
    image = _fetch_image(registry, reference, resolved, platform)
    cancellation = Cancellation()
    fetcher = LayerFetcher(store.layout, registry, reference, progress, cancellation, unpack)
    try:
        run_in_parallel(
            fetcher.ensure,
            _layers_of(reference, image.manifest, image.config),
            cancellation,
            threads=_LAYERS_AT_ONCE,
        )
        return _publish(store, reference, platform, resolved, image)
    finally:
        fetcher.release()
        empty_trash(store.layout)


def unpack_again(
    store: Store, registry: Registry, record: ImageRecord, progress: Progress, unpack: Unpack
) -> None:
    """Have the layers of an image, which is in the store, in one more room.

    The registry is asked only for blobs that are damaged. The errors are those of `pull`.
    """
    reference, digest = Reference.parse(record.reference), record.manifest_digest
    document = parse_document(str(digest), load_document(store.layout, digest))
    if not isinstance(document, Manifest):
        raise StoreError(f"cannot unpack {record.reference}: {digest} is an index")
    cancellation = Cancellation()
    fetcher = LayerFetcher(store.layout, registry, reference, progress, cancellation, unpack)
    try:
        run_in_parallel(
            fetcher.ensure,
            _layers_of(reference, document, record.config),
            cancellation,
            threads=_LAYERS_AT_ONCE,
        )
    finally:
        fetcher.release()
        empty_trash(store.layout)


def _find_unchanged(
    layout: Layout, reference: Reference, platform: Platform, resolved: Digest
) -> ImageRecord | None:
    """Find the image under its name, if it is still the one that was pulled, and whole."""
    _signature, refs = load_refs(layout)
    for ref in refs:
        if (ref.name, ref.resolved, ref.wanted) == (str(reference), resolved, str(platform)):
            try:
                record = load_record(layout, ref)
            except StoreError:  # damaged: it is pulled anew
                return None
            return record if _is_whole(layout, ref, record) else None
    return None


def _is_whole(layout: Layout, ref: Ref, record: ImageRecord) -> bool:
    layers, diff_ids = load_manifest(layout, ref).layers, record.config.diff_ids
    return len(layers) == len(diff_ids) and all(
        has_blob(layout, layer.digest)
        and has_layer(layout, diff_id)
        and has_content(layout, layer.digest, diff_id)
        for layer, diff_id in zip(layers, diff_ids, strict=True)
    )


def _fetch_image(
    registry: Registry, reference: Reference, resolved: Digest, platform: Platform
) -> _Image:
    name = reference.familiar
    descriptor, content = registry.fetch_manifest(reference.replace(digest=resolved))
    document = parse_document(name, content, descriptor.media_type)
    for _depth in range(MAX_INDEX_DEPTH):
        if isinstance(document, Manifest):
            break
        descriptor = choose_manifest(document, platform, what=name)
        content = registry.fetch_document(reference, descriptor)
        document = parse_document(name, content, descriptor.media_type)
    if isinstance(document, Index):
        raise ContentError(f"cannot pull {name}: more than {MAX_INDEX_DEPTH} indexes in a row")
    _check_is_image(name, document)
    config_content = registry.fetch_document(reference, document.config)
    config = parse_config(f"the configuration of {name}", config_content)
    _check_fits(name, document, config, platform)
    return _Image(descriptor, document, content, config, config_content)


def _check_is_image(name: str, manifest: Manifest) -> None:
    """Registries hold other things than images, by the same kind of manifest."""
    kinds = [manifest.config.media_type] if manifest.config.media_type not in CONFIGS else []
    kinds += [layer.media_type for layer in manifest.layers if layer.media_type not in LAYERS]
    if kinds:
        raise UnsupportedMediaTypeError(
            f"cannot pull {name}: it is not a container image, it has {kinds[0]!r}"
        )


def _check_fits(name: str, manifest: Manifest, config: ImageConfig, platform: Platform) -> None:
    layers, diff_ids = len(manifest.layers), len(config.diff_ids)
    if layers != diff_ids:
        raise ContentError(
            f"cannot pull {name}: its manifest has {layers} layers, its configuration {diff_ids}"
        )
    _check_one_diff_id_each(name, manifest, config)
    if config.architecture and rank(config.platform, platform) is None:
        raise ImageNotFoundError(
            f"cannot pull {name}: no image for {platform}", hint=f"it has {config.platform}"
        )


def _check_one_diff_id_each(name: str, manifest: Manifest, config: ImageConfig) -> None:
    """One blob has one content."""
    expected: dict[Digest, Digest] = {}
    for layer, diff_id in zip(manifest.layers, config.diff_ids, strict=True):
        if expected.setdefault(layer.digest, diff_id) != diff_id:
            raise ContentError(f"cannot pull {name}: its layer {layer.digest} has two diff IDs")


def _layers_of(reference: Reference, manifest: Manifest, config: ImageConfig) -> list[LayerFetch]:
    """Give the layers to have, base first; one that an image has twice is one."""
    layers = dict.fromkeys(zip(manifest.layers, config.diff_ids, strict=True))
    name = reference.familiar
    return [
        LayerFetch(
            Part(name, position, len(layers), descriptor.digest, descriptor.size),
            descriptor,
            diff_id,
        )
        for position, (descriptor, diff_id) in enumerate(layers, 1)
    ]


def _publish(
    store: Store, reference: Reference, platform: Platform, resolved: Digest, image: _Image
) -> ImageRecord:
    """Keep the documents, and then the name; the layers are there and locked."""
    actual = image.config.platform if image.config.architecture else platform
    ref = Ref.of(str(reference), image.descriptor, resolved, actual, str(platform))
    with store.hold(shared=True):
        save_document(store.layout, image.manifest.config.digest, image.config_content)
        save_document(store.layout, image.descriptor.digest, image.manifest_content)
        add_ref(store.layout, ref)
        return load_record(store.layout, ref)
