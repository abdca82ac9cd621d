"""Asking for subordinate ids anew: the files are read, and the programs that map ids are tried."""

from __future__ import annotations

import os

from chrun.engine.subordinate import SUBID_PATHS, Subordinate
from chrun.linux.host import gains_nothing, read_host, read_text
from chrun.linux.subids import RANGE_SIZE, Subids, free_ranges, map_ranges, ranges_of
from chrun.oci.convert import IdMaps
from chrun.runtime.probe import try_id_maps

TYPE_CHECKING = False
if TYPE_CHECKING:
    from chrun.store.layout import Layout

_PROGRAMS = ("newuidmap", "newgidmap")
_PROGRAM_DIRS = ("/usr/bin", "/bin", "/usr/local/bin", "/run/wrappers/bin")  # the last is NixOS's


def ask(layout: Layout, paths: tuple[str, str] = SUBID_PATHS) -> Subordinate:
    """Find the caller's ranges and the programs, and see by trying that they work.

    `paths` are those of the files that give users and groups: subuid(5), subgid(5).
    """
    login = login_name()
    names = {login, str(os.geteuid())} - {""}
    found = Subids(
        ranges_of(read_text(paths[0]), names, os.geteuid()),
        ranges_of(read_text(paths[1]), names, os.getegid()),
    )
    if not found.users and not found.groups:
        return none_given(paths)
    if not found.suffice:
        return Subordinate(why=_too_few(found), hint=_request(login, paths), expected=True)
    programs = _find_programs()
    if programs is None:
        return Subordinate(
            why="newuidmap and newgidmap are not installed",
            hint="ask for: apt install uidmap (or the package shadow-utils of other systems)",
            expected=True,
        )
    maps = IdMaps(map_ranges(os.geteuid(), found.users), map_ranges(os.getegid(), found.groups))
    if refused := try_id_maps(read_host(), maps, programs, layout.base_dir):
        return Subordinate(why=refused[0], hint=refused[1] or _setuid_hint(programs), expected=True)
    return Subordinate(maps, programs)


def none_given(paths: tuple[str, str] = SUBID_PATHS) -> Subordinate:
    """Say what somebody without any subordinate ids has to ask for."""
    login = login_name()
    if not login:
        return Subordinate(
            why=f"user ID {os.geteuid()} has no name, and /etc/subuid gives ids to named users",
            hint="ask for an account: useradd",
        )
    return Subordinate(why=f"/etc/subuid gives {login} no ids", hint=_request(login, paths))


def explained(found: Subordinate) -> Subordinate:
    """Give an answer with the reason in it that the quickest one leaves out."""
    return found if found.why or found.maps.uids else none_given()


def login_name() -> str:
    """Give the caller's login, "" where there is none."""
    import pwd

    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return ""


def _too_few(found: Subids) -> str:
    counts = tuple(sum(given.size for given in ranges) for ranges in (found.users, found.groups))
    return f"only {min(counts)} subordinate ids are this user's, expected {RANGE_SIZE - 1}"


def _request(login: str, paths: tuple[str, str]) -> str:
    first = next(free_ranges(map(read_text, paths), ()))
    given = f"{first}-{first + RANGE_SIZE - 1}"
    asked = f"usermod --add-subuids {given} --add-subgids {given} {login}"
    return f"ask for: {asked}" + ("" if _find_programs() else "; apt install uidmap")


def _setuid_hint(programs: tuple[str, str]) -> str:
    if gains_nothing():
        return "whoever started this process set no_new_privs, under which setuid has no effect"
    return f"{' and '.join(programs)} need the setuid bit, or CAP_SETUID and CAP_SETGID (setcap)"


def _find_programs() -> tuple[str, str] | None:
    """Find both programs where the caller's PATH leads, or where they are most often."""
    listed = (*os.environ.get("PATH", "").split(":"), *_PROGRAM_DIRS)
    directories = [name for name in listed if name.startswith("/")]
    paths = [
        next((path for name in directories if os.access(path := f"{name}/{program}", os.X_OK)), "")
        for program in _PROGRAMS
    ]
    return (paths[0], paths[1]) if all(paths) else None
