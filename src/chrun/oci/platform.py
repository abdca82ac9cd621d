"""Platforms: image-spec, image-index.md, and how an index's entries are matched to one."""

from __future__ import annotations

import os

from chrun.errors import UsageError
from chrun.values import Value

# uname -m -> Go's GOARCH and variant, the words that image-spec uses
_MACHINES = {
    "x86_64": ("amd64", ""),
    "aarch64": ("arm64", "v8"),
    "armv7l": ("arm", "v7"),
    "armv6l": ("arm", "v6"),
    "i686": ("386", ""),
    "i386": ("386", ""),
    "ppc64le": ("ppc64le", ""),
    "riscv64": ("riscv64", ""),
    "s390x": ("s390x", ""),
    "loongarch64": ("loong64", ""),
}
_ALIASES = {"x86_64": "amd64", "x86-64": "amd64", "aarch64": "arm64", "i386": "386"}
_DEFAULT_VARIANTS = {"arm64": "v8", "arm": "v7"}


class Platform(Value):
    """An operating system, an architecture and its variant, as Go names them."""

    os: str
    architecture: str
    variant: str = ""

    @classmethod
    def parse(cls, text: str) -> Platform:
        """Read `os/architecture[/variant]`, or an architecture alone; UsageError otherwise."""
        parts = text.lower().split("/")
        if len(parts) == 1:
            parts.insert(0, "linux")
        if len(parts) > 3 or not all(part.isascii() and part.isalnum() for part in _words(parts)):
            raise UsageError(
                f"cannot parse platform {text!r}: expected os/architecture[/variant]",
                hint="for example linux/arm64",
            )
        return normalized(cls(*parts))

    def __str__(self) -> str:
        return "/".join(part for part in (self.os, self.architecture, self.variant) if part)


def _words(parts: list[str]) -> list[str]:
    return [part.replace("_", "").replace("-", "") for part in parts]


def normalized(platform: Platform) -> Platform:
    """Give the platform in canonical words: x86_64 is amd64, and every arm64 is a v8."""
    architecture = _ALIASES.get(platform.architecture, platform.architecture)
    variant = platform.variant or _DEFAULT_VARIANTS.get(architecture, "")
    if architecture == "arm64" and variant == "8":
        variant = "v8"
    return Platform(platform.os or "linux", architecture, variant)


def machine_platform() -> Platform:
    """Give the platform of this machine."""
    machine = os.uname().machine
    architecture, variant = _MACHINES.get(machine, (machine, ""))
    return Platform("linux", architecture, variant)


def rank(offered: Platform, wanted: Platform) -> int | None:
    """Say how well an offer serves: 0 is the platform itself, more is worse, None does not run.

    An arm v7 processor runs v6 and v5 too; a variant of amd64 (v2, v3...) is an extension that a
    processor may lack, so only the plain one serves unless it was asked for.
    """
    have, want = normalized(offered), normalized(wanted)
    if (have.os, have.architecture) != (want.os, want.architecture):
        return None
    if have.variant == want.variant:
        return 0
    if want.architecture == "arm" and have.variant < want.variant:
        return ord(want.variant[-1]) - ord(have.variant[-1])
    if want.architecture == "amd64" and not have.variant:
        return 1
    return None
