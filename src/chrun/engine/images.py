"""The images in the store: listing and removing them."""

from __future__ import annotations

from chrun.engine.trash import empty_trash
from chrun.errors import (
    ImageInUseError,
    InvalidReferenceError,
    NoSuchImageError,
    StoreError,
    UsageError,
)
from chrun.oci.reference import Reference
from chrun.store.containers import list_containers
from chrun.store.gc import collect
from chrun.store.lookup import id_matches, load_readable
from chrun.store.refs import remove_refs
from chrun.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from chrun.oci.digest import Digest
    from chrun.store.layout import Layout
    from chrun.store.records import ImageRecord
    from chrun.store.store import Store


class Removed(Value):
    """What a removal did: names that are gone, and the blobs that went with them."""

    untagged: tuple[str, ...]
    deleted: tuple[Digest, ...]


def list_images(
    store: Store, tell: Callable[[StoreError], None] | None = None
) -> tuple[ImageRecord, ...]:
    """Give the images in the store, in the order of their names and platforms.

    `tell` is called for each that is damaged and therefore left out.
    """
    records, broken = load_readable(store.layout)
    if tell:
        for error in broken.values():
            tell(error)
    return tuple(sorted(records, key=lambda image: (image.reference, str(image.config.platform))))


def remove_image(store: Store, name: str, *, force: bool = False) -> Removed:
    """Remove a name, and what nothing refers to any more; by its ID, an image with all its names.

    NoSuchImageError when there is none; UsageError when an ID has several names, ImageInUseError
    when a container stands on it: with `force` it loses its names, and its layers stay as long as
    the container does. StoreError when it is damaged, unless by `force`; others may be.
    """
    layout = store.layout
    with store.hold(shared=False):
        records, broken = load_readable(layout)
        names = _doomed(records, broken, name)
        if not force:
            _check_readable(name, broken, names)
            _check_one_name(name, names)
            _check_unused(layout, name, _unnamed(records, names))
        remove_refs(layout, names)
        collected = collect(layout)
    empty_trash(layout)
    return Removed(tuple(sorted(names)), collected.blobs)


def _doomed(records: Sequence[ImageRecord], broken: Collection[str], name: str) -> frozenset[str]:
    """Give the references of what a text names: that one, or all of the ID that it begins."""
    try:
        canonical = str(Reference.parse(name))
    except InvalidReferenceError:
        canonical = ""
    if canonical in broken or any(image.reference == canonical for image in records):
        return frozenset((canonical,))
    found = [image for image in records if id_matches(image, name)]
    if not found:
        raise NoSuchImageError(
            f"cannot remove {name}: no such image", hint="chrun images lists what is here"
        )
    if len({image.image_id for image in found}) > 1:
        raise UsageError(f"cannot remove {name}: several image IDs start with it")
    return frozenset(image.reference for image in found)


def _check_readable(name: str, broken: Mapping[str, StoreError], names: frozenset[str]) -> None:
    for reference in names & broken.keys():
        error = broken[reference]
        raise StoreError(
            f"cannot remove {name}: whether a container stands on it cannot be told, "
            f"because {'it is damaged' if error.hint else 'what it has in it is refused'}",
            hint=f"{error.hint}, or remove it with --force".removeprefix(", or "),
        ) from error


def _check_one_name(name: str, names: frozenset[str]) -> None:
    if len(names) > 1:
        raise UsageError(
            f"cannot remove {name}: it has {len(names)} names: {', '.join(sorted(names))}",
            hint="remove them one by one, or all with --force",
        )


def _unnamed(records: Sequence[ImageRecord], names: frozenset[str]) -> set[Digest]:
    """Give the IDs of the images that have no names but these."""
    kept = {image.image_id for image in records if image.reference not in names}
    return {image.image_id for image in records if image.reference in names} - kept


def _check_unused(layout: Layout, name: str, image_ids: set[Digest]) -> None:
    wanted = set(map(str, image_ids))
    for container in list_containers(layout):
        if not wanted.isdisjoint((container.image_id, *container.mounted)):
            who = container.name or container.container_id[:12]
            how = "runs on it" if container.running else "is kept and stands on it"
            raise ImageInUseError(
                f"cannot remove {name}: container {who} {how}",
                hint="end or remove the container, or only take the name away with --force",
            )
