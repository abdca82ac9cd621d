"""The names of images: index.json of the image layout (image-spec, image-layout.md).

An entry of chrun's names a manifest of one platform. Its annotations say under which canonical
reference it was pulled, and which digest that had in the registry. Entries that other tools made
are left as they are.
"""

from __future__ import annotations

import json
import os

from chrun.errors import ContentError, StoreError
from chrun.oci.digest import Digest
from chrun.oci.document import Document
from chrun.oci.manifest import Descriptor
from chrun.oci.media_types import OCI_INDEX
from chrun.store.durable import sync_directory, write_synced
from chrun.store.faults import store_error
from chrun.store.locks import hold
from chrun.store.records import signature_of
from chrun.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from chrun.oci.platform import Platform
    from chrun.store.layout import Layout
    from chrun.store.records import Signature

_NAME = "org.opencontainers.image.ref.name"
_RESOLVED = "chrun.resolved-digest"
_WANTED = "chrun.wanted-platform"


class Ref(Value):
    """An entry of the index: a name, the manifest it has here, and its digest in the registry.

    `resolved` is None for entries that another tool made. `wanted` is the platform that was asked
    for, which the image's own may only be good enough for. `written` is the entry's JSON.
    """

    name: str
    descriptor: Descriptor
    resolved: Digest | None
    wanted: str
    written: Mapping[str, object]

    @classmethod
    def from_json(cls, document: Document) -> Ref:
        """Read an entry of index.json."""
        descriptor = Descriptor.from_json(document)
        annotations = dict(descriptor.annotations)
        resolved = annotations.get(_RESOLVED)
        return cls(
            annotations.get(_NAME, ""),
            descriptor,
            Digest.parse(resolved) if resolved else None,
            annotations.get(_WANTED, ""),
            document.fields,
        )

    @classmethod
    def of(
        cls,
        name: str,
        descriptor: Descriptor,
        resolved: Digest,
        platform: Platform,
        wanted: str,
    ) -> Ref:
        """Make the entry for an image that was pulled."""
        annotations = ((_NAME, name), (_RESOLVED, str(resolved)), (_WANTED, wanted))
        marked = descriptor.replace(platform=platform, annotations=annotations)
        return cls(name, marked, resolved, wanted, marked.to_json())

    @property
    def key(self) -> tuple[str, Platform | None]:
        """What there is one entry for: a name and a platform."""
        return self.name, self.descriptor.platform


def load_refs(layout: Layout) -> tuple[Signature, tuple[Ref, ...]]:
    """Read the index, and the signature of the file that was read.

    StoreError when it cannot be read. A store without an index has no images.
    """
    path = layout.index_path
    try:
        with open(path, "rb") as file:
            signature = signature_of(os.fstat(file.fileno()))
            document = Document.parse(path, file.read())
        return signature, tuple(map(Ref.from_json, document.documents("manifests")))
    except FileNotFoundError:
        return (0, 0, 0), ()
    except OSError as error:
        raise store_error(f"read {path}", error) from error
    except ContentError as error:
        raise StoreError(str(error), hint="pull into another store, or repair this file") from error


def add_ref(layout: Layout, ref: Ref) -> None:
    """Enter an image; an entry of the same name and platform is replaced."""

    def added(refs: tuple[Ref, ...]) -> tuple[Ref, ...]:
        return (*(other for other in refs if other.key != ref.key), ref)

    _change(layout, added)


def remove_refs(layout: Layout, names: frozenset[str]) -> None:
    """Strike out every entry of these names, whatever the platform."""
    _change(layout, lambda refs: tuple(ref for ref in refs if ref.name not in names))


def _change(layout: Layout, change: Callable[[tuple[Ref, ...]], tuple[Ref, ...]]) -> None:
    """Replace index.json by one rename, alone; who reads it sees the old or the new one."""
    try:
        with hold(layout.images_dir):
            _signature, refs = load_refs(layout)
            _save(layout, change(refs))
    except OSError as error:
        raise store_error(f"write {layout.index_path}", error) from error


def _save(layout: Layout, refs: tuple[Ref, ...]) -> None:
    index = {
        "schemaVersion": 2,
        "mediaType": OCI_INDEX,
        "manifests": [ref.written for ref in refs],
    }
    scratch_path = f"{layout.partial_dir}/index.json"  # one at a time: images/ is locked
    write_synced(scratch_path, json.dumps(index, indent=1).encode())
    os.rename(scratch_path, layout.index_path)
    sync_directory(layout.images_dir)
