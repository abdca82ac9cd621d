"""Digests: image-spec, descriptor.md, section "Digests"."""

from __future__ import annotations

from chrun.errors import ContentError
from chrun.values import Value

# The registered algorithms and the length of their hex part. Nothing else may become a file name.
_HEX_LENGTHS = {"sha256": 64, "sha512": 128}
_HEX = frozenset("0123456789abcdef")


class Digest(Value):
    """A content address: the algorithm and the lower-case hex of its value."""

    algorithm: str
    hex: str

    @classmethod
    def parse(cls, text: str) -> Digest:
        """Read `sha256:...` or `sha512:...`; ContentError for anything else."""
        algorithm, _, value = text.partition(":")
        if len(value) != _HEX_LENGTHS.get(algorithm) or not _HEX.issuperset(value):
            raise ContentError(f"cannot read digest {text[:160]!r}: not sha256 or sha512 in hex")
        return cls(algorithm, value)

    @classmethod
    def of(cls, content: bytes) -> Digest:
        """Give the sha256 digest of bytes."""
        from hashlib import sha256  # not needed to start a container

        return cls("sha256", sha256(content).hexdigest())

    def __str__(self) -> str:
        return f"{self.algorithm}:{self.hex}"

    @property
    def short(self) -> str:
        """The first 12 hex digits, for messages."""
        return self.hex[:12]
