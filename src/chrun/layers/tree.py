"""Entries -> a directory: what an archive describes is made below one directory, and only there."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING, Self

from chrun.layers import metadata, tar
from chrun.layers.directories import Directories
from chrun.layers.faults import MalformedError, UnsafeError, shown
from chrun.layers.owners import Owners
from chrun.layers.whiteouts import PREFIX, read_mark
from chrun.rootfs.whiteouts import make_whiteout, mark_opaque

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from chrun.layers.directories import Directory
    from chrun.layers.sparse import Sparse
    from chrun.layers.stream import Stream
    from chrun.layers.tar import Entry
    from chrun.layers.whiteouts import Mark

_NEW_MODE = 0o600
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
_MOST_PATH_BYTES = 4095  # longer ones are of no use to anybody (PATH_MAX)
_FILE_TYPES = {
    tar.CHARACTER_DEVICE: stat.S_IFCHR,
    tar.BLOCK_DEVICE: stat.S_IFBLK,
    tar.FIFO: stat.S_IFIFO,
}
_CALLER_DIRECTORY = stat.S_IRUSR | stat.S_IXUSR
_MOST_MAJOR, _MOST_MINOR = (1 << 12) - 1, (1 << 20) - 1


class Tree:
    """Unpacks into an existing directory; a context manager, which settles the directories.

    With `whiteouts`, names that begin with `.wh.` take away; without, they are names.
    """

    def __init__(self, directory: str, owners: Owners, *, whiteouts: bool) -> None:
        self._owners = owners
        self._whiteouts = whiteouts
        self._directories = Directories(directory, owners, whiteouts=whiteouts)
        self._file_mode = stat.S_IRUSR if owners is Owners.CALLER else 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None:
            self._directories.close()
        else:
            self._directories.abandon()

    def add(self, entry: Entry, stream: Stream) -> None:
        """Make what the entry describes, in the place of what an earlier one left there.

        MalformedError, UnsafeError and OSError say what is wrong with it.
        """
        path = clean_path(entry.name)
        if self._whiteouts and PREFIX in path and (mark := read_mark(path)):
            self._take_away(mark)
        elif entry.kind == tar.DIRECTORY:
            self._make_directory(path, entry)
        elif not path:
            raise UnsafeError("it makes its top directory something else")  # CVE-2021-29136
        elif entry.kind == tar.HARD_LINK:
            self._make_hard_link(path, clean_path(entry.link))
        else:
            self._place(path, lambda parent, name: self._make(parent, name, entry, stream))

    def _make_directory(self, path: bytes, entry: Entry) -> None:
        directory = self._directories.make(path)
        if path or self._owners is not Owners.MAPPED:
            metadata.set_owner(directory.fd, entry.uid, entry.gid, self._owners)
        metadata.set_xattrs(directory.fd, entry.xattrs, self._owners)
        directory.mode = entry.mode
        if self._owners is not Owners.IMAGE and not path:
            directory.mode |= stat.S_IRWXU
        elif self._owners is Owners.CALLER:
            directory.mode |= _CALLER_DIRECTORY
        directory.mtime_ns = entry.mtime_ns

    def _place(self, path: bytes, make: Callable[[Directory, bytes], None]) -> None:
        """Have something made under a path, in the place of what an earlier entry left there."""
        parent_path, _, name = path.rpartition(b"/")
        parent = self._directories.enter(parent_path)
        try:
            make(parent, name)
        except FileExistsError:
            self._directories.remove(parent, name)
            make(self._directories.enter(parent_path), name)

    def _make(self, parent: Directory, name: bytes, entry: Entry, stream: Stream) -> None:
        if entry.kind == tar.REGULAR:
            self._make_file(parent, name, entry, stream)
        elif entry.kind == tar.SYMLINK:
            self._make_symlink(parent, name, entry)
        elif self._owners is not Owners.IMAGE and entry.kind != tar.FIFO:
            self._make_file(parent, name, entry, stream)
        else:
            self._make_special(parent, name, entry)

    def _make_file(self, parent: Directory, name: bytes, entry: Entry, stream: Stream) -> None:
        fd = os.open(name, _NEW_FILE, _NEW_MODE, dir_fd=parent.fd)
        try:
            if entry.holes:
                _write_extents(fd, entry.holes, stream)
            else:
                _write(fd, entry.size, stream)
            metadata.set_owner(fd, entry.uid, entry.gid, self._owners)
            if entry.xattrs:
                metadata.set_xattrs(fd, entry.xattrs, self._owners)
            os.fchmod(fd, entry.mode | self._file_mode)
            metadata.set_time(fd, entry.mtime_ns)
        finally:
            os.close(fd)

    def _make_symlink(self, parent: Directory, name: bytes, entry: Entry) -> None:
        if not entry.link:
            raise MalformedError(f"{shown(entry.name)} is a symlink to nothing")
        os.symlink(entry.link, name, dir_fd=parent.fd)
        self._describe(parent, name, entry)

    def _make_special(self, parent: Directory, name: bytes, entry: Entry) -> None:
        major, minor = entry.device
        if not (0 <= major <= _MOST_MAJOR and 0 <= minor <= _MOST_MINOR):
            raise MalformedError(f"{shown(entry.name)} has no device's numbers: {major}:{minor}")
        mode = _FILE_TYPES[entry.kind] | _NEW_MODE
        os.mknod(name, mode, os.makedev(major, minor), dir_fd=parent.fd)
        self._describe(parent, name, entry)

    def _describe(self, parent: Directory, name: bytes, entry: Entry) -> None:
        """Set owner, attributes, mode and time of what must not be opened.

        A path descriptor holds on to the thing itself, whatever its name means by then.
        """
        fd = os.open(name, os.O_PATH | os.O_NOFOLLOW, dir_fd=parent.fd)
        try:
            held = f"/proc/self/fd/{fd}"
            metadata.set_owner(held, entry.uid, entry.gid, self._owners)
            metadata.set_xattrs(held, entry.xattrs, self._owners)
            if entry.kind != tar.SYMLINK:  # Linux links have no mode
                os.chmod(held, entry.mode | self._file_mode)
            metadata.set_time(held, entry.mtime_ns)
        finally:
            os.close(fd)

    def _make_hard_link(self, path: bytes, target: bytes) -> None:
        """Give a file of this layer one more name; owner and mode are the file's already."""
        if path == target:
            return
        if not target:
            raise MalformedError(f"{shown(path)} is a hard link to nothing")
        target_parent, _, target_name = target.rpartition(b"/")
        source = self._directories.enter(target_parent)
        if source.path != target_parent:
            raise UnsafeError(f"{shown(path)} is a hard link to {shown(target)}, through a symlink")
        source_fd = os.dup(source.fd)  # the next directory may close this one
        try:
            status = os.stat(target_name, dir_fd=source_fd, follow_symlinks=False)
            if stat.S_ISDIR(status.st_mode):
                raise MalformedError(
                    f"{shown(path)} is a hard link to a directory, {shown(target)}"
                )
            self._place(
                path,
                lambda parent, name: os.link(
                    target_name,
                    name,
                    src_dir_fd=source_fd,
                    dst_dir_fd=parent.fd,
                    follow_symlinks=False,
                ),
            )
        except FileNotFoundError as error:
            raise MalformedError(
                f"{shown(path)} is a hard link to {shown(target)}, which the layer does not have"
            ) from error
        finally:
            os.close(source_fd)

    def _take_away(self, mark: Mark) -> None:
        """Hide what lower layers have; what this layer has, before or after, stays."""
        if mark.meaning == "opaque":
            mark_opaque(self._directories.enter(mark.path).fd)
        elif mark.meaning == "hidden":
            parent_path, _, name = mark.path.rpartition(b"/")
            parent = self._directories.enter(parent_path)
            try:
                make_whiteout(name, dir_fd=parent.fd)
            except FileExistsError:
                status = os.stat(name, dir_fd=parent.fd, follow_symlinks=False)
                if stat.S_ISDIR(status.st_mode):
                    mark_opaque(self._directories.enter(mark.path).fd)


def clean_path(name: bytes) -> bytes:
    """Give a name as a path from the layer's top, without `.`, `..` and needless slashes.

    b"" is the top itself. UnsafeError for a name that leads above it.
    """
    if len(name) > _MOST_PATH_BYTES:
        raise UnsafeError(f"a name of {len(name)} bytes")
    if b"/." not in name and b"//" not in name and name[:1] not in b"./":
        return name.removesuffix(b"/")
    parts: list[bytes] = []
    for part in name.split(b"/"):
        if part == b"..":
            if not parts:
                raise UnsafeError(f"{shown(name)} leaves the layer")
            parts.pop()
        elif part not in (b"", b"."):
            parts.append(part)
    return b"/".join(parts)


def _write(fd: int, size: int, stream: Stream) -> None:
    while size:
        data = stream.some(size)
        size -= len(data)
        while data:
            data = data[os.write(fd, data) :]


def _write_extents(fd: int, holes: Sparse, stream: Stream) -> None:
    for offset, length in holes.extents:
        os.lseek(fd, offset, os.SEEK_SET)
        _write(fd, length, stream)
    os.ftruncate(fd, holes.size)
