"""Making inputs that are nearly right."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from random import Random
    from typing import TypeAlias

    Choice = TypeVar("Choice")
    Made = TypeVar("Made")
    Make: TypeAlias = "Callable[[Draw], str]"

_MANY = "9" * 5000
NUMBERS = (
    "0", "1", "-1", "5", "512", "65536", "2147483647", "2147483648", "4294967295", "4294967296",
    "9223372036854775807", "9223372036854775808", "-9223372036854775809", "18446744073709551615",
    "18446744073709551616", "9" * 20, "9" * 30, "1" + "0" * 4000, _MANY, f"-{_MANY}", "1e3",
    "1E999",
    "1.5", "-0", "0x10", "0b1", "1_0", "+1", " 1", "01", "NaN", "nan", "Infinity", "inf",
    "-Infinity",
    "\xb2", "\u0663", "", ".", "-", "1.", ".1", "true", "null",
)  # fmt: skip
WORDS = (
    "", "a", "/", "..", ".", "a/../b", "\0", "a\0b", "\n", "a\nb", "\x1b[2J", "\ud800", "\udcff",
    "ü", "\u202e", "\U0001f433", "=", ":", ",", "'", '"', "%", "%00", "%zz", "[", "]", "[::1]", "{",
    "*", "-", "--", "\\", "x" * 300, "x" * 5000, "linux", "amd64", "sha256:", "sha256:" + "a" * 64,
    "sha512:" + "0" * 128, "127.0.0.1", "localhost:5000/x", "http://[", "https://a.example/b?c",
)  # fmt: skip
_DEEP = 3000
_WRONG = (
    "NaN", "Infinity", "1e999", "true", "null", "[]", "{}", '""', '"\\ud800"', '"\\u0000"',
    '"a\\u0000"',
    '"\\udcff"', "[" * _DEEP + "]" * _DEEP, '{"a":' * _DEEP + "1" + "}" * _DEEP,
    '{"a": 1, "a": "b"}',
    '"\xff"', "'a'", "//", '{"\\ud800": "\\ud800"}', '["\\u0000"]',
)  # fmt: skip


class Draw:
    """Chooses, by a generator of random numbers."""

    def __init__(self, random: Random) -> None:
        self.random = random

    def one(self, choices: Sequence[Choice]) -> Choice:
        """Return one of several things."""
        return choices[int(self.random.random() * len(choices))]

    def of(self, *makers: Callable[[Draw], Made]) -> Made:
        """Have one of several functions make something."""
        return self.one(makers)(self)

    def chance(self, times: int) -> bool:
        """Return True once in so many times."""
        return self.random.random() * times < 1

    def integer(self, low: int, high: int) -> int:
        """Return an integer, its ends included."""
        return self.random.randint(low, high)

    def list(self, make: Callable[[Draw], Made], most: int) -> list[Made]:
        """Make up to so many things."""
        return [make(self) for _ in range(self.integer(0, most))]

    def bytes(self, most: int) -> bytes:
        """Return up to so many bytes."""
        return self.random.randbytes(self.integer(0, most))

    def number(self) -> str:
        """Write a number, or nearly one."""
        return (
            self.one(NUMBERS)
            if self.chance(2)
            else str(self.integer(0, 1 << 66) >> self.integer(0, 66))
        )

    def word(self) -> str:
        """Return a text."""
        dice = self.integer(0, 9)
        if dice == 0:
            return self.number()
        if dice < 3:
            return "".join(chr(self.integer(0, 0x2FF)) for _ in range(self.integer(0, 9)))
        return self.one(WORDS) if dice < 9 else self.one(WORDS) + self.one(WORDS)

    def token(self) -> bytes:
        """Return bytes."""
        return self.bytes(20) if self.chance(3) else self.word().encode(errors="surrogatepass")

    def damaged(self, right: bytes) -> bytes:
        """Replace, remove or repeat some bytes, now and then."""
        if not self.chance(3):
            return right
        data = bytearray(right)
        for _ in range(self.integer(1, 4)):
            at, length = self.integer(0, len(data)), self.integer(0, 16)
            repeated = data[at : at + 64]
            data[at : at + length] = repeated if self.chance(3) else self.token()
        return bytes(data)

    def pieces(self, data: bytes) -> list[bytes]:
        """Cut bytes as a network would."""
        cuts = sorted(self.integer(0, len(data)) for _ in range(self.integer(0, 4)))
        return [data[start:end] for start, end in pairwise((0, *cuts, len(data)))]


def quoted(text: str) -> str:
    """Write a text as JSON, whatever is in it."""
    if text.isascii() and text.isalnum():
        return f'"{text}"'
    escaped = (f"\\u{ord(mark):04x}" if ord(mark) < 0x10000 else mark for mark in text)
    return '"' + "".join(escaped) + '"'


def text(draw: Draw) -> str:
    """Write a text as JSON."""
    return quoted(draw.word())


def number(draw: Draw) -> str:
    """Write a number as JSON, or nearly."""
    return draw.number() if draw.chance(3) else str(draw.integer(0, 1000))


def anything(draw: Draw) -> str:
    """Write something as JSON, or nearly."""
    return draw.of(
        lambda draw: draw.one(_WRONG),
        Draw.number,
        text,
        lambda draw: f"[{', '.join(draw.list(text, 3))}]",
    )


def fixed(*texts: str) -> Make:
    """Return a function that writes one of several texts as JSON."""
    return lambda draw: quoted(draw.one(texts))


def raw(*texts: str) -> Make:
    """Return a function that writes one of several texts as it is."""
    return lambda draw: draw.one(texts)


def listed(make: Make, most: int = 4) -> Make:
    """Return a function that writes lists as JSON."""
    return lambda draw: f"[{', '.join(draw.list(lambda draw: maybe(draw, make), most))}]"


def maybe(draw: Draw, make: Make) -> str:
    """Write what is right nine times of ten, and anything else."""
    return anything(draw) if draw.chance(10) else make(draw)


def objects(fields: Mapping[str, Make]) -> Make:
    """Return a function that writes objects as JSON: most fields, sometimes an unknown one."""

    def write(draw: Draw) -> str:
        written = {name: maybe(draw, make) for name, make in fields.items() if not draw.chance(8)}
        if draw.chance(8):
            written[draw.word()] = anything(draw)
        return "{" + ", ".join(f"{quoted(key)}: {told}" for key, told in written.items()) + "}"

    return write


def json_bytes(make: Make) -> Callable[[Draw], bytes]:
    """Return a function that makes JSON as bytes, now and then damaged."""
    return lambda draw: draw.damaged(make(draw).encode(errors="surrogatepass"))
