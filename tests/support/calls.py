"""A static program that tries system calls by number: tests/support/calls.c."""

from __future__ import annotations

import shutil
import subprocess
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.support.box import unpack_busybox

PROGRAM_PATH = "/calls"
_SOURCE = Path(__file__).with_name("calls.c")
_FLAGS = ("-std=c11", "-Os", "-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Werror", "-static")


@cache
def calls_program() -> bytes:
    """Give the compiled program."""
    compiler = shutil.which("musl-gcc") or "gcc"
    with TemporaryDirectory(prefix="calls-") as scratch:
        program = Path(scratch, "calls")
        subprocess.run([compiler, *_FLAGS, "-s", "-o", program, _SOURCE], check=True)
        return program.read_bytes()


def install_calls(root: Path) -> None:
    """Put the program into a root file system."""
    program = root / PROGRAM_PATH[1:]
    program.write_bytes(calls_program())
    program.chmod(0o755)


def make_calls_rootfs(directory: Path) -> Path:
    """Make a root file system with busybox and the program, to be run as a directory."""
    directory.mkdir()
    unpack_busybox(directory)
    install_calls(directory)
    return directory


def parse_results(output: str) -> dict[int, int]:
    """Give what became of each call: 0, an errno, or -n for a child that signal n ended."""
    pairs = (map(int, line.split()) for line in output.splitlines())
    return {number & 0xFFFFFFFF: result for number, result in pairs}
