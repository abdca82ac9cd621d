"""chrun run: a command in a container of its own, in the foreground."""

from __future__ import annotations

import os
import sys

from chrun.cli.options import Command
from chrun.cli.run_options import RUN_OPTIONS, parse_run
from chrun.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import NoReturn

    from chrun.engine.containers import Prepared
    from chrun.engine.request import RunRequest

COMMAND = Command(
    "run [OPTION...] IMAGE [COMMAND [ARGUMENT...]]",
    "Run a command in a container of its own. IMAGE is a reference such as redis:7, an image ID,\n"
    "or a path: a root directory (./rootfs) or an archive of one (./redis.tar.gz).",
    RUN_OPTIONS,
    interspersed=False,
)


def run(words: Sequence[str], root: str) -> int:
    """Become the container's monitor; comes back only with an error, or after --help."""
    request, parsed = parse_run(COMMAND, words)
    if request is None:
        sys.stdout.write(COMMAND.help_text())
        return 0
    quiet = parsed.flag("quiet")
    _check_terminal(request, interactive=parsed.flag("interactive"))

    from chrun.cli.engine import open_engine
    from chrun.engine.containers import prepare

    engine = open_engine(root, quiet=quiet, warn=False)
    init_fd = engine.open_init()  # before there is a container that a failure would leave
    prepared = prepare(engine, request)
    try:
        if not quiet:
            _tell(prepared)
        if not parsed.flag("interactive"):
            _close_input()
            if prepared.composed.rung == "chroot":  # whose streams are the caller's own
                _give_for_writing()
        _become(request, prepared, init_fd)
    except BaseException:
        os.close(prepared.launch.hold_fd)
        engine.clear_up()  # the container's directory, which is nobody's now
        raise


def _tell(prepared: Prepared) -> None:
    said = prepared.composed.notices
    if sys.stderr.isatty():
        said += (prepared.summary,)
    if said:
        from chrun.cli.output import printable  # most runs in scripts say nothing

        sys.stderr.writelines(f"chrun: {printable(line)}\n" for line in said)
        sys.stderr.flush()


def _become(request: RunRequest, prepared: Prepared, init_fd: int) -> NoReturn:
    from chrun.runtime.launch import become

    gate_fd = -1
    if request.receipt or request.require:
        from chrun.cli.gate import start_inspector

        gate_fd = start_inspector(prepared, request)
    become(prepared.composed.encoded, prepared.launch, init_fd, gate_fd=gate_fd)


def _check_terminal(request: RunRequest, *, interactive: bool) -> None:
    if request.options.terminal and interactive and not sys.stdin.isatty():
        raise UsageError(
            "cannot use -t: standard input is not a terminal", hint="use -i without -t in a pipe"
        )


def _close_input() -> None:
    """Without -i the command reads an empty input, as with docker."""
    null_fd = os.open("/dev/null", os.O_RDONLY)
    os.dup2(null_fd, 0)
    os.close(null_fd)


def _give_for_writing() -> None:
    """Keep a command from reading by its output what is typed: a terminal is open for both."""
    terminals = [fd for fd in (1, 2) if os.isatty(fd)]
    if not terminals:
        return
    try:
        terminal_fd = os.open(f"/proc/self/fd/{terminals[0]}", os.O_WRONLY | os.O_NOCTTY)
    except OSError:  # it is another user's, as after su(1)
        return
    for fd in terminals:
        if os.path.samestat(os.fstat(fd), os.fstat(terminal_fd)):
            os.dup2(terminal_fd, fd)
    os.close(terminal_fd)
