"""A container started from Python: chrun-init as a child process, and the pipes to it."""

from __future__ import annotations

import os
import stat
import subprocess
from contextlib import ExitStack

from chrun.errors import UsageError
from chrun.runtime.descriptors import closing, pipe
from chrun.runtime.launch import (
    INIT_REFUSALS,
    REPORT_BYTES,
    command_line,
    ending,
    executed,
    failure,
    init_refused,
    open_plan,
)
from chrun.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from socket import socket
    from typing import IO, Self

    from chrun.engine.containers import Prepared
    from chrun.engine.request import RunRequest

    Stream = int | IO[bytes] | IO[str] | None


class Streams(Value):
    """What the container's standard streams are, as subprocess.Popen takes them."""

    stdin: Stream = None
    stdout: Stream = None
    stderr: Stream = None
    text: bool = False

    def check(self) -> None:
        """Refuse a directory: all of the machine's files would be in reach of it. UsageError."""
        for own, stream in enumerate((self.stdin, self.stdout, self.stderr)):
            fd = own if stream is None else stream if isinstance(stream, int) else stream.fileno()
            try:
                mode = os.fstat(fd).st_mode if fd >= 0 else 0  # one of subprocess's special values
            except OSError:  # it is not open, as subprocess will tell
                continue
            if stat.S_ISDIR(mode):
                raise UsageError("cannot start the container: a standard stream is a directory")


class Running:
    """A container that runs at most as long as its `with` block: leaving it early kills it.

    `init_fd` is chrun-init, sealed, which this container alone runs from. With `gated` the
    command stands still until `look` has looked at it.

    The lifeline is a pipe that chrun-init watches. Its end here closes when the block is left, and
    also when this whole program dies; then the container is killed and its scratch removed.
    """

    def __init__(
        self, prepared: Prepared, init_fd: int, streams: Streams, *, gated: bool = False
    ) -> None:
        self._prepared = prepared
        self._plan = prepared.composed.plan
        self._gate: socket | None = None
        with ExitStack() as passed, ExitStack() as own:
            locks = (prepared.launch.hold_fd, *prepared.launch.volume_fds)
            for lock_fd in locks:
                closing(passed, lock_fd)
            self._report_fd, report_end = pipe(own, passed)
            lifeline_end, self._lifeline_fd = pipe(passed, own)
            plan_fd = closing(passed, open_plan(prepared.composed.encoded))
            words = (f"report={report_end}", f"lifeline={lifeline_end}")
            command = command_line(prepared.launch, plan_fd, *words)
            fds = [init_fd, plan_fd, report_end, lifeline_end, *locks]
            if gated:
                from chrun.engine.receipt import open_gate

                self._gate, gate_end = open_gate()
                own.callback(self._gate.close)
                passed.callback(gate_end.close)
                command.append(f"gate={gate_end.fileno()}")
                fds.append(gate_end.fileno())
            path, command, env = executed(prepared.launch, init_fd, command)
            try:
                self.process = subprocess.Popen(
                    command,
                    executable=path,
                    env=env,
                    pass_fds=fds,
                    stdin=streams.stdin,
                    stdout=streams.stdout,
                    stderr=streams.stderr,
                    text=streams.text,
                )
            except OSError as error:
                if error.errno not in INIT_REFUSALS:  # what the caller gave as a stream, say
                    raise
                raise init_refused(error) from error
            own.pop_all()  # they stay open while it runs

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        if self._gate:
            self._gate.close()  # who still stands there will not run
        os.close(self._lifeline_fd)
        with self.process:  # closes the pipes, waits until the container is cleaned up
            self._report = os.read(self._report_fd, REPORT_BYTES)
        os.close(self._report_fd)

    def look(self, request: RunRequest) -> None:
        """Look at the command before its first instruction, and let it go.

        Raises what `engine.receipt.inspect` does; then the command never runs.
        """
        if self._gate:
            from chrun.engine.receipt import inspect

            inspect(self._gate, self._prepared, request)

    def communicate(
        self, content: str | bytes | None, timeout: float | None
    ) -> tuple[str | bytes | None, str | bytes | None]:
        """Feed the input, collect the output, wait; subprocess.TimeoutExpired after `timeout`."""
        return self.process.communicate(content, timeout)

    @property
    def out_of_memory(self) -> bool:
        """Whether a process was killed because all memory was used that the container may."""
        return bool(ending(self._plan, self._report)) and self.expired_seconds is None

    @property
    def expired_seconds(self) -> float | None:
        """The time after which the container was ended; None when it was not."""
        step = ending(self._plan, self._report)
        milliseconds: int | None = getattr(step, "milliseconds", None)
        return None if milliseconds is None else milliseconds / 1000

    def exit_status(self) -> int:
        """Give the exit status; raise what a step of the plan, or the execve, failed with."""
        if error := failure(self._plan, self._report):
            raise error
        return self.process.returncode
