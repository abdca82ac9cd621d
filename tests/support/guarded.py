"""A container whose command stands still behind its execve until it is answered for."""

from __future__ import annotations

import socket
import struct
from typing import TYPE_CHECKING

from tests.support.box import TIMEOUT_SECONDS, start_init

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chrun.runtime.plan import Plan


class Guarded:
    """A container with a gate, and the inspector's end of the socket."""

    def __init__(
        self,
        plan: Plan | bytes,
        *words: str,
        fds: Sequence[int] = (),
        early: bytes | None = None,
        **options: object,
    ) -> None:
        self.gate, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with other:
            if early is not None:
                self.gate.send(early)
            fds = (other.fileno(), *fds)
            words = (f"gate={other.fileno()}", *words)
            self.process = start_init(plan, *words, fds=fds, **options)
        self.gate.settimeout(TIMEOUT_SECONDS)

    def arrive(self) -> int:
        """Wait until the command stands at the gate; give its pid."""
        pid, error, _landlock = struct.unpack("<3I", self.gate.recv(12))
        assert error == 0
        return pid

    def answer(self, word: bytes = b"+") -> tuple[int, str, str]:
        """Let the command go, and wait for its end: its status, and what it said."""
        self.gate.send(word)
        return self.end()

    def end(self) -> tuple[int, str, str]:
        """Wait for the end, with the socket open until then."""
        with self.gate:
            try:
                out, err = self.process.communicate(timeout=TIMEOUT_SECONDS)
            finally:
                self.process.kill()  # a no-op, but where a test fails
        return self.process.returncode, out, err
