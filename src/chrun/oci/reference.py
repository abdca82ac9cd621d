"""Image references, by the grammar of the distribution project's `reference` package.

    reference  = name [ ":" tag ] [ "@" digest ]
    name       = [ domain "/" ] path-component { "/" path-component }

A reference without a domain is Docker Hub's, one without tag and digest means `latest`.
"""

from __future__ import annotations

import re

from chrun.errors import ContentError, InvalidReferenceError
from chrun.oci.digest import Digest
from chrun.values import Value

DOCKER_HUB = "docker.io"
_NAME_LENGTH = 255  # distribution's RepositoryNameTotalLengthMax, without the domain

_LABEL = r"(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])"
_DOMAIN = rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[a-fA-F0-9:]+\])(?::[0-9]+)?"
_COMPONENT = r"[a-z0-9]+(?:(?:[._]|__|[-]+)[a-z0-9]+)*"
_PATH = rf"{_COMPONENT}(?:/{_COMPONENT})*"
_TAG = r"[a-zA-Z0-9_][a-zA-Z0-9_.-]{0,127}"
_DIGEST = r"[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,}"
_REFERENCE = re.compile(rf"((?:{_DOMAIN}/)?{_PATH})(?::({_TAG}))?(?:@({_DIGEST}))?", re.ASCII)
_REGISTRY_AND_PATH = re.compile(rf"({_DOMAIN})/({_PATH})", re.ASCII)
_IMAGE_ID = re.compile(r"[0-9a-f]{64}")


class Reference(Value):
    """Where an image is: registry, repository in it, and a tag, a digest or both.

    With both the digest decides and the tag is only a name (as for docker).
    """

    registry: str
    repository: str
    tag: str = ""
    digest: Digest | None = None

    @classmethod
    def parse(cls, text: str) -> Reference:
        """Read a reference as a user types it; InvalidReferenceError says what is wrong."""
        match = _REFERENCE.fullmatch(text)
        if match is None or _IMAGE_ID.fullmatch(text):
            raise InvalidReferenceError(
                f"cannot parse reference {text[:300]!r}: {_why_invalid(text)}"
            )
        registry, repository = _split_name(match[1])
        if len(repository) > _NAME_LENGTH:
            raise InvalidReferenceError(
                f"cannot parse reference {text[:60]!r}...: "
                f"the name is longer than {_NAME_LENGTH} characters"
            )
        try:
            digest = Digest.parse(match[3]) if match[3] else None
        except ContentError as error:
            raise InvalidReferenceError(
                f"cannot parse reference {text[:300]!r}: {error}"
            ) from error
        tag = match[2] or ("" if digest else "latest")
        return cls(registry, repository, tag, digest)

    def __str__(self) -> str:
        tag = f":{self.tag}" if self.tag else ""
        digest = f"@{self.digest}" if self.digest else ""
        return f"{self.registry}/{self.repository}{tag}{digest}"

    @property
    def familiar(self) -> str:
        """The shortest text that parses to this reference, but for a `:latest` that it keeps."""
        text = str(self)
        for prefix in (f"{DOCKER_HUB}/library/", f"{DOCKER_HUB}/"):
            shorter = text.removeprefix(prefix)
            if shorter != text and _reads_back(shorter, self):
                return shorter
        return text

    @property
    def selector(self) -> str:
        """What a registry's manifest URL ends in: the digest, or else the tag."""
        return str(self.digest) if self.digest else self.tag


def _split_name(name: str) -> tuple[str, str]:
    """Split into registry and repository; a first component is a registry if it looks like one."""
    first, slash, rest = name.partition("/")
    looks_like_host = any(mark in first for mark in ".:") or first.lower() != first
    if not slash or not (looks_like_host or first == "localhost"):
        first, rest = DOCKER_HUB, name
    if first == "index.docker.io":  # the name under which Docker Hub's credentials are kept
        first = DOCKER_HUB
    if first == DOCKER_HUB and "/" not in rest:
        rest = f"library/{rest}"
    return first, rest


def _reads_back(text: str, reference: Reference) -> bool:
    try:
        return Reference.parse(text) == reference
    except InvalidReferenceError:
        return False


def _why_invalid(text: str) -> str:
    if not text:
        return "it is empty"
    if _IMAGE_ID.fullmatch(text):
        return "64 hex digits are an image ID, not a name"
    if "://" in text:
        return "it is a URL; leave the scheme out"
    if _REFERENCE.fullmatch(text.lower()):
        return "the repository must be lower case"
    return "expected [registry/]name[:tag][@digest]"
