"""Opening a data directory."""

from __future__ import annotations

import os

from chrun.errors import StoreError
from chrun.store.access import make_directory, open_own, walk
from chrun.store.faults import store_error
from chrun.store.layout import Layout
from chrun.store.locks import Hold, hold
from chrun.store.records import find_kept_record, keep_record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from chrun.store.access import Access
    from chrun.store.records import ImageRecord

VERSION = 2  # since then the layers of every image are proved: contents.py
_UNFINISHED = "being made"

_SEARCHED_MODE = 0o755  # all users of a container pass through what an image lacks
_READ_MODE = 0o644

# What chrun mounts on in every container
_MOUNT_POINT_DIRECTORIES = ("dev", "etc", "proc", "sys")
_MOUNT_POINT_FILES = ("etc/hostname", "etc/hosts", "etc/resolv.conf")


class Store:
    """An open data directory; made by `open_store`. `warning` is what a user should know, or ""."""

    def __init__(self, layout: Layout, warning: str = "") -> None:
        self.layout = layout
        self.warning = warning

    def with_room(self, room: str) -> Store:
        """Give the same store, with its layers in another room."""
        return Store(self.layout.replace(room=room), self.warning)

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

    StoreError when it cannot be read or made, is of another version, or is not a store; without
    `create` also when it is missing. A store belongs to one user: what it keeps is believed, unless
    another user could replace it. StoreError if that is so and the caller is root.
    """
    root = os.path.abspath(root)
    access = _reach(root, create=create)
    layout = Layout(root, keeps_answers=access.safe)
    version = _read_version(layout)
    if version in ("", _UNFINISHED):
        if not create:
            raise _missing(root)
        _make(layout)
    elif version != str(VERSION):
        raise StoreError(
            f"cannot use the store {root}: it is of version {version}, expected {VERSION}",
            hint="another chrun made it: use that one, or another place with --root or CHRUN_HOME",
        )
    return Store(layout, access.warning)


def _reach(root: str, *, create: bool) -> Access:
    """Look at the path of the store, and with `create` make its directory where there is none."""
    try:
        return walk(root, make=create)
    except FileNotFoundError as error:
        if create:
            raise store_error(f"make the store {root}", error) from error
        raise _missing(root) from error
    except OSError as error:
        raise store_error(f"{'make' if create else 'read'} the store {root}", error) from error


def _missing(root: str) -> StoreError:
    return StoreError(f"cannot open the store {root}: there is none")


def _read_version(layout: Layout) -> str:
    """Give the store's version, "" for none: a symlink's text is made and read in one call."""
    try:
        return os.readlink(layout.marker_path)
    except FileNotFoundError:
        return ""
    except OSError as error:
        raise store_error(f"read the store {layout.root}", error) from error


def _make(layout: Layout) -> None:
    try:
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
        make_directory(directory)
    _make_mount_points(layout.mount_points_dir)
    for path, content in (
        (f"{layout.images_dir}/oci-layout", b'{"imageLayoutVersion":"1.0.0"}'),
        (layout.index_path, b'{"schemaVersion":2,"manifests":[]}'),
    ):
        with open_own(path) as file:
            file.write(content)
    marker = f"{layout.partial_dir}/marker-{os.urandom(4).hex()}"
    os.symlink(str(VERSION), marker)
    os.replace(marker, layout.marker_path)


def _make_mount_points(layer_dir: str) -> None:
    """Make a layer of empty directories and files; an image's own, and their modes, hide them."""
    for name in _MOUNT_POINT_DIRECTORIES:
        make_directory(os.path.join(layer_dir, name), _SEARCHED_MODE)
    for name in _MOUNT_POINT_FILES:
        open_own(os.path.join(layer_dir, name), _READ_MODE).close()
