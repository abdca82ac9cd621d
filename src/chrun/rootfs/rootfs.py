"""Which root file system a container gets, as a value; and the choice between the kinds."""

from __future__ import annotations

from chrun.errors import UnsupportedError
from chrun.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Literal

    from chrun.linux.host import Host

    RootfsKind = Literal["overlay", "copy"]


COPY_NAME = "rootfs"  # the directory, in a container's, that layers are copied into


class MachineFile(Value):
    """A small file that belongs to this machine rather than to the image.

    Where `expanded`, `%h` stands for the container's host name and `%%` for a per cent sign. An
    `optional` one is left out of an image that has no such directory.
    """

    target: str
    text: bytes
    expanded: bool = False
    optional: bool = False
    reason: str = "names and addresses come from this machine"


class Rootfs(Value):
    """A root file system to assemble.

    `layers` are directories, base first; only `rootfs/overlay.py` reverses them. Below them an
    overlay has `mount_points_dir`, with what is mounted on and an image may lack. The writable
    directory lies on disk in the container's directory, or with `tmpfs_size` (bytes) in memory.
    """

    kind: RootfsKind
    layers: tuple[str, ...]
    base_dir: str
    mount_points_dir: str
    tmpfs_size: int = 0
    files: tuple[MachineFile, ...] = ()

    @property
    def writes_to_disk(self) -> bool:
        """Whether it is an overlay whose writable directory is the container's."""
        return self.kind == "overlay" and not self.tmpfs_size


def choose_rootfs_kind(host: Host, wanted: RootfsKind | None) -> RootfsKind:
    """Overlay where the kernel has it; UnsupportedError if it was asked for by name and is not."""
    lack = host.lack_of("overlay")
    if wanted == "overlay" and lack:
        raise UnsupportedError(f"cannot use overlayfs: {lack.why}", hint=lack.hint)
    return wanted or ("copy" if lack else "overlay")
