"""The process inside a user namespace: one task, whose result is written to standard output.

What a task needs comes as words and on standard input; `engine/inside.py` starts it.
"""

from __future__ import annotations

import os
import sys

from chrun.errors import ChrunError
from chrun.layers.limits import limits_below
from chrun.layers.owners import Owners
from chrun.layers.unpack import unpack_archive, unpack_layer
from chrun.rootfs.copy import copy_layers
from chrun.rootfs.subtree import copy_subtree
from chrun.store.answers import packed
from chrun.store.layout import Layout
from chrun.store.removal import empty_trash

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

BUG = "bug"  # instead of the kind of an error
_CHUNK_BYTES = 1 << 18


def main() -> None:
    """Do the task that the command line names and say what came of it."""
    os.umask(0o022)
    try:
        result: tuple[str, ...] = ("", _carry_out(*sys.argv[1:]))  # no error, and what came of it
    except ChrunError as error:
        result = (type(error).__name__, str(error), error.hint)
    except MemoryError:
        result = (MemoryError.__name__, "", "")
    except Exception as error:  # noqa: BLE001 - a bug, told by the process that waits for a result
        from traceback import format_exception

        result = (BUG, type(error).__name__, "".join(format_exception(error)))
    with os.fdopen(1, "wb") as said:
        said.write(packed(*result))


def _carry_out(task: str, *words: str) -> str:
    match task, words:
        case "unpack", (what, directory, media_type):
            return _unpack(what, directory, media_type)
        case "copy", (root, *layers):
            copy_layers(layers, root)
            return ""
        case "copy-subtree", (path, target, *layers):
            return "copied" if copy_subtree(layers, path, target) else ""
        case "empty-trash", (root,):
            return str(empty_trash(Layout(root)))
        case _:
            raise ValueError(f"no such task: {task}")


def _unpack(what: str, directory: str, media_type: str) -> str:
    limits = limits_below(directory)
    if not media_type:
        return str(unpack_archive(what, _chunks(), directory, owners=Owners.MAPPED, limits=limits))
    return str(
        unpack_layer(
            what,
            _chunks(),
            directory,
            media_type=media_type,
            owners=Owners.MAPPED,
            limits=limits,
        )
    )


def _chunks() -> Iterator[bytes]:
    while chunk := os.read(0, _CHUNK_BYTES):
        yield chunk
