"""/proc/self/mountinfo: proc_pid_mountinfo(5)."""

from __future__ import annotations

import os

from chrun.values import Value

_FIELDS, _FIELDS_BEHIND = 6, 3  # before and behind the hyphen, without those that are optional


class MountEntry(Value):
    """One mount: where, of which type, its per-mount options, what of its file system is shown.

    `super_options` are the file system's own; `propagation` holds words such as shared:1 and
    master:2, none for a private mount.
    """

    mount_point: str
    fstype: str
    options: tuple[str, ...]
    root: str = "/"
    super_options: tuple[str, ...] = ()
    source: str = ""
    propagation: tuple[str, ...] = ()


def parse_mountinfo(text: str) -> tuple[MountEntry, ...]:
    """Read the lines of a mountinfo file, in mount order.

    Whoever mounts chooses names, in which the kernel escapes "\\n" but nothing else that ends lines
    elsewhere: so files of /proc are read with newline="\\n", and not taken apart by splitlines. A
    line without all fields, which something mounted over /proc may have, is skipped.
    """
    entries: list[MountEntry] = []
    for line in filter(None, text.split("\n")):
        fields, _, rest = line.partition(" - ")
        words, behind = fields.split(" "), rest.split(" ")
        if len(words) < _FIELDS or len(behind) < _FIELDS_BEHIND:
            continue
        entries.append(
            MountEntry(
                _unescape(words[4]),
                behind[0],
                tuple(words[5].split(",")),
                _unescape(words[3]),
                tuple(behind[2].split(",")),
                _unescape(behind[1]),
                tuple(words[6:]),
            )
        )
    return tuple(entries)


def find_mount(path: str) -> MountEntry | None:
    """Find the mount that a path lies on; None where /proc does not tell, as in some chroots."""
    entries = read_mountinfo()
    real = os.path.realpath(path)
    around = [
        entry
        for entry in entries
        if entry.mount_point == "/" or f"{real}/".startswith(f"{entry.mount_point}/")
    ]
    # Of several mounts on one point the last one is seen.
    found = max(
        enumerate(around), key=lambda item: (len(item[1].mount_point), item[0]), default=None
    )
    return found[1] if found else None


def mount_points_below(path: str) -> tuple[str, ...]:
    """Give the mount points below a directory; none where /proc does not tell."""
    below = os.path.realpath(path).rstrip("/") + "/"
    points = (entry.mount_point for entry in read_mountinfo())
    return tuple(point for point in points if point.startswith(below))


def read_mountinfo() -> tuple[MountEntry, ...]:
    """Give the mounts that this process sees; none where /proc does not tell."""
    try:
        with open(
            "/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape", newline="\n"
        ) as file:
            return parse_mountinfo(file.read())
    except OSError:
        return ()


def _unescape(text: str) -> str:
    """Undo the kernel's octal escapes of space, tab, newline and backslash."""
    for code, character in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        text = text.replace(code, character)
    return text
