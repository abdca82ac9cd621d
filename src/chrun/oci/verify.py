"""The one reader through which every byte from outside passes."""

from __future__ import annotations

import hashlib

from chrun.errors import DigestMismatchError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from chrun.oci.manifest import Descriptor


def verified(what: str, chunks: Iterable[bytes], descriptor: Descriptor) -> Iterator[bytes]:
    """Pass chunks on; DigestMismatchError, after at most `size` bytes, unless they are the blob.

    A consumer must read to the end before it believes what it has read.
    """
    hasher = hashlib.new(descriptor.digest.algorithm)
    size = 0
    for chunk in chunks:
        size += len(chunk)
        if size > descriptor.size:
            raise DigestMismatchError(
                f"cannot fetch {what}: got more than the expected {descriptor.size} bytes"
            )
        hasher.update(chunk)
        yield chunk
    if size != descriptor.size:
        raise DigestMismatchError(
            f"cannot fetch {what}: got {size} bytes, expected {descriptor.size}"
        )
    if hasher.hexdigest() != descriptor.digest.hex:
        raise DigestMismatchError(
            f"cannot fetch {what}: content after {size} bytes has digest "
            f"{descriptor.digest.algorithm}:{hasher.hexdigest()}, expected {descriptor.digest}"
        )
