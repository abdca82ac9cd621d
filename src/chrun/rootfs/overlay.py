"""Overlay mounts: Documentation/filesystems/overlayfs.rst."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from chrun.linux.host import Host
    from chrun.rootfs.rootfs import Rootfs


def lowers(rootfs: Rootfs) -> tuple[str, ...]:
    """Give the layers as overlayfs lists them, topmost first, and below them the mount points."""
    return (*reversed(rootfs.layers), rootfs.mount_points_dir)


def mount_options(rootfs: Rootfs, host: Host, *, in_userns: bool) -> str:
    """Give the mount options, in names relative to the base directory.

    The lower directories are called 0, 1, 2... from the top: 500 layers fit into the one page that
    mount options have. `userxattr` is what an overlay inside a user namespace needs to see opaque
    directories (5.11); `volatile` (5.10) leaves out syncs for a directory that is thrown away.
    """
    options = [
        "lowerdir=" + ":".join(map(str, range(len(lowers(rootfs))))),
        "upperdir=scratch/upper",
        "workdir=scratch/work",
    ]
    if in_userns:
        options.append("userxattr")
    if host.kernel >= (5, 10):
        options.append("volatile")
    return ",".join(options)
