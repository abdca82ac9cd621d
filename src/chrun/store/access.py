"""Which users can replace the store: the owners of every directory and symlink on its path.

The store of a user who can rename a directory above it is that user's to choose. As root, such a
directory is an error. For other users it may be a project's, which a group shares; then nothing
that was cached in the store is used.
"""

from __future__ import annotations

import errno
import os
import stat

from chrun.errors import StoreError
from chrun.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import BinaryIO

_NODE = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
_DIRECTORY = _NODE | os.O_DIRECTORY
_NO_DIRECTORY = (errno.ENOTDIR, errno.ELOOP)  # a symlink, or another file
_OWN = os.O_NOFOLLOW | os.O_NOCTTY | os.O_CLOEXEC
_MOST_LINKS = 40  # as the kernel has it: path_resolution(7)
_ANOTHER_PLACE = "name another place with --root or CHRUN_HOME"
_ALL_IDS = ["0", "0", "4294967295"]
_OVERFLOW_UID = 65534  # where the kernel names no other
_OTHERS_MAY_WRITE = stat.S_IWGRP | stat.S_IWOTH
OWN_MODE = 0o700
OWN_FILE_MODE = 0o600


class Access(Value):
    """The facts about a path.

    It is `safe` if no other user can replace it; if one can, `warning` says who, or is "" where
    nothing says who owns the path.
    """

    safe: bool = True
    warning: str = ""


def walk(root: str, *, make: bool, what: str = "the store", hint: str = _ANOTHER_PLACE) -> Access:
    """Go to the directory `root` component by component, and look at the owners on the way.

    With `make` missing directories are made, for the caller alone. `what` it is, and `hint`, are
    for errors. OSError; StoreError when another user owns the directory or can write to it, and
    when the caller is root and another user can replace a component: then nothing was made in it.
    """
    steps = _Walk(root, f"{what} {root}", hint, make=make)
    try:
        return steps.go()
    finally:
        os.close(steps.fd)


def make_directory(name: str, mode: int = OWN_MODE, *, dir_fd: int | None = None) -> None:
    """Make a directory, unless it is there, whose mode no umask changes."""
    try:
        os.mkdir(name, mode, dir_fd=dir_fd)
    except FileExistsError:
        return
    fd = os.open(name, _DIRECTORY, dir_fd=dir_fd)
    try:
        if os.fstat(fd).st_mode & 0o7777 != mode:
            os.chmod(f"/proc/self/fd/{fd}", mode)  # by an O_PATH descriptor there is no other way
    finally:
        os.close(fd)


def open_own(path: str, mode: int = OWN_FILE_MODE) -> BinaryIO:
    """Open a new file, or an emptied one, for writing; no umask changes its mode."""

    def opened(path: str, flags: int) -> int:
        return os.open(path, flags | _OWN, mode)

    file = open(path, "wb", opener=opened)  # noqa: SIM115 - the caller closes it
    os.fchmod(file.fileno(), mode)
    return file


class _Walk:
    """One way through the directories: `fd` is the one that was reached, `path` its path."""

    def __init__(self, root: str, what: str, hint: str, *, make: bool) -> None:
        self._root = root
        self._what = what
        self._hint = hint
        self._make = make
        self._access = Access()
        self._uid = os.geteuid()
        self._links = 0
        self._names = _reversed_names(root)
        self._path = "/"
        self.fd = os.open("/", _DIRECTORY)

    def go(self) -> Access:
        """Walk to the end."""
        while self._names:
            self._judge_directory(os.fstat(self.fd))
            name = self._names.pop()
            node = self._open(name)
            try:
                status = os.fstat(node)
                if stat.S_ISLNK(status.st_mode):
                    self._judge_owner(status, os.path.join(self._path, name))
                    self._follow(node)
                    continue
                if not stat.S_ISDIR(status.st_mode):
                    raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
                self.fd, node = node, self.fd
                self._path = os.path.normpath(os.path.join(self._path, name))
            finally:
                os.close(node)
        status = os.fstat(self.fd)
        if not os.path.samestat(status, os.stat(self._root)):
            raise StoreError(
                f"cannot use {self._what}: its path leads elsewhere than to {self._path}",
                hint=self._hint,
            )
        if status.st_uid != self._uid:
            raise StoreError(
                f"cannot use {self._what}: it belongs to uid {status.st_uid}, "
                f"not to uid {self._uid}",
                hint=self._hint,
            )
        if status.st_mode & _OTHERS_MAY_WRITE:
            raise StoreError(
                f"cannot use {self._what}: users other than uid {self._uid} can write to it",
                hint=f"run: chmod go-w {self._path}, or {self._hint}",
            )
        return self._access

    def _open(self, name: str) -> int:
        try:
            return self._open_existing(name)
        except FileNotFoundError:
            if not self._make:
                raise
        make_directory(name, dir_fd=self.fd)
        return self._open_existing(name)

    def _open_existing(self, name: str) -> int:
        """Open a component; only with O_DIRECTORY does the kernel mount what autofs has there."""
        try:
            return os.open(name, _DIRECTORY, dir_fd=self.fd)
        except OSError as error:
            if error.errno not in _NO_DIRECTORY:
                raise
        return os.open(name, _NODE, dir_fd=self.fd)

    def _follow(self, link_fd: int) -> None:
        self._links += 1
        if self._links > _MOST_LINKS:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
        target = os.readlink("", dir_fd=link_fd)
        self._names += _reversed_names(target)
        if target.startswith("/"):
            os.close(self.fd)
            self.fd, self._path = os.open("/", _DIRECTORY), "/"

    def _judge_directory(self, status: os.stat_result) -> None:
        """See whether another user can replace what is in a directory."""
        self._judge_owner(status, self._path)
        if status.st_mode & stat.S_ISVTX or not self._is_for_others(status):
            return
        mode = status.st_mode & 0o7777
        self._doubt(
            f"users other than uid {self._uid} can write to {self._path} (mode {mode:04o})",
            f", or run: chmod go-w {self._path}, or if it is shared: chmod +t {self._path}",
        )

    def _is_for_others(self, status: os.stat_result) -> bool:
        """Return whether other users than the owner can write to a directory."""
        if status.st_mode & stat.S_IWOTH:
            return True
        return bool(status.st_mode & stat.S_IWGRP) and not (
            self._uid != 0 and _is_private_group(self._uid, status.st_gid)
        )

    def _judge_owner(self, status: os.stat_result, path: str) -> None:
        """See whether a directory or symlink is root's or the caller's; "/" is whose it is."""
        if status.st_uid in {0, self._uid} or path == "/":
            return
        if _is_unknown(status.st_uid):  # the host's root, most likely
            self._access = Access(safe=False, warning=self._access.warning)
            return
        self._doubt(f"{path} belongs to uid {status.st_uid}, who could replace the store")

    def _doubt(self, why: str, remedy: str = "") -> None:
        if self._uid == 0:
            raise StoreError(f"cannot use {self._what}: {why}", hint=f"{self._hint}{remedy}")
        warning = f"nothing that is cached in {self._what} is used: {why}"
        self._access = Access(safe=False, warning=self._access.warning or warning)


def _reversed_names(path: str) -> list[str]:
    return [name for name in reversed(path.split("/")) if name not in {"", "."}]


def _is_private_group(uid: int, gid: int) -> bool:
    """Return whether a group is the user's alone, as systems that set the umask to 002 make it.

    It is the user's primary group, has the user's name, and no other user is in it.
    """
    import grp
    import pwd

    try:
        user, group = pwd.getpwuid(uid), grp.getgrgid(gid)
    except KeyError:
        return False
    if user.pw_gid != gid or group.gr_name != user.pw_name or {*group.gr_mem} - {user.pw_name}:
        return False
    return all(other.pw_uid == uid for other in pwd.getpwall() if other.pw_gid == gid)


def _is_unknown(uid: int) -> bool:
    """Return whether an ID stands for all those that a user namespace does not map.

    user_namespaces(7). Those of the initial namespace are all known.
    """
    return uid == _read_overflow_uid() and _read_words("/proc/self/uid_map") not in ([], _ALL_IDS)


def _read_overflow_uid() -> int:
    return int("".join(_read_words("/proc/sys/kernel/overflowuid")) or _OVERFLOW_UID)


def _read_words(path: str) -> list[str]:
    try:
        with open(path, encoding="ascii") as file:
            return file.read().split()
    except OSError:
        return []
