"""Containers: a directory each, locked by who runs it.

The lock is flock(2) on the directory itself. It goes with the last process that has it, so a
directory without lock and without the mark of a kept one belongs to nobody and is cleared away.
Small facts are symlinks: made by one system call, and read by one.
"""

from __future__ import annotations

import fcntl
import os

from chrun.errors import ContainerExistsError, UsageError
from chrun.store.access import make_directory, open_own
from chrun.store.faults import store_error
from chrun.store.locks import hold, try_hold
from chrun.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from chrun.store.layout import Layout

_ID_BYTES = 32  # what docker has
_LETTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789")
_NAME_LENGTH = 128
_VOLUME, _IMAGE = "volume-", "image-"  # symlinks to what else a container uses
_ROOT_MODE = 0o755  # upper/ becomes the container's /, which all its users pass through


class Container(Value):
    """A container that was just made; `lock_fd` is the lock, to be kept open while it lives."""

    container_id: str
    directory: str
    lock_fd: int


class Listed(Value):
    """A container that is there: `running` while somebody holds its lock.

    `image_id` is "" when it stands on a directory of the user's; `mounted` are the IDs of other
    images that it shows, `volumes` the names of those that it uses.
    """

    container_id: str
    directory: str
    image_id: str
    name: str
    running: bool
    kept: bool
    mounted: tuple[str, ...] = ()
    volumes: tuple[str, ...] = ()


def create_container(
    layout: Layout, image_id: str, *, name: str = "", keep: bool = False, overlay: bool = True
) -> Container:
    """Make a container's directory, with `overlay` also upper/ and work/ in it, and lock it.

    The caller holds the store, shared, from looking the image up until this returns; `image_id` is
    "" for a directory of the user's. With `keep` it stays when nobody holds it.
    ContainerExistsError when the name is taken, UsageError when it is none; StoreError when the
    directory cannot be made.
    """
    try:
        if not name:
            return _create(layout, image_id, "", keep=keep, overlay=overlay)
        _check_name(name)
        with hold(layout.names_dir):
            _free_name(layout, name)
            return _create(layout, image_id, name, keep=keep, overlay=overlay)
    except OSError as error:
        raise store_error(f"make a container in {layout.containers_dir}", error) from error


def remove_container(layout: Layout, container: Container) -> None:
    """Discard a container that its maker holds; its name is free again. StoreError.

    `removal.empty_trash` removes what it holds.
    """
    from chrun.store.removal import discard  # seldom needed when a container starts

    try:
        try:
            discard(layout, container.directory)
        finally:
            os.close(container.lock_fd)
        _forget_names(layout)
    except OSError as error:
        raise store_error(f"remove {container.directory}", error) from error


def note_uses(container: Container, volumes: Iterable[str], image_ids: Iterable[str]) -> None:
    """Write down which volumes and which other images a container uses: they stay while it does.

    The caller holds the store, as for `create_container`. StoreError.
    """
    try:
        for kind, names in ((_VOLUME, volumes), (_IMAGE, image_ids)):
            for number, name in enumerate(names):
                os.symlink(name, f"{container.directory}/{kind}{number}")
    except OSError as error:
        raise store_error(f"write to {container.directory}", error) from error


def save_spec(container: Container, spec: Mapping[str, object]) -> None:
    """Keep the runtime spec that a container was made from, as a bundle's config.json."""
    import json  # slow to import, and only kept containers need it

    path = f"{container.directory}/config.json"
    try:
        with open_own(path) as file:
            file.write(json.dumps(spec, indent=1).encode())
    except OSError as error:
        raise store_error(f"write {path}", error) from error


def list_containers(layout: Layout) -> tuple[Listed, ...]:
    """Give the containers that run or are kept, in no order; StoreError when it cannot be read."""
    try:
        with hold(layout.names_dir, shared=True):
            names = _names(layout)
        found = (_look_at(layout, entry, names) for entry in os.listdir(layout.containers_dir))
        return tuple(container for container in found if container)
    except OSError as error:
        raise store_error(f"list the containers in {layout.containers_dir}", error) from error


def clear_abandoned(
    layout: Layout, release: Callable[[str], None] = lambda _directory: None
) -> int:
    """Take away what killed processes left: containers that nobody holds and nobody keeps.

    `release` is called first with the directory of each that nobody holds: it frees what a dead
    container still has outside of it, OSError when it cannot. Gives how many were taken away;
    `removal.empty_trash` removes what they hold. StoreError when that cannot be done.
    """
    try:
        cleared = 0
        for container_id in os.listdir(layout.containers_dir):
            cleared += _cleared(layout, container_id, release)
        if os.listdir(layout.names_dir):  # chrun-init removes a container's directory, not its name
            _forget_names(layout)
    except OSError as error:
        raise store_error(f"clear {layout.containers_dir} up", error) from error
    return cleared


def _create(layout: Layout, image_id: str, name: str, *, keep: bool, overlay: bool) -> Container:
    container_id, lock_fd = _make_locked(layout)
    container = Container(container_id, layout.container_dir(container_id), lock_fd)
    try:
        _furnish(container.directory, image_id, keep=keep, overlay=overlay)
        if name:
            os.symlink(container_id, layout.name_path(name))
    except OSError:
        from chrun.store.removal import discard  # seldom needed when a container starts

        os.close(lock_fd)
        discard(layout, container.directory)
        raise
    return container


def _furnish(directory: str, image_id: str, *, keep: bool, overlay: bool) -> None:
    if keep:
        os.symlink("yes", f"{directory}/kept")
    if image_id:
        os.symlink(image_id, f"{directory}/image")
    if overlay:
        make_directory(f"{directory}/work")
        make_directory(f"{directory}/upper", _ROOT_MODE)


def _make_locked(layout: Layout) -> tuple[str, int]:
    """Make a container's directory and lock it: again, if it was cleared away in between."""
    while True:
        container_id = os.urandom(_ID_BYTES).hex()
        directory = layout.container_dir(container_id)
        os.mkdir(directory, 0o700)
        try:
            fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except FileNotFoundError:
            continue
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
        except OSError:
            os.close(fd)
            raise
        if os.path.exists(directory):
            return container_id, fd
        os.close(fd)


def _check_name(name: str) -> None:
    """Docker's rule; and what is a file name may have no slash in it."""
    rest = _LETTERS | set("_.-")
    if len(name) > _NAME_LENGTH or name[:1] not in _LETTERS or not rest.issuperset(name):
        raise UsageError(
            f"cannot name a container {name!r}: expected letters, digits, '_', '.' and '-', "
            "with a letter or digit first"
        )


def _free_name(layout: Layout, name: str) -> None:
    """Make sure that a name is free, taking it from a container that has ended."""
    path = layout.name_path(name)
    try:
        container_id = os.readlink(path)
    except FileNotFoundError:
        return
    holder = _look_at(layout, container_id, {container_id: name})
    if holder:
        ending = "end it" if holder.running else f"remove {holder.directory}, where it was kept"
        raise ContainerExistsError(
            f"cannot name a container {name}: container {container_id[:12]} is called so",
            hint=f"choose another name, or {ending}",
        )
    os.unlink(path)


def _names(layout: Layout) -> dict[str, str]:
    """Give the names by container id."""
    return {os.readlink(layout.name_path(name)): name for name in os.listdir(layout.names_dir)}


def _forget_names(layout: Layout) -> None:
    """Free the names of containers that are gone."""
    with hold(layout.names_dir):
        for container_id, name in _names(layout).items():
            if not os.path.exists(layout.container_dir(container_id)):
                os.unlink(layout.name_path(name))


def _look_at(layout: Layout, container_id: str, names: dict[str, str]) -> Listed | None:
    """Describe a container; None when it is gone, or nobody's."""
    directory = layout.container_dir(container_id)
    try:
        unlocked = try_hold(directory, shared=True)
        kept = os.path.islink(f"{directory}/kept")
        if unlocked:
            unlocked.release()
            if not kept:
                return None
        image_id = _read_image_id(directory)
        mounted, volumes = _read_uses(directory, _IMAGE), _read_uses(directory, _VOLUME)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise store_error(f"look at {directory}", error) from error
    return Listed(
        container_id,
        directory,
        image_id,
        names.get(container_id, ""),
        not unlocked,
        kept,
        mounted,
        volumes,
    )


def _read_uses(directory: str, kind: str) -> tuple[str, ...]:
    names = sorted(os.listdir(directory))
    return tuple(os.readlink(f"{directory}/{name}") for name in names if name.startswith(kind))


def _read_image_id(directory: str) -> str:
    try:
        return os.readlink(f"{directory}/image")
    except FileNotFoundError:
        return ""


def _cleared(layout: Layout, container_id: str, release: Callable[[str], None]) -> bool:
    """Discard a container if it is nobody's; its maker notices when it was too quick."""
    directory = layout.container_dir(container_id)
    try:
        held = try_hold(directory)
        if not held:
            return False
        with held:
            release(directory)
            if os.path.islink(f"{directory}/kept"):
                return False
            from chrun.store.removal import discard  # seldom needed when a container starts

            discard(layout, directory)
            return True
    except FileNotFoundError:
        return False
    except OSError as error:
        raise store_error(f"clear {directory} away", error) from error
