"""Volumes and images that a container shows: where they lie, that they stay, what is in them."""

from __future__ import annotations

import errno
import fcntl
import os
import time

from chrun.engine.ownership import copy_subtree_for
from chrun.engine.trash import empty_trash
from chrun.errors import NoSuchImageError, UsageError, VolumeInUseError
from chrun.linux.mountinfo import find_mount, mount_points_below
from chrun.rootfs.lookup import visible_layers
from chrun.store.containers import list_containers, note_uses
from chrun.store.faults import store_error
from chrun.store.removal import discard
from chrun.store.volumes import (
    adopt_content,
    create_volume,
    hold_volume,
    list_volumes,
    load_volume,
    remove_volume,
    stage_content,
)
from chrun.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from chrun.engine.engine import Engine
    from chrun.engine.request import RunRequest
    from chrun.engine.users import Users
    from chrun.oci.spec import SpecMount
    from chrun.store.containers import Container
    from chrun.store.layout import Layout
    from chrun.store.records import ImageRecord
    from chrun.store.store import Store
    from chrun.store.volumes import Volume

_STDERR_FD = 2
_OPENED = ("shared", "rshared", "slave", "rslave")


class PrunedVolumes(Value):
    """The names of volumes that went, and the bytes of disk space that they took."""

    names: tuple[str, ...]
    size: int


def resolve_mounts(engine: Engine, request: RunRequest, users: Users) -> tuple[SpecMount, ...]:
    """Give the mounts with the paths of volumes and images; makes nothing.

    NoSuchImageError; UsageError for a propagation that the source's mount does not have.
    """
    return tuple(_resolved(engine, request, mount, users) for mount in request.options.mounts)


def claim_mounts(engine: Engine, request: RunRequest, container: Container, users: Users) -> None:
    """Make the volumes that are not there yet, and note what the container uses.

    The caller holds the store since it looked the images up.
    """
    volumes = _named(request, "volume")
    for name in volumes:
        create_volume(engine.store.layout, name, time=now())
    images = {
        str(_image(engine, request, name, users).image_id) for name in _named(request, "image")
    }
    note_uses(container, volumes, sorted(images))


def open_volumes(
    engine: Engine, request: RunRequest, layers: Sequence[str], users: Users
) -> tuple[int, ...]:
    """Fill empty volumes with what the image has there, and give their locks.

    The locks are to be kept open while the container lives. RootfsError, StoreError.
    """
    layout = engine.store.layout
    locks: list[int] = []
    try:
        locks.extend(
            _open_volume(layout, mount, layers, users)
            for mount in request.options.mounts
            if mount.type == "volume"
        )
    except BaseException:
        for lock_fd in locks:
            os.close(lock_fd)
        raise
    return tuple(locks)


def make_volume(store: Store, name: str, labels: Mapping[str, str]) -> str:
    """Make a volume, unless it is there, and give its name; without one, chrun chooses it."""
    with store.hold(shared=True):
        return create_volume(store.layout, name, labels, time=now())


def find_volumes(store: Store, names: Sequence[str] | None = None) -> tuple[Volume, ...]:
    """Give the volumes of these names, or all in the order of their names; NoSuchVolumeError."""
    if names is None:
        return list_volumes(store.layout)
    return tuple(load_volume(store.layout, name) for name in names)


def delete_volume(store: Store, name: str) -> None:
    """Remove a volume and all that is in it; NoSuchVolumeError, VolumeInUseError."""
    with store.hold(shared=False):
        load_volume(store.layout, name)
        for container in list_containers(store.layout):
            if name in container.volumes:
                who = container.name or container.container_id[:12]
                how = "uses it" if container.running else "is kept and uses it"
                raise VolumeInUseError(f"cannot remove volume {name}: container {who} {how}")
        remove_volume(store.layout, name)
    empty_trash(store.layout)


def used_volumes(store: Store) -> frozenset[str]:
    """Give the names of the volumes that containers use."""
    return frozenset(
        name for container in list_containers(store.layout) for name in container.volumes
    )


def prune_volumes(store: Store, wanted: Callable[[Volume], bool]) -> PrunedVolumes:
    """Remove the volumes that no container uses and that are `wanted` to go."""
    with store.hold(shared=False):
        used = used_volumes(store)
        names = tuple(
            volume.name
            for volume in list_volumes(store.layout)
            if volume.name not in used and wanted(volume)
        )
        for name in names:
            remove_volume(store.layout, name)
    return PrunedVolumes(names, empty_trash(store.layout))


def now() -> str:
    """Give the time in RFC 3339."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def _named(request: RunRequest, kind: str) -> tuple[str, ...]:
    return tuple(
        dict.fromkeys(mount.source for mount in request.options.mounts if mount.type == kind)
    )


def _resolved(engine: Engine, request: RunRequest, mount: SpecMount, users: Users) -> SpecMount:
    layout = engine.store.layout
    if mount.type == "volume":
        kind, options = "bind", {"rbind", *mount.options} - {"nocopy"}
        if "O" in options:
            kind, options = "overlay", options - {"O", "rbind"}
        if "dev" not in options:  # what fills it is an image's
            options.add("nodev")
        if users.kind == "range":  # on the disk its files belong to whom the image names
            options.add("idmap")
        source = layout.volume_data_dir(mount.source)
        return mount.replace(type=kind, source=source, options=tuple(sorted(options)))
    if mount.type == "image":
        layers = visible_layers(_image(engine, request, mount.source, users).layers)
        return mount.replace(
            type="overlay", source="overlay", options=(*mount.options, "nodev"), layers=layers
        )
    if mount.type == "bind":
        _check_propagation(mount)
    return mount


def _image(engine: Engine, request: RunRequest, name: str, users: Users) -> ImageRecord:
    record = engine.find_image(name, request.platform, users.room)
    if record is None:
        raise NoSuchImageError(f"cannot mount {name}: it is not here", hint=f"chrun pull {name}")
    return record


def _check_propagation(mount: SpecMount) -> None:
    """Refuse what would have no effect, or more than was asked for."""
    asked = next((word for word in _OPENED if word in mount.options), "")
    if not asked:
        return
    around = find_mount(mount.source)
    heard = ("shared:",) if asked.endswith("shared") else ("shared:", "master:")
    if around is None or not any(word.startswith(heard) for word in around.propagation):
        point = around.mount_point if around else mount.source
        raise UsageError(
            f"cannot mount {mount.source} on {mount.destination} as {asked}: "
            f"the mount that it lies on, {point}, is private",
            hint=f"mount --make-shared {point}",
        )
    if not asked.startswith("r") and "rbind" in mount.options and mount_points_below(mount.source):
        raise UsageError(
            f"cannot mount {mount.source} on {mount.destination} as {asked}: "
            "there are mounts below it, to which that would not extend",
            hint=f"use r{asked}, or leave them out with bind",
        )


def _open_volume(layout: Layout, mount: SpecMount, layers: Sequence[str], users: Users) -> int:
    held, alone = hold_volume(layout, mount.source)
    try:
        if alone and "nocopy" not in mount.options and not mount.subpath:
            _fill(layout, mount, layers, users)
        held.share()
    except BaseException:
        held.release()
        raise
    if held.fd > _STDERR_FD:
        return held.fd
    try:  # or it would be one of the container's standard streams
        return fcntl.fcntl(held.fd, fcntl.F_DUPFD_CLOEXEC, _STDERR_FD + 1)
    finally:
        held.release()


def _fill(layout: Layout, mount: SpecMount, layers: Sequence[str], users: Users) -> None:
    name = mount.source
    staged = stage_content(layout, name)
    try:
        if copy_subtree_for(users, layout, layers, mount.destination, staged):
            adopt_content(layout, name, staged)
    except OSError as error:
        if error.errno in (errno.ENOTEMPTY, errno.EEXIST):  # somebody else put something there
            return
        raise store_error(f"fill the volume {name}", error) from error
    finally:
        discard(layout, staged)  # a no-op when it became the content
