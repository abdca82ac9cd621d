"""A directory of an image, found in its layers without mounting them, and copied out of them."""

from __future__ import annotations

import errno
import os
import stat

from chrun.errors import RootfsError
from chrun.rootfs.copy import copy_directories
from chrun.rootfs.whiteouts import is_opaque

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_MAX_LINKS = 40  # as the kernel's own path walk


def copy_subtree(layers: Sequence[str], path: str, target: str) -> bool:
    """Copy what stacked layers (base first) show at an absolute path into a new directory.

    With owners, modes, times and extended attributes, also of the directory itself; False, and
    nothing is made, where they show no directory. Symlinks are resolved among the layers and never
    lead out of them (CVE-2022-23648); RootfsError when something cannot be read or written.
    """
    try:
        found = _Finder(layers).find(path)
    except OSError as error:
        raise RootfsError(f"cannot find {path} in the image: {_reason(error)}") from error
    try:
        if found:
            copy_directories(found, target)
    finally:
        for fd in found:
            os.close(fd)
    return bool(found)


def _reason(error: OSError) -> str:
    return (error.strerror or str(error)).lower()


class _Finder:
    """Walks a path through all layers at once, one name at a time, by descriptors."""

    def __init__(self, layers: Sequence[str]) -> None:
        self._layers = layers
        self._links = 0
        self._here: list[int] = []  # topmost first
        self._done: list[str] = []
        self._left: list[str] = []  # what comes next is last

    def find(self, path: str) -> list[int]:
        """Give the directories, base first, that together are what is at a path; [] for none."""
        self._restart(_names(path))
        try:
            while self._left and self._here:
                self._step(self._left.pop())
        except BaseException:
            _close(self._here)
            raise
        return self._here[::-1]

    def _step(self, name: str) -> None:
        if name == "..":  # not the directory's own, which may lie anywhere: from the start again
            self._restart(self._done[:-1])
            return
        below, link = _enter(self._here, name)
        if link is None:
            _close(self._here)
            self._here = below
            self._done.append(name)
            return
        self._links += 1
        if self._links > _MAX_LINKS:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
        if link.startswith("/"):
            self._restart([])
        self._left += reversed(_names(link))

    def _restart(self, names: Sequence[str]) -> None:
        """Go back to the root, with these names to walk before those that are left."""
        _close(self._here)
        self._here, self._done = [], []
        self._left += reversed(names)
        for layer in reversed(self._layers):
            self._here.append(os.open(layer, _DIRECTORY))


def _names(path: str) -> list[str]:
    return [name for name in path.split("/") if name not in {"", "."}]


def _enter(here: list[int], name: str) -> tuple[list[int], str | None]:
    """Look a name up in directories, topmost first: those of it, or what it links to."""
    found: list[int] = []
    try:
        for fd in here:
            try:
                status = os.stat(name, dir_fd=fd, follow_symlinks=False)
            except FileNotFoundError:
                continue
            if stat.S_ISLNK(status.st_mode) and not found:
                return [], os.readlink(name, dir_fd=fd)
            if not stat.S_ISDIR(status.st_mode):  # a whiteout, or what hides all below as well
                break
            found.append(os.open(name, _DIRECTORY, dir_fd=fd))
            if is_opaque(found[-1]):
                break
    except BaseException:
        _close(found)
        raise
    return found, None


def _close(fds: list[int]) -> None:
    for fd in fds:
        os.close(fd)
