"""Finding a file in a stack of layers without mounting it: who is `redis` in this image?"""

from __future__ import annotations

import os
import stat

from chrun.errors import RootfsError
from chrun.rootfs.whiteouts import is_opaque

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC
# To look at first: a device of an image's does something by being opened, a watchdog or a tape
_NODE = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC


def read_layer_file(layers: Sequence[str], directory: str, name: str, limit: int) -> bytes:
    """Give the content of `directory/name` as the stacked layers (base first) show it.

    b"" when it is missing or anything but a regular file of at most `limit` bytes reached without
    a symlink: an image may ship /etc/passwd as a link to the host's, a FIFO or /dev/zero
    (CVE-2024-9676). Neither component may contain a slash.
    """
    for layer in reversed(layers):
        try:
            directory_fd = os.open(os.path.join(layer, directory), _FLAGS | os.O_DIRECTORY)
        except FileNotFoundError:
            continue
        except OSError:  # a whiteout, a symlink, a file: nothing below shows through
            return b""
        try:
            content = _read_regular(directory_fd, name, limit)
            if content is not None or is_opaque(directory_fd):
                return content or b""
        finally:
            os.close(directory_fd)
    return b""


def visible_layers(layers: Sequence[str]) -> tuple[str, ...]:
    """Give the layers (base first) from the topmost one whose root is opaque on.

    overlayfs heeds the mark on directories below the root only. RootfsError for a layer that is
    not there.
    """
    for position in range(len(layers) - 1, -1, -1):
        try:
            if is_opaque(layers[position]):
                return tuple(layers[position:])
        except OSError as error:
            raise RootfsError(
                f"cannot read layer {layers[position]}: {(error.strerror or '').lower()}",
                hint="remove the image and pull it again",
            ) from error
    return tuple(layers)


def _read_regular(directory_fd: int, name: str, limit: int) -> bytes | None:
    """Give the content, b"" for what is not a readable regular file, None for nothing."""
    try:
        node_fd = os.open(name, _NODE, dir_fd=directory_fd)
    except FileNotFoundError:
        return None
    except OSError:
        return b""
    try:
        status = os.fstat(node_fd)
        if not stat.S_ISREG(status.st_mode) or status.st_size > limit:
            return b""
        file_fd = os.open(f"/proc/self/fd/{node_fd}", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return b""
    finally:
        os.close(node_fd)
    try:
        return os.read(file_fd, limit)
    finally:
        os.close(file_fd)
