"""What two containers see, side by side: facts by name, and a table of those that may differ.

The table is one of a document for users, so that what it says of a difference is what tests hold:

    | what is seen | where | why |
    |---|---|---|
    | `mount /sys/fs/cgroup*` | runc, podman | ... |
"""

from __future__ import annotations

import os
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING

from chrun.values import Value

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from tests.support.probe import Seen, SeenMount

DOCS = Path(__file__).resolve().parents[2] / "docs"
_HOST_NAMESPACES = ("user", "mnt", "pid", "net", "ipc", "uts", "cgroup", "time")
_OPTIONS = ("ro", "nosuid", "nodev", "noexec")
_VALUES = ("size", "mode", "nr_inodes")  # of a tmpfs
_OF_MOUNTS = tuple(f"{name} " for name in (*_OPTIONS, *_VALUES, "propagation"))
# The C library's own: what it starts (posix_spawn) ignores them, as whatever that starts does then.
_LIBRARY_SIGNALS = frozenset({32, 33})
_MACHINE_FILES = ("/etc/hosts", "/etc/resolv.conf", "/etc/hostname")
_PIDS = ("pid", "ppid", "pgrp", "session")
_PRIVATE = ("HOSTNAME",)  # variables whose content is another one in every container


class Row(Value):
    """A difference that is expected: a pattern of a fact's name, where it shows, and why.

    `where` are names of tools, with " as root" or " as user" behind where it shows for one only.
    """

    pattern: str
    where: frozenset[str]
    why: str


def facts(seen: Seen) -> dict[str, object]:
    """Name everything that is seen and that two containers of the same kind have in common."""
    return dict(_facts(seen))


def differences(ours: Seen, theirs: Seen) -> dict[str, tuple[object, object]]:
    """Give the facts that differ, ours first; None for one that only the other has.

    Of what only one of them mounts that alone is told, not all its options.
    """
    left, right = facts(ours), facts(theirs)
    return {
        name: (left.get(name), right.get(name))
        for name in sorted({*left, *right})
        if left.get(name) != right.get(name)
        and not (name.startswith(_OF_MOUNTS) and {left.get(name), right.get(name)} & {None})
    }


def read_table(document: str, tool: str) -> list[Row]:
    """Read the rows of a document's tables of differences that are about a tool, for who I am."""
    mine = {tool, f"{tool} as {'root' if os.geteuid() == 0 else 'user'}"}
    return [row for row in _rows(document) if row.where & mine]


def unexplained(found: Mapping[str, object], rows: list[Row]) -> dict[str, object]:
    """Give the differences that no row of the table is about."""
    return {
        name: both
        for name, both in found.items()
        if not any(fnmatchcase(name, row.pattern) for row in rows)
    }


def stale(found: Iterable[str], rows: list[Row]) -> list[str]:
    """Give the patterns of rows that no difference is about, but for what not every machine has.

    The reason of such a row begins with "where".
    """
    names = set(found)
    return [
        row.pattern
        for row in rows
        if not row.why.startswith("where ")
        and not any(fnmatchcase(name, row.pattern) for name in names)
    ]


def _rows(document: str) -> Iterator[Row]:
    for line in (DOCS / document).read_text().splitlines():
        cells = [cell.strip() for cell in line.split("|")[1:-1]]
        if len(cells) == 3 and cells[0].startswith("`"):
            where = frozenset(name.strip() for name in cells[1].split(","))
            for pattern in cells[0].split(", "):
                yield Row(pattern.strip("`"), where, cells[2])


def _facts(seen: Seen) -> Iterator[tuple[str, object]]:
    yield from (("words", seen.argv), ("working directory", seen.cwd))
    yield from (("uids", seen.uids), ("gids", seen.gids), ("groups", seen.groups))
    yield from ((f"{name} capabilities", names) for name, names in seen.capabilities.items())
    yield from _process_facts(seen)
    yield from ((f"limit {name}", both) for name, both in seen.limits.items())
    yield from ((f"device {name}", device) for name, device in seen.devices.items())
    yield from ((f"socket {name}", error) for name, error in seen.sockets.items())
    yield from ((f"attempt {name}", error) for name, error in seen.attempts.items())
    yield from ((f"call {name}", error) for name, error in seen.calls.items())
    for name, content in seen.env.items():
        yield f"variable {name}", content if name not in _PRIVATE else len(content)
    for name in _HOST_NAMESPACES:
        yield f"own {name} namespace", seen.namespaces.get(name) != _of_this_process(name)
    yield "descriptors", tuple(seen.descriptors)
    yield from _file_facts(seen)
    yield from _proc_facts(seen)


def _process_facts(seen: Seen) -> Iterator[tuple[str, object]]:
    """Name the process's numbers; among all the machine's processes, only which are the same."""
    own = seen.namespaces.get("pid") != _of_this_process("pid")
    for name, number in seen.process.items():
        if own or name not in _PIDS:
            yield f"process {name}", number
        else:
            yield f"process {name}", number == seen.process["pid"]


def _file_facts(seen: Seen) -> Iterator[tuple[str, object]]:
    for name, path in seen.paths.items():
        yield f"path {name}", (path.kind, path.content >= 0, path.write_errno == 0)
        yield f"owner {name}", (path.mode, path.uid, path.gid)
    yield "mounts on /", sum(mount.target == "/" for mount in seen.mounts)
    for mount in _visible(seen.mounts):
        yield from _mount_facts(mount)
    asked = (word[5:] for word in seen.argv if word.startswith("text="))
    for name in (*_MACHINE_FILES, *asked):
        yield f"file {name}", seen.texts.get(name, "").replace(seen.hostname, "%h")


def _proc_facts(seen: Seen) -> Iterator[tuple[str, object]]:
    if "/proc/self/status" in seen.texts:
        yield from (("seccomp mode", seen.seccomp[0]), ("seccomp filters", seen.seccomp[1]))
        yield "blocked signals", seen.blocked_signals
        yield "ignored signals", seen.ignored_signals - _LIBRARY_SIGNALS
    yield "interfaces", seen.interfaces if "/proc/self/net/dev" in seen.texts else None
    for name in ("uid_map", "gid_map", "setgroups", "oom_score_adj"):
        yield name, seen.texts.get(f"/proc/self/{name}")


def _visible(mounts: Iterable[SeenMount]) -> list[SeenMount]:
    """Leave out mounts that later ones lie on, or on a directory above."""
    visible: list[SeenMount] = []
    for mount in mounts:
        below = f"{mount.target.rstrip('/')}/"
        visible = [each for each in visible if not f"{each.target}/".startswith(below)]
        visible.append(mount)
    return visible


def _of_this_process(namespace: str) -> str:
    return os.readlink(f"/proc/self/ns/{namespace}")


def _mount_facts(mount: SeenMount) -> Iterator[tuple[str, object]]:
    yield f"mount {mount.target}", mount.fstype
    for option in _OPTIONS:
        yield f"{option} {mount.target}", option in mount.options | mount.super_options
    yield f"propagation {mount.target}", mount.propagation
    if mount.fstype == "tmpfs":
        said = dict(word.partition("=")[::2] for word in mount.super_options)
        for name in _VALUES:
            yield f"{name} {mount.target}", said.get(name, "")
