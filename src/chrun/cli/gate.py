"""--receipt and --require: a process looks at the command while this one becomes its monitor."""

from __future__ import annotations

import fcntl
import os
import select
import socket
import sys
from contextlib import suppress

from chrun.cli.output import error_text
from chrun.engine.receipt import inspect, open_gate, refuse
from chrun.errors import ChrunError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

    from chrun.engine.containers import Prepared
    from chrun.engine.request import RunRequest


def start_inspector(prepared: Prepared, request: RunRequest) -> int:
    """Start it, and give chrun-init's end of the gate.

    It is nobody's child, for chrun-init knows of no other than the container. It ends when it has
    looked, or when chrun-init closes the gate; so no Python is left while the command runs.
    """
    ours, theirs = open_gate()
    pid = os.fork()
    if pid == 0:
        if os.fork() == 0:
            theirs.close()
            for lock_fd in (prepared.launch.hold_fd, *prepared.launch.volume_fds):
                os.close(lock_fd)  # it is not to outlive the container
            os.setsid()  # ^C is chrun-init's to act on
            _inspect(ours, prepared, request)
        os._exit(0)
    ours.close()
    with suppress(ChildProcessError):  # where SIGCHLD is ignored, but it has ended: waitpid(2)
        os.waitpid(pid, 0)
    return theirs.detach()


def _inspect(gate: socket.socket, prepared: Prepared, request: RunRequest) -> NoReturn:
    try:
        _end_with(gate)
        inspect(gate, prepared, request)
    except ChrunError as error:
        refuse(gate, error_text(error))
    except Exception as error:  # noqa: BLE001 - a bug in chrun, to be told here: above is another process's code
        from chrun.cli.bugs import bug_text, trace_text

        sys.stderr.write(trace_text(error))
        sys.stderr.flush()
        refuse(gate, bug_text(error))
    finally:
        os._exit(0)


def _end_with(gate: socket.socket) -> None:
    """Wait for the command, and from then on end when chrun-init closes the gate.

    Nobody waits for an answer then, but a receipt may go into a pipe that nobody reads. The end of
    the socket is a SIGIO, whose default action is to end: fcntl(2), O_ASYNC.
    """
    gate.recv(1, socket.MSG_PEEK)
    fcntl.fcntl(gate, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(gate, fcntl.F_SETFL, os.O_ASYNC)
    poll = select.poll()
    poll.register(gate, 0)
    if poll.poll(0):  # it closed before that
        os._exit(0)
