"""Words for a POSIX shell: nothing in them is ever taken for syntax or for a terminal's."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-+=./,:@%^")
_HOST_NAME = "%h"  # chrun-init's word for it, in the environment and in files


def quote(text: str) -> str:
    """Give a text as one word; newlines stay, other control characters and odd bytes are spelt.

    A character that a terminal would obey is written as printf(1)'s octal escape.
    """
    if text and _PLAIN.issuperset(text):
        return text
    parts: list[str] = []
    plain = ""
    for mark in text:
        if mark == "'":
            parts += [_quoted(plain), '"\'"']
        elif not mark.isprintable() and mark not in "\n\t":
            octal = "".join(f"\\{byte:03o}" for byte in mark.encode(errors="surrogateescape"))
            parts += [_quoted(plain), f"\"$(printf '{octal}')\""]
        else:
            plain += mark
            continue
        plain = ""
    return "".join([*parts, _quoted(plain)]) or "''"


def quote_all(words: Iterable[str]) -> str:
    """Give words as the shell wants them beside each other."""
    return " ".join(map(quote, words))


def quote_named(text: str, *, percents: bool) -> str:
    """Give a text in which `%h` becomes the shell variable `name`, and `%%` (percents) a `%`."""
    pieces = text.replace("%%", "\0").split(_HOST_NAME) if percents else text.split(_HOST_NAME)
    joined = '"$name"'.join(quote(piece.replace("\0", "%")) if piece else "" for piece in pieces)
    return joined or "''"


def comment(text: str) -> str:
    """Give one line of comment, whatever is in the text."""
    return "# " + "".join(mark if mark.isprintable() else "?" for mark in text)


def _quoted(text: str) -> str:
    return f"'{text}'" if text else ""
