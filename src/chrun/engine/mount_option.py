"""The option --mount: docker's keys and values between commas, read into one of the spec's mounts.

`type=bind|tmpfs|volume|image,source=SOURCE,target=TARGET,...`. Quoted as CSV has it, a value may
have commas: `"source=/a,b"`. A key that is unknown, of another type or given twice is an error.
"""

from __future__ import annotations

import csv

from chrun.engine.mounts import (
    PROPAGATIONS,
    bound,
    check_tmpfs_value,
    checked_target,
    tmpfs_mount,
)
from chrun.engine.request import parse_size
from chrun.errors import UsageError
from chrun.oci.spec import SpecMount
from chrun.store.volumes import check_volume_name
from chrun.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

_ALIASES = {"src": "source", "dst": "target", "destination": "target", "ro": "readonly"}
_COMMON = frozenset({"type", "source", "target", "readonly", "consistency"})
_OWN = {
    "bind": {"bind-propagation", "bind-nonrecursive", "bind-recursive", "bind-create-src", "idmap"},
    "tmpfs": {"tmpfs-size", "tmpfs-mode"},
    "volume": {"volume-nocopy", "volume-subpath", "volume-driver", "volume-label", "volume-opt"},
    "image": {"image-subpath"},
}
_CONSISTENCIES = ("default", "consistent", "cached", "delegated")
_RECURSIONS = ("enabled", "disabled", "writable", "readonly")
_TRUE = frozenset({"1", "t", "T", "TRUE", "true", "True"})  # strconv.ParseBool's, as docker has it
_FALSE = frozenset({"0", "f", "F", "FALSE", "false", "False"})


class _Given(Value):
    """What one --mount says: its text, its type, and its other keys."""

    text: str
    kind: str
    said: Mapping[str, str]

    def refusal(self, why: str, *, hint: str = "") -> UsageError:
        """Give the error that quotes it."""
        return UsageError(f"cannot read mount {self.text!r}: {why}", hint=hint)

    def flag(self, key: str) -> bool:
        """Give a boolean; a key alone means yes."""
        content = self.said.get(key, "false")
        if content not in _TRUE | _FALSE:
            raise self.refusal(f"{key} is {content!r}, expected true or false")
        return content in _TRUE

    def choice(self, key: str, choices: tuple[str, ...]) -> str:
        """Give one of several words, "" without the key."""
        content = self.said.get(key, "")
        if key in self.said and content not in choices:
            raise self.refusal(f"{key} is {content!r}, expected {', '.join(choices)}")
        return content


def parse_mount(text: str) -> SpecMount:
    """Read one --mount; UsageError says what is wrong with it."""
    given = _split(text)
    if "target" not in given.said:
        raise given.refusal("it has no target")
    target = checked_target(text, given.said["target"])
    given.choice("consistency", _CONSISTENCIES)
    read = {"bind": _bind, "tmpfs": _tmpfs, "volume": _volume, "image": _image}[given.kind]
    return read(given, target)


def _split(text: str) -> _Given:
    """Take a text apart into keys and values, by their own names and each at most once."""
    fields: dict[str, str] = {}
    for word in _values(text):
        key, equals, content = word.partition("=")
        key = _ALIASES.get(key.lower(), key.lower())
        if key in fields:
            raise UsageError(f"cannot read mount {text!r}: {key} is given twice")
        if equals and not content:  # an unset variable: it would show more than was asked for
            raise UsageError(f"cannot read mount {text!r}: {key} is empty")
        fields[key] = content if equals else "true"
    kind = fields.get("type", "volume")
    if kind not in _OWN:
        raise UsageError(
            f"cannot read mount {text!r}: type is {kind!r}, expected {', '.join(_OWN)}"
        )
    given = _Given(text, kind, fields)
    for key in fields.keys() - _COMMON - _OWN[kind]:
        known = any(key in own for own in _OWN.values())
        raise given.refusal(f"{key} is not for type {kind}" if known else f"unknown key {key!r}")
    return given


def _values(text: str) -> list[str]:
    if "\0" in text:
        raise UsageError(f"cannot read mount {text!r}: it has a NUL character in it")
    try:
        rows = list(csv.reader([text], strict=True))
    except csv.Error as error:
        raise UsageError(f"cannot read mount {text!r}: {error}") from error
    if len(rows) != 1 or not all(rows[0]):
        raise UsageError(f"cannot read mount {text!r}: expected type=TYPE,source=...,target=...")
    return rows[0]


def _source(given: _Given) -> str:
    source = given.said.get("source", "")
    if not source:
        raise given.refusal("it has no source")
    return source


def _bind(given: _Given, target: str) -> SpecMount:
    source = _source(given)
    if given.flag("bind-create-src"):
        raise given.refusal("chrun makes no directories of the host", hint=f"mkdir -p {source}")
    words = {"idmap"} if given.flag("idmap") else set[str]()
    if propagation := given.choice("bind-propagation", PROPAGATIONS):
        words.add(propagation)
    return bound(source, target, words | _recursion(given))


def _recursion(given: _Given) -> set[str]:
    """Read which of the mounts below the source are shown, and which are read-only."""
    how = given.choice("bind-recursive", _RECURSIONS)
    if "bind-nonrecursive" in given.said:
        if how:
            raise given.refusal("bind-recursive and bind-nonrecursive contradict")
        how = "disabled" if given.flag("bind-nonrecursive") else "enabled"
    readonly = given.flag("readonly")
    if how in {"writable", "readonly"} and not readonly:
        raise given.refusal(f"bind-recursive={how} needs readonly")
    words = {"disabled": {"bind"}, "writable": {"ro-top"}, "readonly": {"rro"}}.get(how, set[str]())
    return words | {"ro"} if readonly and not words & {"ro-top", "rro"} else words


def _tmpfs(given: _Given, target: str) -> SpecMount:
    if "source" in given.said:
        raise given.refusal("a tmpfs has no source")
    options = ["ro"] if given.flag("readonly") else []
    if size := given.said.get("tmpfs-size"):
        options.append(f"size={parse_size(size)}")
    if mode := given.said.get("tmpfs-mode"):
        check_tmpfs_value(given.text, "mode", mode)
        options.append(f"mode={mode}")
    return tmpfs_mount(target, tuple(options))


def _volume(given: _Given, target: str) -> SpecMount:
    name = given.said.get("source", "")
    if not name:
        raise given.refusal("a volume without a name would go with its container")
    check_volume_name(name)
    if given.said.get("volume-driver", "local") != "local":
        raise given.refusal("chrun has no volume drivers but local")
    for key, hint in (
        ("volume-opt", "for memory use type=tmpfs, for a path type=bind"),
        ("volume-label", "chrun volume create --label makes a volume that has one"),
    ):
        if key in given.said:
            raise given.refusal(f"{key} has no effect here", hint=hint)
    words = [word for word, key in _VOLUME_FLAGS if given.flag(key)]
    return SpecMount(target, "volume", name, tuple(words), _subpath(given, "volume-subpath"))


_VOLUME_FLAGS = (("nocopy", "volume-nocopy"), ("ro", "readonly"))


def _image(given: _Given, target: str) -> SpecMount:
    given.flag("readonly")  # it is, whatever is said
    return SpecMount(target, "image", _source(given), ("ro",), _subpath(given, "image-subpath"))


def _subpath(given: _Given, key: str) -> str:
    path = given.said.get(key, "")
    if path.startswith("/") or ".." in path.split("/"):
        raise given.refusal(f"{key} is {path!r}, expected a path inside, without '..'")
    return path
