"""Files of lines: an image's passwd and group, subuid and subgid, and those of /proc.

What the kernel writes has a form, but names in it are anybody's: a command's, a mount's source.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from chrun.linux.cgroups import read_places
from chrun.linux.mountinfo import parse_mountinfo
from chrun.linux.process import (
    filters_in,
    parse_id_map,
    parse_interfaces,
    parse_limits,
    parse_stat,
    parse_status,
)
from chrun.linux.subids import free_ranges, ranges_of, whole_ranges
from chrun.oci.identity import resolve_identity
from tests.fuzz.harness import Quiet, fuzz_each
from tests.fuzz.inputs import Draw

if TYPE_CHECKING:
    from collections.abc import Callable

_NAMES = ("root", "redis", "0", "999", "bob", "1000:1000", "redis:disk", ":", "a:", ":b", "-1", "")
_LINES = (
    "root:x:0:0:root:/root:/bin/sh", "redis:x:999:998::/data:", "disk:x:6:redis,bob",
    "bob:100000:65536", "0:1:2", "a:b:c:d:e:f:g:h", "::::::", "#bob:1:1",
)  # fmt: skip
_LAST_ID = (1 << 32) - 2


def _lines(draw: Draw) -> str:
    """Make a file of lines, in which now and then a field is something else."""
    lines: list[str] = []
    for line in draw.list(lambda draw: draw.one(_LINES), 5):
        fields = line.split(":")
        if draw.chance(2):
            fields[draw.integer(0, len(fields) - 1)] = draw.of(Draw.number, Draw.word)
        lines.append(":".join(fields))
    return draw.one(("\n", "\n", "\r\n", "\n\n")).join(lines)


def _account(draw: Draw) -> tuple[str, bytes, bytes, list[str]]:
    user = draw.one(_NAMES) if draw.chance(2) else f"{draw.number()}:{draw.word()}"
    files = (draw.damaged(_lines(draw).encode(errors="surrogatepass")) for _ in range(2))
    return (user, *files, draw.list(lambda draw: draw.of(Draw.number, Draw.word), 2))


def _identity(given: tuple[str, bytes, bytes, list[str]]) -> None:
    user, passwd, group, added = given
    with Quiet():
        identity = resolve_identity(user, passwd, group, tuple(added))
        assert all(0 <= number < 1 << 31 for number in (identity.uid, identity.gid))
        assert all(0 <= number < 1 << 31 for number in identity.groups)


def _subids(text: str) -> None:
    for given in ranges_of(text, {"bob", "0"}, 1000):
        assert 0 <= given.start <= given.end - 1 <= _LAST_ID
    next(iter(whole_ranges(text, {"bob"})), None)
    next(free_ranges([text], [1, 2]), None)


def _name(draw: Draw) -> str:
    """Make a name as the kernel shows it: with no blank, no end of a line and no NUL."""
    return (
        "".join(mark for mark in draw.word() if mark not in "\0\n\t ").replace("\\", "\\134") or "a"
    )


def _mounts(draw: Draw) -> str:
    """Make lines of mountinfo; fields may be missing where another program serves /proc."""
    lines: list[str] = []
    for _ in range(draw.integer(0, 4)):
        fields = ["36", "35", "98:0", _name(draw), _name(draw), "rw,noatime", "master:1", "-",
        "ext3",
                  _name(draw), f"rw,{_name(draw)}"]  # fmt: skip
        if draw.chance(6):
            del fields[draw.integer(0, len(fields) - 1) :]
        lines.append(" ".join(fields))
    return "".join(f"{line}\n" for line in lines)


def _mountinfo(text: str) -> None:
    assert len(parse_mountinfo(text)) <= text.count("\n")


def _process(draw: Draw) -> tuple[str, str, str, str, str, str]:
    """Make files of a process, whose name is its own choice."""
    name = _name(draw)[:15]
    status = f"Name:\t{name}\nSeccomp:\t{draw.integer(0, 3)}\nSeccomp_filters:\t1\n"
    numbers = " ".join(str(draw.integer(0, 9)) for _ in range(50))
    limits = f"Limit Soft Hard Units\nMax open files {draw.integer(0, 9)} unlimited files\n"
    devices = f"heading\nheading\n  {name}: 1 2 3\n"
    places = f"4:memory:/{name}\n0::/{name}:{name}\n{draw.one(('', 'x', '1:'))}"
    return status, f"1 ({name}) S {numbers}", limits, devices, places, "0 1000 1\n1 100000 65536\n"


def _proc(given: tuple[str, str, str, str, str, str]) -> None:
    status, stat, limits, devices, places, maps = given
    filters_in(parse_status(status))
    parse_stat(stat)
    parse_limits(limits)
    parse_interfaces(devices)
    read_places(places)
    parse_id_map(maps)


def run(seconds: float, seed: int | None = None) -> None:
    """Fuzz each of them."""
    checks: list[tuple[Callable[..., None], Callable[[Draw], object]]] = [
        (_identity, _account),
        (_subids, _lines),
        (_mountinfo, _mounts),
        (_proc, _process),
    ]
    fuzz_each(checks, seconds, seed)
