"""A container started from Python: chrun-init as a child process, and the pipes to it."""

from __future__ import annotations

import os
import subprocess
from contextlib import ExitStack

from chrun.runtime.launch import INIT_REFUSALS, command_line, failure, init_refused, open_plan
from chrun.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import IO, Self

    from chrun.engine.containers import Prepared

    Stream = int | IO[bytes] | IO[str] | None

_REPORT_BYTES = 8


class Streams(Value):
    """What the container's standard streams are, as subprocess.Popen takes them."""

    stdin: Stream = None
    stdout: Stream = None
    stderr: Stream = None
    text: bool = False


class Running:
    """A container that runs at most as long as its `with` block: leaving it early kills it.

    `init_fd` is chrun-init, sealed, which all containers of a program share.

    The lifeline is a pipe that chrun-init watches. Its end here closes when the block is left, and
    also when this whole program dies; then the container is killed and its scratch removed.
    """

    def __init__(self, prepared: Prepared, init_fd: int, streams: Streams) -> None:
        self._plan = prepared.composed.plan
        with ExitStack() as passed, ExitStack() as own:
            passed.callback(os.close, prepared.launch.hold_fd)
            self._report_fd, report_end = os.pipe()
            own.callback(os.close, self._report_fd)
            passed.callback(os.close, report_end)
            lifeline_end, self._lifeline_fd = os.pipe()
            own.callback(os.close, self._lifeline_fd)
            passed.callback(os.close, lifeline_end)
            plan_fd = open_plan(prepared.composed.encoded)
            passed.callback(os.close, plan_fd)
            words = (f"report={report_end}", f"lifeline={lifeline_end}")
            command = command_line(prepared.launch, plan_fd, *words)
            fds = (init_fd, plan_fd, report_end, lifeline_end, prepared.launch.hold_fd)
            try:
                self.process = subprocess.Popen(
                    command,
                    executable=f"/proc/self/fd/{init_fd}",
                    env={},
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
        os.close(self._lifeline_fd)
        with self.process:  # closes the pipes, waits until the container is cleaned up
            self._report = os.read(self._report_fd, _REPORT_BYTES)
        os.close(self._report_fd)

    def communicate(
        self, content: str | bytes | None, timeout: float | None
    ) -> tuple[str | bytes | None, str | bytes | None]:
        """Feed the input, collect the output, wait; subprocess.TimeoutExpired after `timeout`."""
        return self.process.communicate(content, timeout)

    def exit_status(self) -> int:
        """Give the exit status; raise what a step of the plan, or the execve, failed with."""
        if error := failure(self._plan, self._report):
            raise error
        return self.process.returncode
