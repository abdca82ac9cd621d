"""What a keyword of `chrun.run` may be: TypeError or UsageError for the rest, naming the keyword.

No keyword is taken for what it seems to mean: every text is true, and privileged="false" would be
a container with all privileges.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TypeVar, cast

from chrun.errors import UsageError

Choice = TypeVar("Choice", bound=str)

_SIZE_BITS = 63

_BOOLS = frozenset({"capture_output", "check", "init", "privileged", "readonly", "text"})
_TEXTS = frozenset(
    {
        "cgroupns",
        "hostname",
        "image",
        "ipc",
        "isolation",
        "network",
        "pid",
        "platform",
        "pull",
        "user",
        "userns",
        "uts",
    }
)


def check_kinds(given: Mapping[str, object]) -> None:
    """Check what is a bool, a text or a number; the functions below check the other keywords."""
    for name, content in given.items():
        if name in _BOOLS and not isinstance(content, bool):
            raise TypeError(f"{name} must be a bool, got {content!r}")
        if name in _TEXTS:
            if not isinstance(content, str):
                raise TypeError(f"{name} must be a str, got {content!r}")
            _plain(name, content)
    _check_timeout(given.get("timeout"))
    _check_scratch_bytes(given.get("scratch_bytes", 0))


def _check_timeout(given: object) -> None:
    if given is not None and (isinstance(given, bool) or not isinstance(given, (int, float))):
        raise TypeError(f"timeout must be a number of seconds or None, got {given!r}")


def _check_scratch_bytes(given: object) -> None:
    if isinstance(given, bool) or not isinstance(given, int):
        raise TypeError(f"scratch_bytes must be an int, got {given!r}")
    if given < 0:
        raise UsageError(f"cannot use scratch_bytes {given}: expected 0, which is disk, or more")
    if given >> _SIZE_BITS:
        raise UsageError("cannot use scratch_bytes: the kernel cannot count that far")


def to_path(name: str, given: object) -> str:
    """Give the path of a str or an os.PathLike; TypeError for anything else, bytes too."""
    path: object = given
    if isinstance(given, os.PathLike):
        path = os.fspath(cast("os.PathLike[str]", given))
    if not isinstance(path, str):
        raise TypeError(f"{name} must be a str or an os.PathLike of one, got {given!r}")
    return _plain(name, path)


def to_receipt(given: object) -> str:
    """Give the receipt's path; an empty one is an error as on the command line."""
    path = to_path("receipt", given)
    if not path:
        raise UsageError("cannot write a receipt: receipt is empty")
    return path


def to_words(name: str, given: object) -> tuple[str, ...]:
    """Give the strings; TypeError for a single one, which would be taken apart into letters."""
    if isinstance(given, Sequence) and not isinstance(given, (str, bytes, bytearray)):
        members = cast("Sequence[object]", given)
        words = tuple(word for word in members if isinstance(word, str))
        if len(words) == len(members):
            return tuple(_plain(name, word) for word in words)
    raise TypeError(f"{name} must be a sequence of strings, got {given!r}")


def to_limit(name: str, given: object) -> tuple[str, ...]:
    """Give a limit as the command line has it; TypeError for what is none."""
    if name == "ulimit" or name.startswith("device_"):
        return to_words(name, given)
    if isinstance(given, bool) or not isinstance(given, (str, int, float)):
        raise TypeError(f"{name} must be a number or a text, got {given!r}")
    return (_plain(name, str(given)),)


def to_variables(given: object) -> tuple[str, ...]:
    """Give NAME=CONTENT for each; an error shows no content, which may be a secret."""
    if given is None:
        return ()
    if not isinstance(given, Mapping):
        raise TypeError(f"env must be a mapping of strings, got {type(given).__name__}")
    variables = cast("Mapping[object, object]", given)
    return tuple(_variable(name, content) for name, content in variables.items())


def _variable(name: object, content: object) -> str:
    if not isinstance(name, str) or not isinstance(content, str):
        kind = type(content).__name__
        raise TypeError(f"env must be a mapping of strings, got {kind} for {name!r}")
    if not name or "=" in name:
        raise UsageError(f"cannot set variable {name!r}: a name is not empty and has no '='")
    return f"{name}={content}"


def _plain(name: str, text: str) -> str:
    """Refuse what no system call can be given, and so no word of a command line has."""
    if "\0" in text:
        raise UsageError(f"cannot use {name} {text[:80]!r}: it has a NUL character in it")
    try:
        os.fsencode(text)
    except UnicodeEncodeError as error:
        raise UsageError(f"cannot use {name} {text[:80]!r}: it is no text") from error
    return text


def to_choice(name: str, given: Choice, choices: Sequence[Choice]) -> Choice:
    """Refuse a typing mistake: it must not turn into less isolation than was asked for."""
    if given not in choices:
        raise UsageError(f"cannot run with {name} {given!r}: expected {', '.join(choices)}")
    return given
