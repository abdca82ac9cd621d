"""What a container shows beside its root: prepared, where it is more than paths and memory."""

from __future__ import annotations

import os

from chrun.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from chrun.engine.engine import Engine
    from chrun.engine.request import RunRequest
    from chrun.engine.users import Users
    from chrun.oci.spec import SpecMount
    from chrun.store.containers import Container

_OF_A_BIND = frozenset({"rbind", "bind", "ro", "nosuid", "nodev", "noexec"})


def resolve_mounts(engine: Engine, request: RunRequest, users: Users) -> tuple[SpecMount, ...]:
    """Put paths in the place of the names of volumes and images; `engine.volumes` tells errors.

    UsageError also for devices that could not be opened.
    """
    mounts = request.options.mounts
    if not _are_plain(mounts):
        from chrun.engine import volumes

        mounts = volumes.resolve_mounts(engine, request, users)
    if not engine.host.privileged or request.options.security.privileged:
        return mounts  # an ordinary user may open what he may open
    return tuple(map(_without_devices, mounts))


def claim_mounts(engine: Engine, request: RunRequest, container: Container, users: Users) -> None:
    """See that the volumes and images that are mounted stay as long as the container.

    The container is removed when that fails.
    """
    if _are_plain(request.options.mounts):
        return
    from chrun.engine import volumes

    try:
        volumes.claim_mounts(engine, request, container, users)
    except BaseException as error:
        engine.abandon(container, error)
        raise


def open_volumes(
    engine: Engine, request: RunRequest, layers: Sequence[str], users: Users
) -> tuple[int, ...]:
    """Fill empty volumes with what the image has there, and give the locks on all of them."""
    if _are_plain(request.options.mounts):
        return ()
    from chrun.engine import volumes

    return volumes.open_volumes(engine, request, layers, users)


def _are_plain(mounts: tuple[SpecMount, ...]) -> bool:
    """Say whether mounts are only of memory and of paths: not the store's, nor propagated."""
    return all(
        mount.type == "tmpfs" or (mount.type == "bind" and _OF_A_BIND.issuperset(mount.options))
        for mount in mounts
    )


def _without_devices(mount: SpecMount) -> SpecMount:
    """Let root's container open no device of a directory, unless it is told to.

    Who may write there, another container perhaps, could have made one that is a disk. What is no
    directory, but a device, was asked for by name.
    """
    is_directory = mount.type in {"bind", "overlay"} and os.path.isdir(mount.source)
    if not is_directory or {"dev", "nodev"}.intersection(mount.options):
        return mount
    if mount.destination == "/dev":
        raise UsageError(
            f"cannot mount {mount.source} on /dev: a container opens no device of a directory",
            hint=f"--device gives it some, -v {mount.source}:/dev:dev all of these",
        )
    return mount.replace(options=tuple(sorted((*mount.options, "nodev"))))
