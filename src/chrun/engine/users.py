"""Whose ids a container's are: --userns, or the best that works without being asked."""

from __future__ import annotations

from chrun.engine.isolation import notice
from chrun.errors import UnsupportedError, UsageError
from chrun.linux.host import has_all_ids
from chrun.oci.convert import IdMaps
from chrun.oci.spec import IdMapping, count_ids
from chrun.store.layout import LAYERS_ROOM
from chrun.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Literal

    from chrun.engine.subordinate import Subordinate
    from chrun.linux.host import Host
    from chrun.oci.convert import Identity, Rung
    from chrun.store.layout import Layout

    # host: the machine's; single: the caller's one; subuid: the caller's and subordinate ones;
    # range: ids that are nobody's, for this container alone
    Kind = Literal["host", "single", "subuid", "range"]


class Users(Value):
    """How ids inside stand for ids outside.

    `room` is where the store has the layers that fit; `programs` write the maps that the caller may
    not write.
    """

    kind: Kind
    maps: IdMaps = IdMaps()
    programs: tuple[str, str] = ("", "")
    room: str = LAYERS_ROOM
    notices: tuple[str, ...] = ()

    def maps_for(self, host: Host, identity: Identity) -> IdMaps:
        """Give the maps for a user inside; UsageError when that one is nobody there.

        The one id of `single` is whom they asked for.
        """
        if self.kind == "single":
            return IdMaps(
                (IdMapping(identity.uid, host.uid, 1),), (IdMapping(identity.gid, host.gid, 1),)
            )
        for what, number, mappings in (
            ("user", identity.uid, self.maps.uids),
            ("group", identity.gid, self.maps.gids),
        ):
            count = count_ids(mappings)
            if mappings and number >= count:
                raise UsageError(
                    f"cannot run as {what} {number}: only ids from 0 to {count - 1} are mapped"
                )
        return self.maps


def choose_users(host: Host, layout: Layout, wanted: str, rung: Rung) -> Users:
    """Choose for a run; `wanted` is --userns, "" when nobody asked.

    UnsupportedError for what this user or machine cannot, UsageError for what the rung cannot.
    A `range` has no maps yet: those are taken when the container is made.
    """
    if rung == "chroot":
        if wanted not in {"", "host"}:
            raise UsageError(f"cannot use --userns {wanted} with --isolation chroot")
        return Users("host", room=_own_room(host))
    if host.privileged:
        return _choose_for_root(wanted)
    if wanted == "host":
        raise UnsupportedError(
            "cannot use --userns host: without a user namespace only root may mount",
            hint="run it as root",
        )
    if wanted == "single":
        return Users("single", room=_own_room(host))
    from chrun.engine.subordinate import find_subordinate

    users = choose_for_user(find_subordinate(layout), wanted)
    return users if users.kind == "subuid" else users.replace(room=_own_room(host))


def _own_room(host: Host) -> str:
    """Return the room for what this user unpacks without a user namespace.

    Root may use one store with more privileges and with fewer. Layers that were unpacked with fewer
    lack owners, or the marks by which the kernel sees for root what a layer takes away; with more,
    they would show what is private, or was removed.
    """
    if host.uid or host.privileged:
        return LAYERS_ROOM
    return "owned/root-unprivileged" if has_all_ids() else "owned/root-mapped"


def _choose_for_root(wanted: str) -> Users:
    if wanted in {"", "host"}:
        return Users("host")
    if wanted == "single":
        raise UnsupportedError(
            "cannot use --userns single: the image's files belong to more ids than one",
            hint="use --userns auto",
        )
    return Users("range")


def choose_for_user(found: Subordinate, wanted: str) -> Users:
    """Choose for an ordinary user who does not ask for one id, with what is known of others.

    UnsupportedError where `wanted` is subuid and there are none to use.
    """
    if found.maps.uids:
        notices = ("--userns auto: the caller's and subordinate ids, as subuid",)
        return Users(
            "subuid",
            found.maps,
            found.programs,
            found.room,
            notices if wanted == "auto" else (),
        )
    if wanted == "subuid":
        from chrun.engine.subid_trial import explained

        found = explained(found)
        raise UnsupportedError(f"cannot use --userns subuid: {found.why}", hint=found.hint)
    return Users("single", notices=_told(found, wanted))


def _told(found: Subordinate, wanted: str) -> tuple[str, ...]:
    """Say why one id is mapped to who asked for more, or was given more."""
    if wanted != "auto" and not found.expected:
        return ()
    from chrun.engine.subid_trial import explained

    found = explained(found)
    return (notice("only one id is mapped", found.why, found.hint),)
