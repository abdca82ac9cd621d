"""--receipt and --require: a process looks at the command while this one becomes its monitor."""

from __future__ import annotations

import os
import sys
from contextlib import suppress

from chrun.cli.output import error_text
from chrun.engine.receipt import inspect, open_gate, refuse
from chrun.errors import ChrunError

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
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
        inspect(gate, prepared, request)
    except ChrunError as error:
        refuse(gate, error_text(error))
    except Exception:  # noqa: BLE001 - a bug in chrun, to be told here: above is another process's code
        sys.excepthook(*sys.exc_info())
    finally:
        os._exit(0)
