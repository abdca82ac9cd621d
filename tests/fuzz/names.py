"""Names and addresses: references, digests, platforms, URLs, and where a registry may send us."""

from __future__ import annotations

from chrun.errors import ContentError, InvalidReferenceError, RegistryError, UsageError
from chrun.oci.digest import Digest
from chrun.oci.platform import Platform, rank
from chrun.oci.reference import Reference
from chrun.registry.http import address_of
from chrun.registry.proxies import proxy_for
from chrun.registry.trust import Trust, belongs, joined, origin_of, parsed
from tests.fuzz.harness import fuzz, fuzz_each
from tests.fuzz.inputs import Draw

_PARTS = (
        "http", "https", "ftp", "://", "//", ":", "/", "@", "?", "#", "[", "]", "[::1]",
        "127.0.0.1",
        "localhost", "a.example", "169.254.169.254", "2130706433", "0x7f.1", "::", "%25", "%00",
        "..",
        "80", "99999", "9" * 5000, "user", "\xff", "\u2024", "xn--a", "ü.example", ".", "x" * 300,
        "\\",
        "sha256", "a" * 64, "latest", "library", "linux", "amd64", "v8", "arm",
)  # fmt: skip
_BASES = ("https://r.example/v2/x", "http://127.0.0.1:5000/v2/", "http://[::1]/")


def _text(draw: Draw) -> str:
    """Put parts of names and addresses together."""
    return "".join(draw.list(lambda draw: draw.of(_part, _part, Draw.word), 8))


def _part(draw: Draw) -> str:
    return draw.one(_PARTS)


def _link(draw: Draw) -> tuple[str, str]:
    return draw.one(_BASES), _text(draw)


def _reference(text: str) -> None:
    try:
        reference = Reference.parse(text)
    except InvalidReferenceError:
        return
    assert Reference.parse(str(reference)) == reference
    assert Reference.parse(reference.familiar) == reference
    assert str(reference).isascii()


def _digest(text: str) -> None:
    try:
        assert str(Digest.parse(text)) == text
    except ContentError:
        return


def _platform(text: str) -> None:
    try:
        platform = Platform.parse(text)
    except UsageError:
        return
    for other in ("linux/amd64", "linux/arm/v7", "linux/arm64"):
        rank(platform, Platform.parse(other))
        rank(Platform.parse(other), platform)


def _url(given: tuple[str, str]) -> None:
    base, text = given
    origin = parsed(base)
    for find in (lambda: joined(base, text), lambda: parsed(text)):
        try:
            target = find()
        except RegistryError:
            continue
        if not Trust(frozenset({"a.example"})).refusal(origin, target):
            assert target.scheme in {"http", "https"}
            assert target.host
        belongs(target, origin)
        origin_of(target)
        address_of(target)
        proxy_for(target)


def run(seconds: float, seed: int | None = None) -> None:
    """Fuzz each of them."""
    fuzz_each([(_reference, _text), (_digest, _text), (_platform, _text)], seconds / 2, seed)
    fuzz(_url, _link, seconds / 2, seed)
