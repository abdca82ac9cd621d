"""Opening a data directory."""

from __future__ import annotations

import os

from chrun.errors import StoreError
from chrun.store.faults import store_error
from chrun.store.layout import Layout
from chrun.store.locks import Hold, hold
from chrun.store.records import find_kept_record, keep_record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from chrun.store.records import ImageRecord

VERSION = 1
_UNFINISHED = "being made"
_OTHERS_MAY_WRITE = 0o022

_SEARCHED_MODE = 0o755  # all users of a container pass through what an image lacks

# What chrun mounts on in every container
_MOUNT_POINT_DIRECTORIES = ("dev", "etc", "proc", "sys")
_MOUNT_POINT_FILES = ("etc/hostname", "etc/hosts", "etc/resolv.conf")


class Store:
    """An open data directory; made by `open_store`."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout

    def with_room(self, room: str) -> Store:
        """Give the same store, with its layers in another room."""
        return Store(self.layout.replace(room=room))

    def hold(self, *, shared: bool) -> Hold:
        """Lock the whole store.

        Shared: nothing that has a name goes while it is held. Whoever looks an image up holds it
        until a container, a lock or the index refers to what was found. Alone: to remove names.
        StoreError when it cannot be locked.
        """
        try:
            return hold(self.layout.root, shared=shared)
        except OSError as error:
            raise store_error(f"lock the store {self.layout.root}", error) from error

    def find_image(self, name: str, platform: str) -> ImageRecord | None:
        """Find an image by a reference as a user types it, or by the start of its ID.

        `platform` is a canonical one, such as linux/amd64. A name that was looked up before costs
        two small reads. InvalidReferenceError, StoreError when the index cannot be read.
        """
        if record := find_kept_record(self.layout, name, platform):
            return record
        from chrun.store.lookup import look_up  # reads JSON, which is slow to import

        signature, record = look_up(self.layout, name, platform)
        if record:
            keep_record(self.layout, name, platform, signature, record)
        return record


def open_store(root: str, *, create: bool) -> Store:
    """Open a data directory, or make one where there is none.

    StoreError when it cannot be read or made, is of a newer version, or is not a store; without
    `create` also when it is missing. A store belongs to one user: what it keeps is believed.
    """
    root = os.path.abspath(root)
    layout = Layout(root)
    version = _read_version(layout)
    if version in ("", _UNFINISHED):
        if not create:
            raise StoreError(f"cannot open the store {root}: there is none")
        _make(layout)
    elif version != str(VERSION):
        raise StoreError(
            f"cannot use the store {root}: it is of version {version}, expected {VERSION}",
            hint="a newer chrun made it: use that one, or another place with --root or CHRUN_HOME",
        )
    _check_owner(root)
    return Store(layout)


def _read_version(layout: Layout) -> str:
    """Give the store's version, "" for none: a symlink's text is made and read in one call."""
    try:
        return os.readlink(layout.marker_path)
    except FileNotFoundError:
        return ""
    except OSError as error:
        raise store_error(f"read the store {layout.root}", error) from error


def _check_owner(root: str) -> None:
    status = os.stat(root)
    if status.st_uid != os.geteuid() or status.st_mode & _OTHERS_MAY_WRITE:
        raise StoreError(
            f"cannot use the store {root}: users other than uid {os.geteuid()} can write to it",
            hint="a store belongs to one user: name another with --root or CHRUN_HOME",
        )


def _make(layout: Layout) -> None:
    try:
        os.makedirs(layout.root, mode=0o700, exist_ok=True)
        _check_owner(layout.root)
        _mark(layout)
        with hold(layout.root):
            if _read_version(layout) == _UNFINISHED:  # nobody else was quicker
                _fill(layout)
    except OSError as error:
        raise store_error(f"make the store {layout.root}", error) from error


def _mark(layout: Layout) -> None:
    """Say that the directory is chrun's before anything else is made in it."""
    names = set(os.listdir(layout.root)) - {"lost+found"}
    if os.path.islink(layout.marker_path):
        return
    if names:
        raise StoreError(
            f"cannot make a store in {layout.root}: it has files that are not chrun's",
            hint="name an empty or a new directory with --root or CHRUN_HOME",
        )
    try:
        os.symlink(_UNFINISHED, layout.marker_path)
    except FileExistsError:  # another chrun makes this store, too
        return


def _fill(layout: Layout) -> None:
    """Make what a store has, also where somebody was killed doing so, and mark it as finished."""
    for directory in layout.directories:
        os.makedirs(directory, mode=0o700, exist_ok=True)
    _make_mount_points(layout.mount_points_dir)
    for path, text in (
        (f"{layout.images_dir}/oci-layout", '{"imageLayoutVersion":"1.0.0"}'),
        (layout.index_path, '{"schemaVersion":2,"manifests":[]}'),
    ):
        with open(path, "w", encoding="ascii") as file:
            file.write(text)
    marker = f"{layout.partial_dir}/marker-{os.urandom(4).hex()}"
    os.symlink(str(VERSION), marker)
    os.replace(marker, layout.marker_path)


def _make_mount_points(layer_dir: str) -> None:
    """Make a layer of empty directories and files; an image's own, and their modes, hide them."""
    for name in _MOUNT_POINT_DIRECTORIES:
        directory = os.path.join(layer_dir, name)
        os.makedirs(directory, exist_ok=True)
        os.chmod(directory, _SEARCHED_MODE)  # whatever the umask
    for name in _MOUNT_POINT_FILES:
        with open(os.path.join(layer_dir, name), "wb") as file:
            os.fchmod(file.fileno(), 0o644)
