"""Which capabilities a container's command gets, when some were asked for or refused by name."""

from __future__ import annotations

from chrun.oci.spec import CapabilitySets

TYPE_CHECKING = False
if TYPE_CHECKING:
    from chrun.oci.options import SecurityOptions

ALL = "ALL"


def capability_sets(options: SecurityOptions, base: tuple[str, ...], uid: int) -> CapabilitySets:
    """Work out the five sets of capabilities(7) from what a rung leaves and what was asked for.

    ALL is what `options.available` holds. Dropping ALL leaves what is added by name; adding ALL
    leaves out what is dropped by name. Another user than root gets what was added by name, ambient
    so that it outlives execve(2), as with podman; for whom nothing was added the inheritable set is
    empty (CVE-2022-24769, CVE-2022-29162).
    """
    dropped = base if ALL in options.cap_drop else options.cap_drop
    added = options.available if ALL in options.cap_add else options.cap_add
    added = _without(options.cap_drop, added)
    bounding = tuple(dict.fromkeys((*_without(dropped, base), *added)))
    if uid == 0:
        return CapabilitySets(bounding=bounding, effective=bounding, permitted=bounding)
    return CapabilitySets(bounding, added, added, added, added)


def _without(dropped: tuple[str, ...], names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(name for name in names if name not in dropped)
