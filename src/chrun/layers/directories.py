"""The directories of a layer that is being unpacked, reached by descriptors only.

No path is handed to the kernel: one component after the other is opened, never through a symlink,
so that neither a layer nor a process that renames things meanwhile can lead outside
(CVE-2025-47290). A symlink that the layer itself put on the way is resolved here, with the layer
as its root. Neighbours in an archive share their directory, so a few are kept open.
"""

from __future__ import annotations

import errno
import os
import stat
from typing import TYPE_CHECKING

from chrun.layers.faults import MalformedError, UnsafeError, shown
from chrun.layers.metadata import set_owner, set_time
from chrun.rootfs.removal import remove_tree
from chrun.rootfs.whiteouts import is_whiteout, mark_opaque

if TYPE_CHECKING:
    from chrun.layers.owners import Owners

_OPEN = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
_NOT_A_DIRECTORY = (errno.ENOTDIR, errno.ELOOP)
_MOST_OPEN = 32
_MOST_LINKS = 40  # as the kernel
MOST_LEVELS = 256
_WORKING_MODE = 0o700
_IMPLIED_MODE = 0o755


class Directory:
    """An open directory, and the mode and time that it gets once nothing more changes it."""

    __slots__ = ("fd", "mode", "mtime_ns", "path")

    def __init__(self, path: bytes, fd: int, mode: int, mtime_ns: int) -> None:
        self.path = path
        self.fd = fd
        self.mode = mode
        self.mtime_ns = mtime_ns

    def child_path(self, name: bytes) -> bytes:
        """Give the path, from the layer's top, of a name in this directory."""
        return self.path + b"/" + name if self.path else name

    def settle(self) -> None:
        """Give it the mode and time that it is to keep."""
        if self.mode != _WORKING_MODE:
            os.fchmod(self.fd, self.mode)
        set_time(self.fd, self.mtime_ns)


class Directories:
    """Opens and makes directories below `top`; every method may raise OSError.

    A Directory that a method gives is valid until the next call.
    """

    def __init__(self, top: str, owners: Owners, *, whiteouts: bool) -> None:
        self._owners = owners
        self._whiteouts = whiteouts
        self._open: dict[bytes, Directory] = {}
        self.top = Directory(b"", os.open(top, _OPEN), _IMPLIED_MODE, 0)
        try:
            os.fchmod(self.top.fd, _WORKING_MODE)
            set_owner(self.top.fd, 0, 0, owners)
        except BaseException:
            self.abandon()
            raise

    def close(self) -> None:
        """Settle all directories."""
        try:
            self.settle()
            self.top.settle()
        finally:
            self.abandon()

    def abandon(self) -> None:
        """Let go of all directories as they are."""
        for directory in (self.top, *self._open.values()):
            os.close(directory.fd)
        self._open.clear()

    def settle(self) -> None:
        """Settle and close all but the top."""
        while self._open:
            self._settle_oldest()

    def enter(self, path: bytes) -> Directory:
        """Open the directory that a clean path leads to; what is missing is made.

        A directory that only other entries imply belongs to root, has mode 0755 and the time 0.
        """
        if not path:
            return self.top
        if found := self._recent(path):
            return found
        here, links = self.top, 0
        pending = path.split(b"/")[::-1]
        while pending:
            name = pending.pop()
            if name == b"..":  # of a symlink; what `here` is called has no symlinks
                pending += here.path.split(b"/")[-2::-1]
                here = self.top
            elif name and name != b".":
                if child := self._child(here, name):
                    here = child
                    continue
                links += 1
                target = self._link_target(here, name)
                if links > _MOST_LINKS:
                    raise UnsafeError(f"{shown(path)} leads through too many symlinks")
                pending += target.split(b"/")[::-1]
                here = self.top if target.startswith(b"/") else here
        return here

    def make(self, path: bytes) -> Directory:
        """Open the directory that has exactly this clean path, in the place of anything else."""
        if not path:
            return self.top
        parent_path, _, name = path.rpartition(b"/")
        parent = self.enter(parent_path)
        if child := self._child(parent, name):
            return child
        os.unlink(name, dir_fd=parent.fd)
        return self._new(parent, name)

    def remove(self, parent: Directory, name: bytes) -> None:
        """Remove whatever has a name; afterwards no Directory given before is valid."""
        try:
            os.unlink(name, dir_fd=parent.fd)
        except IsADirectoryError:
            parent_fd = os.dup(parent.fd)
            try:
                self.settle()  # what is open may be below it
                remove_tree(name, dir_fd=parent_fd)
            finally:
                os.close(parent_fd)

    def _child(self, here: Directory, name: bytes) -> Directory | None:
        """Open or make a directory; None when a symlink or file has its name."""
        path = here.child_path(name)
        if found := self._recent(path):
            return found
        try:
            fd = os.open(name, _OPEN, dir_fd=here.fd)
        except FileNotFoundError:
            return self._new(here, name)
        except OSError as error:
            if error.errno not in _NOT_A_DIRECTORY:
                raise
            return self._in_place_of_whiteout(here, name)
        status = os.fstat(fd)
        mode = stat.S_IMODE(status.st_mode)
        directory = self._keep(Directory(path, fd, mode, status.st_mtime_ns))
        # Its owner must be able to write, and set-group-id would give new files another group.
        if mode != _WORKING_MODE:
            os.fchmod(fd, _WORKING_MODE)
        return directory

    def _new(self, here: Directory, name: bytes) -> Directory:
        path = here.child_path(name)
        if path.count(b"/") >= MOST_LEVELS:
            raise UnsafeError(f"{shown(path)} is more than {MOST_LEVELS} levels deep")
        os.mkdir(name, _WORKING_MODE, dir_fd=here.fd)
        fd = os.open(name, _OPEN, dir_fd=here.fd)
        directory = self._keep(Directory(path, fd, _IMPLIED_MODE, 0))
        set_owner(fd, 0, 0, self._owners)
        return directory

    def _recent(self, path: bytes) -> Directory | None:
        """Give the directory if it is open, as the one that is closed last."""
        if found := self._open.pop(path, None):
            self._open[path] = found
        return found

    def _keep(self, directory: Directory) -> Directory:
        if len(self._open) >= _MOST_OPEN:
            self._settle_oldest()
        self._open[directory.path] = directory
        return directory

    def _settle_oldest(self) -> None:
        directory = self._open[next(iter(self._open))]
        directory.settle()
        del self._open[directory.path]
        os.close(directory.fd)

    def _in_place_of_whiteout(self, here: Directory, name: bytes) -> Directory | None:
        """Make a directory whose lower namesake the same layer hides: it begins empty."""
        status = os.stat(name, dir_fd=here.fd, follow_symlinks=False)
        if not self._whiteouts or not is_whiteout(name, status, dir_fd=here.fd):
            return None
        os.unlink(name, dir_fd=here.fd)
        directory = self._new(here, name)
        mark_opaque(directory.fd)
        return directory

    def _link_target(self, here: Directory, name: bytes) -> bytes:
        try:
            return os.readlink(name, dir_fd=here.fd)
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
            path = shown(here.child_path(name))
            raise MalformedError(f"{path} is used as a directory, but is none") from error
