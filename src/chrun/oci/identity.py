"""Who `User` in an image configuration or `-u` means: image-spec config.md, section "User"."""

from __future__ import annotations

from chrun.errors import UsageError
from chrun.oci.convert import Identity

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_MAX_ID = (1 << 31) - 1  # as docker: higher ones wrap around to root somewhere (CVE-2024-40635)
_MOST_GROUPS = 65536  # NGROUPS_MAX of setgroups(2)
_PREFIXES = frozenset({"0x", "0o", "0b"})


def resolve_identity(
    user: str, passwd: bytes, group: bytes, added: tuple[str, ...] = ()
) -> Identity:
    """Give the ids for `user`, `user:group`, `uid` or `uid:gid`; "" is root.

    A name must be in the image's /etc/passwd or /etc/group, a number need not. What some program
    may read as a number is never looked up as a name. Without a group, the user's own and the
    supplementary ones of /etc/group hold. `added` are more groups, by name or number. The user's
    own group is always a supplementary one too: a process could otherwise shake it off by a setgid
    program, and pass where the group is denied (CVE-2022-36109, CVE-2023-25173). UsageError.
    """
    name, has_group, group_name = user.partition(":")
    name = name or "0"
    account = _find_account(name, passwd)
    if account is None:
        account = ("", _number(name, user, "/etc/passwd"), 0, "/")
    login, uid, gid, home = account
    others: tuple[int, ...] = ()
    if has_group and group_name:
        gid = _find_group(group_name, user, group)
    elif login:
        others = _supplementary(login, group)
    more = tuple(_find_group(name, name, group, "join group") for name in added)
    groups = tuple(dict.fromkeys((gid, *others, *more)))
    if len(groups) > _MOST_GROUPS:
        raise UsageError(
            f"cannot run as user {user!r}: it is in {len(groups)} groups, "
            f"expected at most {_MOST_GROUPS}"
        )
    return Identity(uid, gid, groups, home)


def _find_account(name: str, passwd: bytes) -> tuple[str, int, int, str] | None:
    """Find by number what is one, as docker does, and all else by login.

    An image could call its root "1000", for whom it is told to run as (CVE-2026-30892).
    """
    is_number = _is_number(name)
    if not is_number and _resembles_number(name):
        return None
    for account in _accounts(passwd):
        if account[1] == _id(name) if is_number else account[0] == name:
            return account
    return None


def _accounts(passwd: bytes) -> Iterator[tuple[str, int, int, str]]:
    for fields in _lines(passwd, 7):
        if (uid := _id(fields[2])) is not None and (gid := _id(fields[3])) is not None:
            yield fields[0], uid, gid, fields[5] or "/"


def _find_group(name: str, asked: str, group: bytes, verb: str = "run as user") -> int:
    """Find by name, unless it is a number; `asked` is what the user wrote, for an error."""
    if not _resembles_number(name):
        for fields in _lines(group, 4):
            if fields[0] == name and (gid := _id(fields[2])) is not None:
                return gid
    return _number(name, asked, "/etc/group", verb)


def _supplementary(login: str, group: bytes) -> tuple[int, ...]:
    """Give the groups that list a login as a member, in the order of the file."""
    return tuple(
        number
        for fields in _lines(group, 4)
        if login in fields[3].split(",") and (number := _id(fields[2])) is not None
    )


def _lines(content: bytes, count: int) -> Iterator[list[str]]:
    for line in content.decode(errors="surrogateescape").split("\n"):
        fields = line.removesuffix("\r").split(":")
        if len(fields) >= count:
            yield fields


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit()


def _resembles_number(text: str) -> bool:
    """Return whether some program may read a text as a number: "+0", " 0", "0x0", "1e3", "\u0660".

    An image could map such a name to root (CVE-2026-46680).
    """
    bare = text.strip().lstrip("+-").strip().lower()
    if bare[:2] in _PREFIXES:
        return True
    return bare[:1].isnumeric() and all(mark.isnumeric() or mark in "_.,e+-" for mark in bare)


def _id(text: str) -> int | None:
    """Give an id of the image's files, None for what cannot be one: such a line is skipped."""
    if _is_number(text) and len(text) <= 10 and int(text) <= _MAX_ID:
        return int(text)
    return None


def _number(text: str, asked: str, path: str, verb: str = "run as user") -> int:
    number = _id(text)
    if number is not None:
        return number
    if _resembles_number(text):
        raise UsageError(
            f"cannot {verb} {asked!r}: ids go from 0 to {_MAX_ID}, written in the digits 0 to 9"
        )
    raise UsageError(f"cannot {verb} {asked!r}: {text!r} is not in the image's {path}")
