"""Named volumes: directories that outlive containers.

volumes/NAME/_data        what containers see
volumes/NAME/volume.json  when it was made, and its labels

A volume appears by rename, complete. While a container runs, it has the directory volumes/NAME
locked together with all others that use it; who fills an empty one has it alone.
"""

from __future__ import annotations

import os

from chrun.errors import ContentError, NoSuchVolumeError, UsageError
from chrun.store.access import make_directory
from chrun.store.faults import store_error
from chrun.store.locks import hold, try_hold
from chrun.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from chrun.store.layout import Layout
    from chrun.store.locks import Hold

_LETTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789")
_NAME_LENGTH = 255  # a file name's
_ID_BYTES = 32  # what docker's volumes without a name have
_DATA_MODE = 0o755
_STAGED = "filling-"
_UNFINISHED = ".tree"  # what clear_partial may discard


class Volume(Value):
    """A volume; `created` is a time in RFC 3339, `anonymous` says that chrun chose its name."""

    name: str
    data_dir: str
    created: str = ""
    labels: tuple[tuple[str, str], ...] = ()
    anonymous: bool = False


def check_volume_name(name: str, *, hint: str = "") -> None:
    """Refuse what docker refuses as a volume's name, and so whatever could lead elsewhere."""
    rest = _LETTERS | set("_.-")
    if len(name) > _NAME_LENGTH or name[:1] not in _LETTERS or not rest.issuperset(name):
        raise UsageError(
            f"cannot name a volume {name[:80]!r}: expected letters, digits, '_', '.' and '-', "
            "with a letter or digit first",
            hint=hint,
        )


def create_volume(
    layout: Layout, name: str = "", labels: Mapping[str, str] | None = None, *, time: str = ""
) -> str:
    """Make a volume, unless it is there already, and give its name; without one, choose it.

    `time` is now, in RFC 3339. The caller holds the store. UsageError for what is no name,
    StoreError when it cannot be made.
    """
    anonymous = not name
    name = name or os.urandom(_ID_BYTES).hex()
    check_volume_name(name)
    if has_volume(layout, name):
        return name
    staged = f"{layout.partial_dir}/volume-{os.urandom(8).hex()}{_UNFINISHED}"
    try:
        make_directory(layout.volumes_dir)
        make_directory(staged)
        make_directory(f"{staged}/_data", _DATA_MODE)
        _describe(staged, labels or {}, time, anonymous=anonymous)
        _rename_unless_there(layout, staged, name)
    except OSError as error:
        raise store_error(f"make the volume {name}", error) from error
    return name


def has_volume(layout: Layout, name: str) -> bool:
    """Say whether there is a volume of that name."""
    return os.path.isdir(layout.volume_data_dir(name))


def is_empty_volume(layout: Layout, name: str) -> bool:
    """Say whether a volume that is there has nothing in it yet."""
    return _is_empty(layout.volume_data_dir(name))


def load_volume(layout: Layout, name: str) -> Volume:
    """Read what is known of a volume; NoSuchVolumeError."""
    check_volume_name(name)
    if not has_volume(layout, name):
        raise NoSuchVolumeError(
            f"cannot find volume {name}: there is none", hint="chrun volume ls lists what is here"
        )
    from chrun.oci.document import Document

    data_dir, path = layout.volume_data_dir(name), f"{layout.volume_dir(name)}/volume.json"
    try:
        with open(path, "rb") as file:
            known = Document.parse(path, file.read())
        labels = tuple(known.mapping("labels").items())
        return Volume(
            name, data_dir, known.text("created"), labels, known.fields.get("anonymous") is True
        )
    except (OSError, ContentError):
        return Volume(name, data_dir)  # its data is what counts


def list_volumes(layout: Layout) -> tuple[Volume, ...]:
    """Give the volumes in the order of their names; StoreError when they cannot be read."""
    try:
        names = sorted(os.listdir(layout.volumes_dir))
    except FileNotFoundError:
        return ()
    except OSError as error:
        raise store_error(f"list the volumes in {layout.volumes_dir}", error) from error
    return tuple(load_volume(layout, name) for name in names if has_volume(layout, name))


def remove_volume(layout: Layout, name: str) -> None:
    """Take a volume out of sight; `removal.empty_trash` removes it. The caller saw it is unused."""
    from chrun.store.removal import discard

    discard(layout, layout.volume_dir(name))


def hold_volume(layout: Layout, name: str) -> tuple[Hold, bool]:
    """Lock a volume, and say whether alone: then it is empty, and the caller may fill it.

    Otherwise others may use it as well; `share` turns an exclusive lock into such a one.
    """
    directory = layout.volume_dir(name)
    try:
        alone = try_hold(directory)
        if alone is None:
            return hold(directory, shared=True), False  # waits for whoever fills it
        return alone, _is_to_be_filled(layout, name, alone)
    except OSError as error:
        raise store_error(f"lock the volume {name}", error) from error


def stage_content(layout: Layout, name: str) -> str:
    """Give the path of a directory, yet to be made, that can become a volume's content."""
    return f"{layout.volume_dir(name)}/{_STAGED}{os.urandom(8).hex()}"


def adopt_content(layout: Layout, name: str, staged: str) -> None:
    """Let a staged directory be a volume's content, if that is still empty (CVE-2020-1726)."""
    from chrun.store.durable import sync_file_system

    # A volume that is not empty is never filled again. The staged directory itself may belong to a
    # subordinate id, and cannot be opened then.
    sync_file_system(layout.volume_dir(name))
    os.rename(staged, layout.volume_data_dir(name))  # ENOTEMPTY, if it is not


def _is_to_be_filled(layout: Layout, name: str, alone: Hold) -> bool:
    """Say whether a volume is empty; the exclusive lock on it is shared where it is not."""
    try:
        empty = _is_empty(layout.volume_data_dir(name))
        if empty:
            _forget_staged(layout, layout.volume_dir(name))
        else:
            alone.share()
    except BaseException:
        alone.release()
        raise
    return empty


def _is_empty(data_dir: str) -> bool:
    try:
        return not os.listdir(data_dir)
    except PermissionError:  # it was given to a subordinate id: with what the image had there
        return False


def _describe(staged: str, labels: Mapping[str, str], time: str, *, anonymous: bool) -> None:
    import json

    from chrun.store.durable import write_synced

    known = {"created": time, "labels": dict(labels), "anonymous": anonymous}
    write_synced(f"{staged}/volume.json", json.dumps(known, indent=1).encode())


def _rename_unless_there(layout: Layout, staged: str, name: str) -> None:
    try:
        os.rename(staged, layout.volume_dir(name))
    except OSError:
        from chrun.store.removal import discard

        discard(layout, staged)
        if not has_volume(layout, name):
            raise


def _forget_staged(layout: Layout, directory: str) -> None:
    """Discard what somebody was killed over."""
    for name in os.listdir(directory):
        if name.startswith(_STAGED):
            from chrun.store.removal import discard

            discard(layout, f"{directory}/{name}")
