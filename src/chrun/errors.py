"""Every error that chrun raises on purpose.

ChrunError                      .hint: what the user can do, or ""
├── InvalidReferenceError       also a ValueError: the text is not an image reference
├── UsageError                  the options contradict each other or the image
├── RegistryError               .status .code .url: what the registry answered
│   ├── UnauthorizedError       it wants (other) credentials
│   ├── RateLimitedError        it wants fewer requests
│   └── ImageNotFoundError      it has no such image, or none for this platform
├── ContentError                bytes that are not what they must be
│   ├── DigestMismatchError     they are not the ones that the digest names
│   ├── UnsupportedMediaTypeError
│   └── UnsafeLayerError        a layer that reaches outside itself or lies about its size
├── StoreError                  the data directory cannot be read or written
│   ├── NoSuchImageError
│   ├── ImageInUseError
│   ├── NoSuchVolumeError
│   └── VolumeInUseError
├── RootfsError                 no root file system can be made here
├── UnsupportedError            this kernel, user or machine cannot; the hint says what mends it
├── RequirementError            .fact .found: --require asked for what the kernel does not show
├── SandboxError                .step .errno: a step of the plan that the kernel refused
│   ├── CommandNotFoundError    exit code 127
│   └── CommandNotExecutableError   exit code 126
└── ContainerStateError
    ├── NoSuchContainerError
    └── ContainerExistsError

A message is the line that the CLI prints behind "chrun: ": lower case, no full stop,
"cannot <verb> <object>: <what happened>". It is one printable line, whatever it quotes.
"""

from __future__ import annotations


class ChrunError(Exception):
    """The root of the tree; `hint` is one more line that tells the user what to do."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(_printable(message))
        self.hint = _printable(hint)
        if hint:
            self.add_note(f"hint: {self.hint}")


def _printable(text: str) -> str:
    if text.isprintable():
        return text
    return "".join(mark if mark.isprintable() else "?" for mark in text)


class InvalidReferenceError(ChrunError, ValueError):
    """The text is not an image reference by the distribution project's grammar."""


class UsageError(ChrunError):
    """What was asked for contradicts itself, the image or the command line's grammar."""


class RegistryError(ChrunError):
    """A registry could not be reached, or answered with an error."""

    def __init__(
        self, message: str, *, hint: str = "", status: int = 0, code: str = "", url: str = ""
    ) -> None:
        super().__init__(message, hint=hint)
        self.status = status
        self.code = code
        self.url = url


class UnauthorizedError(RegistryError):
    """The registry wants credentials, or other ones."""


class RateLimitedError(RegistryError):
    """The registry answered 429 more often than chrun was willing to wait."""


class ImageNotFoundError(RegistryError):
    """The registry has no such image, or none for the platform asked for."""


class ContentError(ChrunError):
    """Bytes from outside are not what they must be."""


class DigestMismatchError(ContentError):
    """The bytes are not those that their digest names."""


class UnsupportedMediaTypeError(ContentError):
    """A document or layer of a kind that chrun does not read."""


class UnsafeLayerError(ContentError):
    """A layer that would write outside its directory or that lies about its size."""


class StoreError(ChrunError):
    """The data directory cannot be read or written, or is of a newer version."""


class NoSuchImageError(StoreError):
    """The store has no such image."""


class ImageInUseError(StoreError):
    """A container still stands on the image."""


class NoSuchVolumeError(StoreError):
    """The store has no such volume."""


class VolumeInUseError(StoreError):
    """A container still uses the volume."""


class RootfsError(ChrunError):
    """No root file system could be made from the layers."""


class UnsupportedError(ChrunError):
    """This kernel, user or machine cannot do it; the hint says what would mend it."""


class RequirementError(ChrunError):
    """The kernel does not show a fact that was required; `found` is what it shows instead."""

    def __init__(self, message: str, *, hint: str = "", fact: str = "", found: str = "") -> None:
        super().__init__(message, hint=hint)
        self.fact = fact
        self.found = found


class SandboxError(ChrunError):
    """The kernel refused a step of the plan: `step` is its words, `errno` the kernel's answer."""

    def __init__(self, message: str, *, hint: str = "", step: str = "", errno: int = 0) -> None:
        super().__init__(message, hint=hint)
        self.step = step
        self.errno = errno


class CommandNotFoundError(SandboxError):
    """The command, or the interpreter it names, is not in the image."""


class CommandNotExecutableError(SandboxError):
    """The command is in the image but cannot be executed."""


class ContainerStateError(ChrunError):
    """The container is not in a state that allows this."""


class NoSuchContainerError(ContainerStateError):
    """There is no such container."""


class ContainerExistsError(ContainerStateError):
    """A container of that name exists already."""
