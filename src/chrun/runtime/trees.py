"""Steps for volumes that need more than a bind: a tree of mounts is grabbed, then put in place.

In between it can be changed while nobody sees it; and what is grabbed before all mounts are made
private still belongs to the peer group of the machine's mount. mount_setattr(2), open_tree(2).
"""

from __future__ import annotations

from chrun.runtime.notes import PLACE_NOTES
from chrun.runtime.steps import Note, Step

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import ClassVar

SLOTS = 32  # how many trees can be held at once: MAX_TREES in native/steps.h

_TOO_OLD = "this kernel cannot change a mount before it is seen"
_LINUX_5_12 = "Linux 5.12 or later can; without the volume's options any kernel can show it"


class Grab(Step):
    """Copy the mount of a host path, or of what lies `below` it, into a slot."""

    number: ClassVar[int] = 34
    slot: int
    source: str
    below: str
    recursive: bool
    explained: tuple[Note, ...] = (
        Note(1, "operation not permitted", _LINUX_5_12),
        Note(18, "a symlink there leads out of the volume"),
        Note(22, "what is mounted below it may not be left out here", "use rbind instead of bind"),
        Note(38, _TOO_OLD, _LINUX_5_12),
        Note(40, "a symlink there leads in a circle, or into /proc"),
    )

    def describe(self) -> str:
        return f"take hold of {self.source}{'/' if self.below else ''}{self.below}"

    @property
    def why(self) -> str:
        return "its mounts get their options before anybody sees them"


class Place(Step):
    """Set flags and propagation of the tree in a slot, and put it on a target."""

    number: ClassVar[int] = 36
    words: ClassVar[str] = "mount {0.said} on {0.target}"
    slot: int
    target: str
    set_flags: int  # MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC
    clear_flags: int
    recursive: bool
    propagation: int  # MS_PRIVATE, MS_SLAVE, MS_SHARED, with MS_REC; 0 leaves it
    said: str
    reason: str = "asked for as a volume"
    explained: tuple[Note, ...] = (
        Note(1, "the machine set flags of that mount that may not be taken away here"),
        Note(38, _TOO_OLD, _LINUX_5_12),
        Note(40, "the image has a symlink there that leads into /proc, or in a circle"),
        *PLACE_NOTES,
    )


class Like(Step):
    """Give a directory in the base directory the owner and the mode of a host path."""

    number: ClassVar[int] = 37
    words: ClassVar[str] = "let {0.name} have the owner and the mode of {0.source}"
    because: ClassVar[str] = "the top of an overlay is what its writable directory is"
    source: str
    name: str
