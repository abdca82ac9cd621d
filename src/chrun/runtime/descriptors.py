"""Descriptors that close with a block: those of this process, and those passed to another."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from contextlib import ExitStack


def closing(stack: ExitStack, fd: int) -> int:
    """Have a stack close a descriptor, and give it."""
    stack.callback(os.close, fd)
    return fd


def pipe(reading: ExitStack, writing: ExitStack) -> tuple[int, int]:
    """Make a pipe of which each stack closes one end, and give both: reading, writing."""
    read_end, write_end = os.pipe()
    return closing(reading, read_end), closing(writing, write_end)
