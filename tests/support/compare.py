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
    from collections.abc import Iterator

    from tests.support.probe import Seen, SeenMount

DOCS = Path(__file__).resolve().parents[2] / "docs"
_HOST_NAMESPACES = ("user", "mnt", "pid", "net", "ipc", "uts", "cgroup", "time")
# Options that are somebody's else: of the disk below, of overlayfs, of this kernel's defaults
_OPTIONS = frozenset({"ro", "rw", "nosuid", "nodev", "noexec", "nosymfollow"})
_PRIVATE = ("HOSTNAME",)  # variables whose content is another one in every container


class Row(Value):
    """A difference that is expected: a pattern of a fact's name, where it shows, and why."""

    pattern: str
    where: frozenset[str]
    why: str


def facts(seen: Seen) -> dict[str, object]:
    """Name everything that is seen and that two containers of the same kind have in common."""
    return dict(_facts(seen))


def differences(ours: Seen, theirs: Seen) -> dict[str, tuple[object, object]]:
    """Give the facts that differ, ours first; None for one that only the other has."""
    left, right = facts(ours), facts(theirs)
    return {
        name: (left.get(name), right.get(name))
        for name in sorted({*left, *right})
        if left.get(name) != right.get(name)
    }


def read_table(document: str, where: str) -> list[Row]:
    """Read the rows of a document's table of differences that are about one tool."""
    rows: list[Row] = []
    for line in (DOCS / document).read_text().splitlines():
        cells = [cell.strip() for cell in line.split("|")[1:-1]]
        if len(cells) == 3 and cells[0].startswith("`"):
            tools = frozenset(name.strip() for name in cells[1].split(","))
            patterns = [cell.strip("` ") for cell in cells[0].split(",")]
            rows += [Row(pattern, tools, cells[2]) for pattern in patterns if where in tools]
    return rows


def unexplained(found: dict[str, tuple[object, object]], rows: list[Row]) -> dict[str, object]:
    """Give the differences that no row of the table is about."""
    return {
        name: both
        for name, both in found.items()
        if not any(fnmatchcase(name, row.pattern) for row in rows)
    }


def _facts(seen: Seen) -> Iterator[tuple[str, object]]:
    yield from (("words", seen.argv), ("working directory", seen.cwd))
    yield from (("uids", seen.uids), ("gids", seen.gids), ("groups", seen.groups))
    yield from ((f"{name} capabilities", names) for name, names in seen.capabilities.items())
    yield from ((f"process {name}", number) for name, number in seen.process.items())
    yield from ((f"limit {name}", both) for name, both in seen.limits.items())
    for name, content in seen.env.items():
        yield f"variable {name}", content if name not in _PRIVATE else len(content)
    for name in _HOST_NAMESPACES:
        yield f"own {name} namespace", seen.namespaces.get(name) != _of_this_process(name)
    yield "descriptors", tuple(seen.descriptors)
    for name, device in seen.devices.items():
        yield f"device {name}", device
    for name, path in seen.paths.items():
        yield f"path {name}", (path.kind, path.content >= 0, path.write_errno == 0)
        yield f"owner {name}", (path.mode, path.uid, path.gid)
    for mount in seen.mounts:
        yield f"mount {mount.target}", _mount_facts(mount)
    yield from ((f"socket {name}", error) for name, error in seen.sockets.items())
    yield from ((f"attempt {name}", error) for name, error in seen.attempts.items())
    yield from ((f"call {name}", error) for name, error in seen.calls.items())
    if "/proc/self/status" in seen.texts:
        yield from (("seccomp mode", seen.seccomp[0]), ("seccomp filters", seen.seccomp[1]))
        yield "blocked signals", seen.blocked_signals
        yield "ignored signals", seen.ignored_signals
    yield "interfaces", seen.interfaces if "/proc/self/net/dev" in seen.texts else None
    for name in ("uid_map", "gid_map", "setgroups", "oom_score_adj"):
        yield name, seen.texts.get(f"/proc/self/{name}")
    for name in ("hosts", "resolv.conf", "hostname"):
        yield f"file /etc/{name}", seen.texts.get(f"/etc/{name}", "").replace(seen.hostname, "%h")


def _of_this_process(namespace: str) -> str:
    return os.readlink(f"/proc/self/ns/{namespace}")


def _mount_facts(mount: SeenMount) -> tuple[str, tuple[str, ...]]:
    return mount.fstype, tuple(sorted((mount.options | mount.super_options) & _OPTIONS))
