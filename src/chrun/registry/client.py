"""Pulling from registries: manifests, configurations and blobs, by distribution-spec v1.1."""

from __future__ import annotations

import logging
from contextlib import contextmanager

from chrun.errors import ContentError, DigestMismatchError, RegistryError
from chrun.oci import media_types
from chrun.oci.digest import Digest
from chrun.oci.manifest import MAX_DOCUMENT_BYTES, Descriptor, parse_document
from chrun.oci.reference import DOCKER_HUB
from chrun.oci.verify import verified
from chrun.registry.credentials import CredentialStore
from chrun.registry.failures import failure
from chrun.registry.headers import parse_number, range_start
from chrun.registry.http import BUSY, Transport, address_of
from chrun.registry.session import Ask, Place, Session
from chrun.registry.trust import Trust

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Generator, Iterator, Mapping, Sequence
    from typing import TypeVar

    from chrun.oci.reference import Reference
    from chrun.registry.http import Response
    from chrun.registry.patience import Patience

    Found = TypeVar("Found")

_HOSTS = {DOCKER_HUB: "registry-1.docker.io"}  # where registries are that are not where they say
_DOCUMENTS = media_types.INDEXES | media_types.MANIFESTS
_ACCEPT = {"Accept": ", ".join(sorted(_DOCUMENTS))}
_log = logging.getLogger("chrun.registry")


class Registry:
    """Pulls from any registry; one instance serves many threads.

    `insecure` lists the hosts ("name" or "name:port") whose certificate is not checked and that
    may speak plain HTTP, as loopback may. `mirrors` gives for a registry the places to ask before
    it: "host[:port][/prefix]".
    """

    def __init__(
        self,
        *,
        credentials: CredentialStore | None = None,
        insecure: Collection[str] = (),
        mirrors: Mapping[str, Sequence[str]] | None = None,
        patience: Patience | None = None,
        user_agent: str = "chrun",
    ) -> None:
        trust = Trust(frozenset(host.lower() for host in insecure))
        transport = Transport(trust=trust, patience=patience, user_agent=user_agent)
        self._session = Session(transport, credentials or CredentialStore())
        self._mirrors = mirrors or {}

    def head_manifest(self, reference: Reference) -> Descriptor:
        """Ask what a reference means now: one HEAD request.

        A GET where the registry does not do HEAD, or leaves out what a descriptor needs. The
        digest is the registry's word: good to compare with, not to believe. ImageNotFoundError,
        UnauthorizedError, RateLimitedError or another RegistryError.
        """

        def ask(place: Place) -> Descriptor | None:
            path = f"manifests/{reference.selector}"
            with self._session.open(Ask(_pull(reference), place, "HEAD", path, _ACCEPT)) as head:
                if head.status in BUSY:
                    raise failure(_pull(reference), head)
                return _described(reference, head)

        return self._first(reference, ask) or self.fetch_manifest(reference)[0]

    def fetch_manifest(self, reference: Reference) -> tuple[Descriptor, bytes]:
        """Fetch the manifest or index that a reference names, and say what it is.

        DigestMismatchError when the reference has a digest and the bytes have another one;
        ContentError when they are no manifest; otherwise as head_manifest.
        """

        def ask(place: Place) -> tuple[Descriptor, bytes]:
            path = f"manifests/{reference.selector}"
            announced, content = self._document(_pull(reference), place, path)
            document = parse_document(reference.familiar, content, announced)
            digest = reference.digest or Digest.of(content)
            descriptor = Descriptor(document.media_type, digest, len(content))
            return descriptor, b"".join(verified(reference.familiar, [content], descriptor))

        return self._first(reference, ask)

    def fetch_document(self, reference: Reference, descriptor: Descriptor) -> bytes:
        """Fetch a small blob (a configuration) or a manifest by its digest, verified.

        ContentError when it is larger than MAX_DOCUMENT_BYTES, DigestMismatchError when it is
        not what the descriptor says, RegistryError when it cannot be had.
        """
        if descriptor.size > MAX_DOCUMENT_BYTES:
            raise ContentError(
                f"cannot fetch {descriptor.digest} of {reference.familiar}: "
                f"{descriptor.size} bytes, expected at most {MAX_DOCUMENT_BYTES}"
            )
        what = f"{descriptor.digest} of {reference.familiar}"
        kind = "manifests" if descriptor.media_type in _DOCUMENTS else "blobs"

        def ask(place: Place) -> bytes:
            path = f"{kind}/{descriptor.digest}"
            _, content = self._document(f"fetch {what}", place, path, descriptor.size)
            return b"".join(verified(what, [content], descriptor))

        return self._first(reference, ask)

    @contextmanager
    def open_blob(
        self, reference: Reference, descriptor: Descriptor, offset: int = 0
    ) -> Generator[BlobStream]:
        """Stream a blob from `offset` on, or from its start where the server ignores ranges.

        Nothing is verified here. DigestMismatchError when the registry announces more bytes than
        the descriptor; RegistryError when it cannot be had or, while it is read, when the
        connection breaks or ends early: what came until then counts, and the caller resumes.
        """
        what = f"fetch {descriptor.digest} of {reference.familiar}"

        def ask(place: Place) -> Response:
            path = f"blobs/{descriptor.digest}"
            headers = {"Range": f"bytes={offset}-"} if offset else {}
            response = self._session.open(Ask(what, place, "GET", path, headers))
            if response.status == 416:
                response.discard()
                response = self._session.open(Ask(what, place, "GET", path))
            if response.status not in (200, 206):
                raise failure(what, response)
            return response

        with self._first(reference, ask) as response:
            yield BlobStream(what, response, descriptor.size, offset)

    def _document(
        self, what: str, place: Place, path: str, most_bytes: int = MAX_DOCUMENT_BYTES
    ) -> tuple[str, bytes]:
        """Return the media type that the registry announced, and at most one byte too many."""
        with self._session.open(Ask(what, place, "GET", path, _ACCEPT)) as response:
            if response.status != 200:
                raise failure(what, response)
            return _media_type(response), response.answer(most_bytes + 1).body

    def _first(self, reference: Reference, ask: Callable[[Place], Found]) -> Found:
        """Ask the mirrors in order, and the registry itself last: only its failure counts."""
        for mirror in self._mirrors.get(reference.registry, ()):
            host, _, prefix = mirror.partition("/")
            repository = f"{prefix}/{reference.repository}" if prefix else reference.repository
            try:
                return ask(Place(host, _HOSTS.get(host, host), repository))
            except (RegistryError, ContentError) as error:
                _log.info("mirror %s: %s", mirror, error)
        host = _HOSTS.get(reference.registry, reference.registry)
        return ask(Place(reference.registry, host, reference.repository))


class BlobStream:
    """The bytes of a blob from `offset` on, and at most one more; to be iterated once."""

    def __init__(self, what: str, response: Response, size: int, asked: int) -> None:
        self._what = what
        self._response = response
        self._size = size
        self.offset = _range_start(what, response, asked) if response.status == 206 else 0
        self._check_length()

    def __iter__(self) -> Iterator[bytes]:
        end = self.offset
        for received in self._response.chunks():
            chunk = received[: self._size + 1 - end]
            end += len(chunk)
            yield chunk
            if end > self._size:
                return
        if end < self._size:
            raise RegistryError(
                f"cannot {self._what}: the connection ended after {end} of {self._size} bytes",
                url=address_of(self._response.url),
            )

    def _check_length(self) -> None:
        """Refuse what is announced to be longer, before a byte of it is read."""
        length = parse_number(self._response.headers.get("content-length", ""))
        if length is not None and self.offset + length > self._size:
            raise DigestMismatchError(
                f"cannot {self._what}: the registry has {self.offset + length} bytes, "
                f"expected {self._size}"
            )


def _pull(reference: Reference) -> str:
    return f"pull {reference.familiar}"


def _described(reference: Reference, head: Response) -> Descriptor | None:
    """Read a descriptor from a HEAD's headers, None unless they say all of it."""
    size, kind = parse_number(head.headers.get("content-length", "")), _media_type(head)
    if head.status != 200 or kind not in _DOCUMENTS or size is None:
        return None
    try:
        digest = reference.digest or Digest.parse(head.headers.get("docker-content-digest", ""))
    except ContentError:
        return None
    return Descriptor(kind, digest, size)


def _media_type(response: Response) -> str:
    return response.headers.get("content-type", "").partition(";")[0].strip().lower()


def _range_start(what: str, response: Response, asked: int) -> int:
    """Return where a partial answer starts: not behind what was asked."""
    start = range_start(response.headers)
    if start is None or start > asked:
        raise RegistryError(
            f"cannot {what}: the registry sent another part than the one asked for",
            status=response.status,
            url=address_of(response.url),
        )
    return start
