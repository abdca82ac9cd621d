"""Options that depend on this machine, or on other containers, made into ones that do not."""

from __future__ import annotations

from chrun.errors import UnsupportedError
from chrun.oci.options import NamespaceOptions, SecurityOptions
from chrun.oci.spec import count_ids

TYPE_CHECKING = False
if TYPE_CHECKING:
    from chrun.engine.engine import Engine
    from chrun.oci.convert import Identity, IdMaps, Rung
    from chrun.oci.options import RunOptions


def settle(
    engine: Engine, options: RunOptions, rung: Rung, identity: Identity, maps: IdMaps
) -> tuple[RunOptions, IdMaps, tuple[str, ...]]:
    """Find the containers to be joined, grant capabilities, and give notices of what has no effect.

    Raises what `join`, `grant` and `check_options` raise, and UnsupportedError for a group that
    cannot be joined.
    """
    notices: tuple[str, ...] = ()
    if options.groups and count_ids(maps.gids) == 1:
        raise UnsupportedError(
            f"cannot join group {options.groups[0]!r}: only one id is mapped",
            hint="run as root, or with subordinate ids (--userns subuid)",
        )
    if options.namespaces != NamespaceOptions() and rung != "chroot":
        from chrun.engine.joining import join
        from chrun.engine.namespaces import check_options

        check_options(options)
        namespaces, maps = join(
            options.namespaces, maps, identity, engine.host, engine.store.layout
        )
        options = options.replace(namespaces=namespaces)
    if options.devices:
        from chrun.engine.devices import settle_devices

        privileged = options.security.privileged
        notices = settle_devices(options.devices, engine.host, maps, privileged=privileged)
    if options.security != SecurityOptions():
        from chrun.engine.security import grant

        options, ungranted = grant(options, rung, engine.host, maps)
        notices += ungranted
    return options, maps, notices
