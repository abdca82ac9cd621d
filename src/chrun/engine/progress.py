"""What a pull tells of itself, to whoever wants to show it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from chrun.values import Value

if TYPE_CHECKING:
    from typing import Self

    from chrun.oci.digest import Digest


class Part(Value):
    """One layer of an image that is pulled: the `position`th of `count`, `size` bytes as fetched.

    `image` is the image's familiar name.
    """

    image: str
    position: int
    count: int
    digest: Digest
    size: int

    def __str__(self) -> str:
        return f"layer {self.position}/{self.count} of {self.image}"


class Progress(Protocol):
    """Shows a pull while it lasts, as a context manager; its methods are called by many threads."""

    def __enter__(self) -> Self:
        """Begin to show."""
        ...

    def __exit__(self, *_error: object) -> None:
        """Leave the terminal as it was."""
        ...

    def present(self, part: Part) -> None:
        """Tell that nothing has to be done for this layer."""
        ...

    def waiting(self, part: Part) -> None:
        """Tell that another chrun fetches this layer, and that its result will be used."""
        ...

    def started(self, part: Part, done: int) -> None:
        """Tell that the layer is being fetched; `done` bytes are here from an earlier attempt."""
        ...

    def advanced(self, part: Part, amount: int) -> None:
        """Tell that `amount` bytes more are here."""
        ...

    def resuming(self, part: Part, why: str) -> None:
        """Tell that the transfer broke, and goes on from where it was."""
        ...

    def finished(self, part: Part) -> None:
        """Tell that the layer is fetched, checked and unpacked."""
        ...


class Silent:
    """Shows nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        return

    def present(self, part: Part) -> None:
        """Show nothing."""

    def waiting(self, part: Part) -> None:
        """Show nothing."""

    def started(self, part: Part, done: int) -> None:
        """Show nothing."""

    def advanced(self, part: Part, amount: int) -> None:
        """Show nothing."""

    def resuming(self, part: Part, why: str) -> None:
        """Show nothing."""

    def finished(self, part: Part) -> None:
        """Show nothing."""
