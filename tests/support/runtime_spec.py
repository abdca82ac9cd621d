"""What runtime-spec's config.md and config-linux.md allow in the parts of config.json we write.

Stricter than the specification's own schema in one way: a field that is not named here is a fault.

    assert faults(json.loads(config)) == []
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


class Whole:
    """A whole number of so many bits."""

    def __init__(self, bits: int, *, signed: bool = False) -> None:
        self.least = -(1 << bits - 1) if signed else 0
        self.most = (1 << bits - signed) - 1


class OneOf:
    """One of some words."""

    def __init__(self, *words: str) -> None:
        self.words = words


class Each:
    """An object whose keys are free, with values of one kind."""

    def __init__(self, kind: object) -> None:
        self.kind = kind


_ID, _UINT64, _INT64 = Whole(32), Whole(64), Whole(64, signed=True)
_STRINGS = [str]
_ACTIONS = OneOf(
    "SCMP_ACT_KILL", "SCMP_ACT_KILL_PROCESS", "SCMP_ACT_KILL_THREAD", "SCMP_ACT_TRAP",
    "SCMP_ACT_ERRNO", "SCMP_ACT_TRACE", "SCMP_ACT_ALLOW", "SCMP_ACT_LOG", "SCMP_ACT_NOTIFY",
)  # fmt: skip
_OPERATORS = OneOf(
    "SCMP_CMP_NE", "SCMP_CMP_LT", "SCMP_CMP_LE", "SCMP_CMP_EQ", "SCMP_CMP_GE", "SCMP_CMP_GT",
    "SCMP_CMP_MASKED_EQ",
)  # fmt: skip
_MAPPINGS = [{"containerID!": _ID, "hostID!": _ID, "size!": _ID}]
_THROTTLES = [{"major!": _INT64, "minor!": _INT64, "rate": _UINT64}]

# Objects as field -> kind, with a mark behind the names of fields that must be there
_PROCESS = {
    "cwd!": str,
    "args": _STRINGS,
    "env": _STRINGS,
    "terminal": bool,
    "user": {"uid": _ID, "gid": _ID, "additionalGids": [_ID]},
    "noNewPrivileges": bool,
    "capabilities": dict.fromkeys(
        ("bounding", "effective", "permitted", "inheritable", "ambient"), _STRINGS
    ),
    "rlimits": [{"type!": str, "soft!": _UINT64, "hard!": _UINT64}],
}
_RESOURCES = {
    "devices": [
        {
            "allow!": bool, "type": OneOf("a", "b", "c"), "major": _INT64, "minor": _INT64,
            "access": str,
        }
    ],
    "memory": {"limit": _INT64, "swap": _INT64},
    "cpu": {"shares": _UINT64, "quota": _INT64, "period": _UINT64, "cpus": str},
    "pids": {"limit!": _INT64},
    "blockIO": {
        "weight": Whole(16),
        "throttleReadBpsDevice": _THROTTLES,
        "throttleWriteBpsDevice": _THROTTLES,
        "throttleReadIOPSDevice": _THROTTLES,
        "throttleWriteIOPSDevice": _THROTTLES,
    },
}  # fmt: skip
_LINUX = {
    "namespaces": [
        {
            "type!": OneOf("mount", "pid", "network", "uts", "ipc", "user", "cgroup", "time"),
            "path": str,
        }
    ],
    "uidMappings": _MAPPINGS,
    "gidMappings": _MAPPINGS,
    "maskedPaths": _STRINGS,
    "readonlyPaths": _STRINGS,
    "sysctl": Each(str),
    "resources": _RESOURCES,
    "devices": [
        {
            "type!": OneOf("c", "b", "u", "p"), "path!": str, "major": _INT64, "minor": _INT64,
            "fileMode": Whole(9), "uid": _ID, "gid": _ID,
        }
    ],
    "seccomp": {
        "defaultAction!": _ACTIONS,
        "defaultErrnoRet": _ID,
        "architectures": _STRINGS,
        "syscalls": [
            {
                "names!": _STRINGS,
                "action!": _ACTIONS,
                "errnoRet": _ID,
                "args": [
                    {"index!": _ID, "value!": _UINT64, "valueTwo": _UINT64, "op!": _OPERATORS}
                ],
            }
        ],
    },
}  # fmt: skip
_CONFIG = {
    "ociVersion!": str,
    "root": {"path!": str, "readonly": bool},
    "hostname": str,
    "process": _PROCESS,
    "mounts": [{"destination!": str, "type": str, "source": str, "options": _STRINGS}],
    "linux": _LINUX,
}


def faults(config: object) -> list[str]:
    """Give what is wrong with the content of a config.json, a line each."""
    return list(_faults(config, _CONFIG, "config"))


def _faults(content: object, kind: object, where: str) -> Iterator[str]:
    match kind:
        case dict():
            yield from _object_faults(content, kind, where)
        case Each():
            yield from _object_faults(content, dict.fromkeys(content or (), kind.kind), where)
        case [item] if isinstance(content, list):
            for position, each in enumerate(content):
                yield from _faults(each, item, f"{where}[{position}]")
        case [_]:
            yield f"{where} is no array"
        case _:
            yield from _plain_faults(content, kind, where)


def _plain_faults(content: object, kind: object, where: str) -> Iterator[str]:
    match kind:
        case Whole():
            if type(content) is not int or not kind.least <= content <= kind.most:
                yield f"{where} is {content!r}, not from {kind.least} to {kind.most}"
        case OneOf():
            if content not in kind.words:
                yield f"{where} is {content!r}"
        case _:
            if type(content) is not kind:
                yield f"{where} is {content!r}"


def _object_faults(content: object, kind: dict[str, object], where: str) -> Iterator[str]:
    if not isinstance(content, dict):
        yield f"{where} is no object"
        return
    kinds = {name.rstrip("!"): each for name, each in kind.items()}
    yield from (f"{where}.{name} is unknown" for name in content.keys() - kinds)
    for name, each in kinds.items():
        if name in content:
            yield from _faults(content[name], each, f"{where}.{name}")
        elif f"{name}!" in kind:
            yield f"{where}.{name} is missing"
