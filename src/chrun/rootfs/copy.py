"""Layers copied together into one directory, for machines and rungs without overlayfs.

Where the file system can share blocks between files (btrfs, XFS, bcachefs) a copy costs no space
until it is changed; everywhere else the bytes are copied inside the kernel.
"""

from __future__ import annotations

import errno
import os
import stat
from fcntl import ioctl

from chrun.errors import RootfsError
from chrun.rootfs.removal import clear_directory, remove_tree
from chrun.rootfs.whiteouts import is_opaque, is_whiteout

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    # A descriptor, or /proc/self/fd/N for what must not be opened.
    Target = int | str

_FICLONE = 0x40049409  # linux/fs.h
_BLOCK_BYTES = 512  # the unit of st_blocks
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
_OLD_FILE = os.O_RDONLY | os.O_NOFOLLOW
_NEW_FILE = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
_HELD = os.O_PATH | os.O_NOFOLLOW
_WORKING_MODE = 0o700
_NEW_MODE = 0o600
_OVERLAY_XATTRS = ("trusted.overlay.", "user.overlay.")
_UNSUPPORTED = (errno.ENOTSUP, errno.EPERM)
_NOT_HIS = (errno.EPERM, errno.EINVAL)
# How file systems say that they cannot do it between these two files.
_NO_CLONE = (errno.EOPNOTSUPP, errno.ENOTTY, errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EPERM)
_NO_RANGE = (errno.EOPNOTSUPP, errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EPERM)


def copy_layers(layers: Sequence[str], root: str) -> None:
    """Copy layers, base first, over one another into a new directory, `root`.

    Whiteouts and opaque directories take away what the layers below brought; hard links within a
    layer, sparse files, owners, modes, times and extended attributes are kept. Owners that this
    user cannot give away become his. RootfsError when a file cannot be read or written, or
    nothing there could be executed.
    """
    source = ""
    try:
        os.mkdir(root)
        _check_executable(root)
        for source in layers:
            _copy_layer(source, root)
    except OSError as error:
        happened = (error.strerror or str(error)).lower()
        raise RootfsError(f"cannot copy {source or 'layers'} to {root}: {happened}") from error
    except RecursionError as error:
        raise RootfsError(f"cannot copy {source}: its directories are too deep") from error


def copy_directories(sources: Sequence[int], root: str) -> None:
    """Copy open directories, base first, as `copy_layers` does layers; RootfsError."""
    try:
        os.mkdir(root)
        for source in sources:
            _copy_into(source, root)
    except OSError as error:
        happened = (error.strerror or str(error)).lower()
        raise RootfsError(f"cannot copy a directory to {root}: {happened}") from error
    except RecursionError as error:
        raise RootfsError(f"cannot copy to {root}: directories are too deep") from error


def _check_executable(root: str) -> None:
    """Refuse a mount with noexec: a container's root is that mount, where an overlay is its own."""
    if os.statvfs(root).f_flag & os.ST_NOEXEC:
        raise RootfsError(
            f"cannot run a copy of the image in {root}: the file system is mounted noexec",
            hint="choose another place with --root or CHRUN_HOME, or use --rootfs overlay",
        )


def _copy_layer(layer: str, root: str) -> None:
    source = os.open(layer, os.O_RDONLY | os.O_DIRECTORY)
    try:
        _copy_into(source, root)
    finally:
        os.close(source)


def _copy_into(source: int, root: str) -> None:
    target = os.open(root, _DIRECTORY)
    try:
        _Copier(target).copy_directory(source, target, "")
    finally:
        os.close(target)


class _Copier:
    """Copies one layer; knows the names it gave to files that have several."""

    def __init__(self, root_fd: int) -> None:
        self._root_fd = root_fd
        self._names: dict[tuple[int, int], str] = {}
        self._can_clone = True

    def copy_directory(self, source: int, target: int, path: str) -> None:
        """Copy what an open directory holds and then, for children change it, what it is."""
        os.fchmod(target, _WORKING_MODE)
        if is_opaque(source):
            clear_directory(target)
        with os.scandir(source) as found:
            for entry in found:
                status = entry.stat(follow_symlinks=False)
                self._copy(source, target, entry.name, status, f"{path}{entry.name}")
        _describe(source, target, os.fstat(source))

    def _copy(self, source: int, target: int, name: str, status: os.stat_result, path: str) -> None:
        if stat.S_ISDIR(status.st_mode):
            self._merge_directory(source, target, name, path)
        elif is_whiteout(name, status, dir_fd=source):
            _remove(target, name)
        elif not stat.S_ISSOCK(status.st_mode):  # nobody listens on a copy
            try:
                self._make(source, target, name, status, path)
            except FileExistsError:
                _remove(target, name)
                self._make(source, target, name, status, path)

    def _merge_directory(self, source: int, target: int, name: str, path: str) -> None:
        try:
            os.mkdir(name, _WORKING_MODE, dir_fd=target)
        except FileExistsError:
            status = os.stat(name, dir_fd=target, follow_symlinks=False)
            if not stat.S_ISDIR(status.st_mode):
                os.unlink(name, dir_fd=target)
                os.mkdir(name, _WORKING_MODE, dir_fd=target)
        source_fd = os.open(name, _DIRECTORY, dir_fd=source)
        try:
            target_fd = os.open(name, _DIRECTORY, dir_fd=target)
            try:
                self.copy_directory(source_fd, target_fd, f"{path}/")
            finally:
                os.close(target_fd)
        finally:
            os.close(source_fd)

    def _make(self, source: int, target: int, name: str, status: os.stat_result, path: str) -> None:
        inode = (status.st_dev, status.st_ino)
        if status.st_nlink > 1 and (made := self._names.get(inode)):
            # All of `made` but the name itself are directories that this object made.
            os.link(made, name, src_dir_fd=self._root_fd, dst_dir_fd=target, follow_symlinks=False)
            return
        if stat.S_ISREG(status.st_mode):
            self._copy_file(source, target, name, status)
        else:
            _copy_special(source, target, name, status)
        if status.st_nlink > 1:
            self._names[inode] = path

    def _copy_file(self, source: int, target: int, name: str, status: os.stat_result) -> None:
        source_fd = os.open(name, _OLD_FILE, dir_fd=source)
        try:
            target_fd = os.open(name, _NEW_FILE, _NEW_MODE, dir_fd=target)
            try:
                if status.st_size and not self._clone(source_fd, target_fd):
                    _copy_bytes(source_fd, target_fd, status)
                _describe(source_fd, target_fd, status)
            finally:
                os.close(target_fd)
        finally:
            os.close(source_fd)

    def _clone(self, source_fd: int, target_fd: int) -> bool:
        if self._can_clone:
            try:
                ioctl(target_fd, _FICLONE, source_fd)
            except OSError as error:
                if error.errno not in _NO_CLONE:
                    raise
                self._can_clone = False
        return self._can_clone


def _remove(target: int, name: str) -> None:
    """Remove what a lower layer brought, if it did."""
    try:
        os.unlink(name, dir_fd=target)
    except FileNotFoundError:
        return
    except IsADirectoryError:
        remove_tree(name, dir_fd=target)


def _copy_special(source: int, target: int, name: str, status: os.stat_result) -> None:
    """Copy a symlink, FIFO or device, by descriptors that do not open it."""
    if stat.S_ISLNK(status.st_mode):
        os.symlink(os.readlink(name, dir_fd=source), name, dir_fd=target)
    else:
        os.mknod(name, stat.S_IFMT(status.st_mode) | _NEW_MODE, status.st_rdev, dir_fd=target)
    source_fd = os.open(name, _HELD, dir_fd=source)
    try:
        target_fd = os.open(name, _HELD, dir_fd=target)
        try:
            _describe(f"/proc/self/fd/{source_fd}", f"/proc/self/fd/{target_fd}", status)
        finally:
            os.close(target_fd)
    finally:
        os.close(source_fd)


def _describe(source: Target, target: Target, status: os.stat_result) -> None:
    """Set owner, attributes, mode and times, in this order: each would spoil those behind it."""
    _set_owner(target, status)
    for name in _xattrs(source):
        if not name.startswith(_OVERLAY_XATTRS):
            _copy_xattr(source, target, name)
    if not stat.S_ISLNK(status.st_mode):  # Linux links have no mode
        os.chmod(target, stat.S_IMODE(status.st_mode))
    os.utime(target, ns=(status.st_atime_ns, status.st_mtime_ns))


def _set_owner(target: Target, status: os.stat_result) -> None:
    made = os.stat(target)
    if (made.st_uid, made.st_gid) != (status.st_uid, status.st_gid):
        try:
            os.chown(target, status.st_uid, status.st_gid)
        except OSError as error:
            # An ordinary user, or one for whom this user namespace has no number
            if error.errno not in _NOT_HIS:
                raise


def _xattrs(source: Target) -> list[str]:
    try:
        return os.listxattr(source)
    except OSError as error:
        if error.errno not in _UNSUPPORTED:
            raise
        return []


def _copy_xattr(source: Target, target: Target, name: str) -> None:
    try:
        os.setxattr(target, name, os.getxattr(source, name))
    except OSError as error:
        if error.errno not in _UNSUPPORTED:
            raise


def _copy_bytes(source_fd: int, target_fd: int, status: os.stat_result) -> None:
    for offset, length in _extents(source_fd, status):
        _copy_extent(source_fd, target_fd, offset, length)
    os.ftruncate(target_fd, status.st_size)


def _extents(fd: int, status: os.stat_result) -> Iterator[tuple[int, int]]:
    """Give offset and length of what is not a hole."""
    if status.st_blocks * _BLOCK_BYTES >= status.st_size:
        yield 0, status.st_size
        return
    end = 0
    while end < status.st_size:
        try:
            start = os.lseek(fd, end, os.SEEK_DATA)
        except OSError as error:
            if error.errno != errno.ENXIO:  # nothing but a hole is left
                raise
            return
        end = os.lseek(fd, start, os.SEEK_HOLE)
        yield start, end - start


def _copy_extent(source_fd: int, target_fd: int, offset: int, length: int) -> None:
    end = offset + length
    while offset < end:
        copied = _copy_some(source_fd, target_fd, offset, end - offset)
        if not copied:
            raise OSError(errno.EIO, "it became shorter while it was read")
        offset += copied


def _copy_some(source_fd: int, target_fd: int, offset: int, most: int) -> int:
    try:
        return os.copy_file_range(source_fd, target_fd, most, offset, offset)
    except OSError as error:
        if error.errno not in _NO_RANGE:
            raise
    os.lseek(target_fd, offset, os.SEEK_SET)
    return os.sendfile(target_fd, source_fd, offset, most)
