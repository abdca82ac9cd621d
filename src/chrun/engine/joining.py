"""Containers whose namespaces are joined: who they are, and how ids are mapped there."""

from __future__ import annotations

import os

from chrun.engine.namespaces import JOIN
from chrun.errors import ContainerStateError, NoSuchContainerError, UnsupportedError
from chrun.linux.process import parse_id_map, start_time
from chrun.oci.convert import IdMaps
from chrun.oci.spec import Joined
from chrun.store.running import find_containers, recorded_process

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from chrun.linux.host import Host
    from chrun.oci.convert import Identity
    from chrun.oci.options import NamespaceOptions
    from chrun.oci.spec import IdMapping
    from chrun.store.layout import Layout

_TYPES = {"network": "net", "pid": "pid", "ipc": "ipc", "uts": "uts"}  # and their files in /proc


def join(
    options: NamespaceOptions, maps: IdMaps, identity: Identity, host: Host, layout: Layout
) -> tuple[NamespaceOptions, IdMaps]:
    """Find the containers that are to be joined, and map ids as they do.

    Raises NoSuchContainerError or ContainerStateError when one does not run, UnsupportedError when
    its user namespace does not go with the others or does not know the command's user, and when
    what is to be joined is the machine's.
    """
    wanted = [
        (name, word.removeprefix(JOIN))
        for name in _TYPES
        if (word := getattr(options, name)).startswith(JOIN)
    ]
    if not wanted:
        return options, maps
    found = {name: _process(layout, name) for name in dict.fromkeys(name for _, name in wanted)}
    joined = tuple(Joined(kind, *found[name]) for kind, name in wanted)
    users = tuple(_users(wanted[0][1], {process for process, _ in found.values()}))
    if users:
        for kind, name in wanted:
            _check_own(name, kind, found[name][0])
        maps = _read_maps(wanted[0][1], users[0], maps)
        _check_mapped(wanted[0][1], maps, identity)
        first = next(each for each in joined if each.process == users[0])
        joined = (Joined("user", first.process, first.started), *joined)
    elif not host.privileged:
        raise UnsupportedError(f"cannot join container {wanted[0][1]}: it is root's")
    elif maps.uids:
        raise UnsupportedError(
            f"cannot join container {wanted[0][1]} from a user namespace that it is not in"
        )
    return options.replace(joined=joined), maps


def _process(layout: Layout, name: str) -> tuple[str, int]:
    """Give the directory in /proc of a running container's first process, and its start time."""
    containers = find_containers(layout, name)
    if not containers:
        raise NoSuchContainerError(f"cannot join container {name}: none has that name or id")
    container, *others = containers
    if others:
        raise NoSuchContainerError(
            f"cannot join container {name}: there are {len(containers)} whose ids begin so",
            hint="write more of the id",
        )
    recorded = recorded_process(container.directory) if container.running else None
    if recorded is None or start_time(recorded[0]) != recorded[1]:
        raise ContainerStateError(f"cannot join container {name}: it is not running")
    return f"/proc/{recorded[0]}", recorded[1]


def _users(name: str, processes: set[str]) -> Iterator[str]:
    """Give a process of each user namespace that is not the caller's; at most one can be joined."""
    own = os.stat("/proc/self/ns/user")
    seen: dict[int, str] = {}
    for process in sorted(processes):
        try:
            status = os.stat(f"{process}/ns/user")
        except OSError as error:
            raise UnsupportedError(f"cannot join container {name}: it is another user's") from error
        seen.setdefault(status.st_ino, process)
    if len(seen) > 1:
        raise UnsupportedError(
            "cannot join these containers at once: they are in different user namespaces"
        )
    yield from (process for inode, process in seen.items() if inode != own.st_ino)


def _check_own(name: str, kind: str, process: str) -> None:
    """Refuse a namespace that is the machine's: from a user namespace nobody joins that again."""
    file = _TYPES[kind]
    if os.stat(f"{process}/ns/{file}").st_ino == os.stat(f"/proc/self/ns/{file}").st_ino:
        raise UnsupportedError(
            f"cannot join the {kind} namespace of container {name}: it has none of its own, but "
            "this machine's",
            hint=f"--{kind} host gives the same",
        )


def _read_maps(name: str, process: str, own: IdMaps) -> IdMaps:
    """Give the maps of a process; they must be of the ids that this container's files have."""
    maps = IdMaps(_read_map(f"{process}/uid_map"), _read_map(f"{process}/gid_map"))
    if own.uids and _outside(own.uids) != _outside(maps.uids):
        raise UnsupportedError(
            f"cannot join container {name}: it has other ids of this machine",
            hint="leave --userns out, or use the one that it was started with",
        )
    return maps


def _read_map(path: str) -> tuple[IdMapping, ...]:
    with open(path, encoding="ascii") as file:
        return parse_id_map(file.read())


def _outside(mappings: tuple[IdMapping, ...]) -> set[tuple[int, int]]:
    return {(mapping.host_id, mapping.size) for mapping in mappings}


def _check_mapped(name: str, maps: IdMaps, identity: Identity) -> None:
    for mappings, number, kind in (
        (maps.uids, identity.uid, "user"),
        (maps.gids, identity.gid, "group"),
    ):
        if not any(number in mapping for mapping in mappings):
            known = mappings[0].container_id
            raise UnsupportedError(
                f"cannot join container {name} as {kind} {number}: it has no such {kind}",
                hint=f"its only {kind} is {known}: -u {maps.uids[0].container_id}"
                f":{maps.gids[0].container_id}",
            )
