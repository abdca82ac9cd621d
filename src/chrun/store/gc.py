"""Removing what nothing refers to any more.

Kept are: what the index reaches; what a container that runs or is kept stands on; what an archive
on this machine was unpacked to; and what somebody holds the lock of, such as a pull under way.
"""

from __future__ import annotations

import os

from chrun.errors import ContentError
from chrun.oci.config import parse_config
from chrun.oci.digest import Digest
from chrun.oci.manifest import Index, Manifest, parse_document
from chrun.oci.media_types import CONFIGS, INDEXES, MANIFESTS
from chrun.store.blobs import has_blob, load_document
from chrun.store.containers import list_containers
from chrun.store.contents import forget_contents
from chrun.store.faults import store_error
from chrun.store.layers import has_layer, rooms_of
from chrun.store.layout import file_name
from chrun.store.locks import try_hold_file
from chrun.store.refs import load_refs
from chrun.store.removal import discard
from chrun.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from chrun.oci.manifest import Descriptor
    from chrun.store.layout import Layout

_DEPTH = 4  # of indexes in indexes, which only other tools put here


class Collected(Value):
    """What was taken out of sight: blobs that are gone, and layers that lie in the trash now."""

    blobs: tuple[Digest, ...]
    layers: tuple[Digest, ...]
    size: int


class _Roots:
    """What is in use, gathered from where uses are written down.

    `complete` unless some of that cannot be read: then anything may be in use.
    """

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.blobs: set[Digest] = set()
        self.layers: set[Digest] = set()
        self.complete = True

    def add_manifest(self, descriptor: Descriptor, depth: int = 0) -> None:
        """Add a manifest or index, and what it reaches of what is here."""
        digest = descriptor.digest
        self.blobs.add(digest)
        kinds = INDEXES | MANIFESTS
        if descriptor.media_type not in kinds or not has_blob(self.layout, digest):
            return
        try:
            document = parse_document(str(digest), load_document(self.layout, digest))
        except ContentError:
            self.complete = False
            return
        match document:
            case Index(manifests=manifests) if depth < _DEPTH:
                for manifest in manifests:
                    self.add_manifest(manifest, depth + 1)
            case Manifest(config=config, layers=layers):
                self.blobs.update((config.digest, *(layer.digest for layer in layers)))
                if config.media_type in CONFIGS:  # other things have no layers here
                    self.add_image(config.digest)
            case Index():
                return

    def add_image(self, image_id: Digest) -> None:
        """Add a configuration and its layers; what an archive became has no configuration."""
        self.blobs.add(image_id)
        self.layers.add(image_id)
        if has_blob(self.layout, image_id):
            content = load_document(self.layout, image_id)
            try:
                self.layers.update(parse_config(str(image_id), content).diff_ids)
            except ContentError:
                self.complete = False
        elif not any(has_layer(room, image_id) for room in rooms_of(self.layout)):
            self.complete = False


def collect(layout: Layout, *, archives: bool = False) -> Collected:
    """Remove blobs and layers that nothing refers to; with `archives`, those of archives too.

    Nothing while the documents of an image that has a name or a container are damaged: it may be
    that image's. The caller holds the store alone, and calls `removal.empty_trash` when it does no
    longer. StoreError, before anything is removed, when what is in use cannot be read.
    """
    try:
        if archives:
            for name in os.listdir(layout.archives_dir):
                os.unlink(f"{layout.archives_dir}/{name}")
        roots = _gather(layout)
        _clear_scratch(layout)
        if not roots.complete:
            return Collected((), (), 0)
        blobs, size = _remove_blobs(layout, roots.blobs)
        forget_contents(layout)
        layers = tuple(
            digest for room in rooms_of(layout) for digest in _discard_layers(room, roots.layers)
        )
    except OSError as error:
        raise store_error(f"clear {layout.root} up", error) from error
    return Collected(blobs, layers, size)


def _gather(layout: Layout) -> _Roots:
    roots = _Roots(layout)
    _signature, refs = load_refs(layout)
    for ref in refs:
        roots.add_manifest(ref.descriptor)
        if ref.resolved and not has_blob(layout, ref.descriptor.digest):
            roots.complete = False
    for container in list_containers(layout):
        for image_id in filter(None, (container.image_id, *container.mounted)):
            roots.add_image(Digest.parse(image_id))
    for name in os.listdir(layout.archives_dir):
        roots.layers.add(Digest.parse(os.readlink(f"{layout.archives_dir}/{name}")))
    return roots


def _remove_blobs(layout: Layout, used: set[Digest]) -> tuple[tuple[Digest, ...], int]:
    removed: list[Digest] = []
    size = 0
    for digest in _blobs(layout):
        held = None if digest in used else try_hold_file(layout.blob_lock_path(digest))
        if held:
            with held:
                path = layout.blob_path(digest)
                size += os.stat(path).st_size
                os.unlink(path)
                removed.append(digest)
    return tuple(removed), size


def _blobs(layout: Layout) -> Iterator[Digest]:
    for algorithm in os.listdir(layout.blobs_dir):
        for name in os.listdir(f"{layout.blobs_dir}/{algorithm}"):
            yield Digest.parse(f"{algorithm}:{name}")


def _discard_layers(layout: Layout, used: set[Digest]) -> Iterator[Digest]:
    kept = set(map(file_name, used))
    for name in os.listdir(layout.layers_dir):
        digest = Digest.parse(name.replace("-", ":"))
        held = None if name in kept else try_hold_file(layout.layer_lock_path(digest))
        if held:
            with held:
                discard(layout, layout.layer_dir(digest))
            yield digest


def _clear_scratch(layout: Layout) -> None:
    """Remove locks that nobody has, partial trees and documents of theirs, and kept answers."""
    for name in os.listdir(layout.locks_dir):
        path = f"{layout.locks_dir}/{name}"
        if held := try_hold_file(path):
            with held:
                os.unlink(path)
    answers_dir = f"{layout.cache_dir}/images"
    for name in os.listdir(answers_dir):
        os.unlink(f"{answers_dir}/{name}")
