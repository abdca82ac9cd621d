"""Removing trees: out of sight at once, by one rename; then out of existence.

What is to go is renamed into trash/ and removed from there: nothing is ever half removed under its
name, a process that is killed leaves the rest in the trash, and the only place where chrun deletes
trees is one that it made itself.
"""

from __future__ import annotations

import errno
import os
import stat

from chrun.errors import StoreError
from chrun.store.faults import store_error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from chrun.store.layout import Layout

_BLOCK_BYTES = 512  # the unit of st_blocks
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# Another process that empties the trash was here, or is: what is left is looked at again.
_SHARED = (errno.ENOENT, errno.ENOTEMPTY)


def discard(layout: Layout, path: str) -> None:
    """Take a name of the store out of sight; `empty_trash` does the work. A no-op without it."""
    try:
        os.rename(path, f"{layout.trash_dir}/{_fresh_name()}")
    except FileNotFoundError:
        return
    except OSError as error:
        raise store_error(f"remove {path}", error) from error


def empty_trash(layout: Layout) -> int:
    """Remove what was discarded, and give the bytes of disk space that it took.

    By descriptors, never through a symlink nor into a mount (whose rename the kernel refuses). A
    directory found in a discarded one is moved up beside it, so that no depth needs more than two
    descriptors. Several processes may do this at once. StoreError, when all else is removed, for
    what cannot be.
    """
    freed, stuck = try_empty_trash(layout)
    if stuck:
        raise StoreError(f"cannot remove {stuck}")
    return freed


def try_empty_trash(layout: Layout) -> tuple[int, str]:
    """Do what `empty_trash` does; gives bytes, and what could not be removed and why, or ""."""
    _check_marker(layout)
    try:
        return _empty(layout)
    except OSError as error:
        raise store_error(f"empty {layout.trash_dir}", error) from error


def _empty(layout: Layout) -> tuple[int, str]:
    freed, stuck = 0, ""
    trash_fd = os.open(layout.trash_dir, _DIRECTORY)
    try:
        hopeless: set[str] = set()
        while names := [name for name in os.listdir(trash_fd) if name not in hopeless]:
            for name in names:
                try:
                    freed += _remove(trash_fd, name)
                except OSError as error:
                    hopeless.add(name)
                    stuck = f"{layout.trash_dir}/{name}: {(error.strerror or '').lower()}"
    finally:
        os.close(trash_fd)
    return freed, stuck


def _check_marker(layout: Layout) -> None:
    """Deletion is possible only in a store: a wrong root must not cost anybody's files."""
    if not os.path.islink(layout.marker_path):
        raise StoreError(f"cannot remove anything below {layout.root}: it is not a chrun store")


def _fresh_name() -> str:
    return os.urandom(8).hex()


def _remove(trash_fd: int, name: str) -> int:
    """Remove one thing from the trash but for its subdirectories, which become trash themselves."""
    try:
        status = os.stat(name, dir_fd=trash_fd, follow_symlinks=False)
        if not stat.S_ISDIR(status.st_mode):
            os.unlink(name, dir_fd=trash_fd)
            return _disk_bytes(status)
        freed = _disk_bytes(status) + _clear(trash_fd, name)
        os.rmdir(name, dir_fd=trash_fd)
    except OSError as error:
        if error.errno in _SHARED:
            return 0
        raise
    return freed


def _clear(trash_fd: int, name: str) -> int:
    """Unlink the files of a directory and move its directories up into the trash."""
    fd = _open_directory(trash_fd, name)
    freed = 0
    try:
        with os.scandir(fd) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    _move_up(fd, entry.name, trash_fd)
                else:
                    freed += _unlink(fd, entry.name)
    finally:
        os.close(fd)
    return freed


def _unlink(fd: int, name: str) -> int:
    try:
        status = os.stat(name, dir_fd=fd, follow_symlinks=False)
        os.unlink(name, dir_fd=fd)
    except FileNotFoundError:
        return 0
    return _disk_bytes(status)


def _move_up(fd: int, name: str, trash_fd: int) -> None:
    try:
        try:
            os.rename(name, _fresh_name(), src_dir_fd=fd, dst_dir_fd=trash_fd)
        except PermissionError:  # a directory's ".." changes, for which it must be writable
            _make_writable(fd, name)
            os.rename(name, _fresh_name(), src_dir_fd=fd, dst_dir_fd=trash_fd)
    except FileNotFoundError:
        return


def _open_directory(parent_fd: int, name: str) -> int:
    """Open a directory to empty it; an ordinary user may have to permit that to himself first."""
    if os.geteuid() != 0:
        _make_writable(parent_fd, name)
    return os.open(name, _DIRECTORY, dir_fd=parent_fd)


def _make_writable(parent_fd: int, name: str) -> None:
    """Give the owner all rights on a directory, never on what a symlink leads to."""
    path_fd = os.open(name, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=parent_fd)
    try:
        if os.fstat(path_fd).st_mode & stat.S_IRWXU != stat.S_IRWXU:
            os.chmod(f"/proc/self/fd/{path_fd}", stat.S_IRWXU)  # chmod by O_PATH is not to be had
    finally:
        os.close(path_fd)


def _disk_bytes(status: os.stat_result) -> int:
    """Give the bytes that go with a name: none while a file has other names."""
    if status.st_nlink > 1 and not stat.S_ISDIR(status.st_mode):
        return 0
    return status.st_blocks * _BLOCK_BYTES
